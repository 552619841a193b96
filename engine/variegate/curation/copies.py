"""Duplicates of a finished set: which items repeat an earlier one, or a text of held-out data.

Knows items, their texts and vectors; knows nothing of files or of where the held-out texts come from. While texts are being
generated, `duplicates.DuplicateFilter` does the same one by one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from variegate.containment import KnownTexts
from variegate.curation.duplicates import BAND_ROWS, NUM_PERMUTATIONS, NearIndex
from variegate.curation.inputs import check_vectors
from variegate.curation.judging import Items, Judgement
from variegate.errors import UsageError
from variegate.kinds.text import Text, as_one, folded
from variegate.neighbors import GPU_FROM, has_faiss, nearest_in, nearest_other
from variegate.records import Verdict

Found = list[tuple[str, dict[str, Any]] | None]  # reason and details of each item that goes
HeldOut = Sequence[tuple[str, Sequence[Text]]]  # name, texts
_BLOCK = 2048  # rows compared at once
_FEWEST_FOUND = 0.95  # share of the pairs at the threshold that share a band; 0.99 at 0.7, 0.64 at 0.5
_ROUNDING = 1e-6  # of a cosine in float32


def find_duplicates(
    items: Items,
    *,
    exact: bool,
    near: float | None,
    near_by: str,
    vectors: Float[np.ndarray, "n d"] | None = None,
    held_out: HeldOut = (),
    held_out_vectors: Sequence[Float[np.ndarray, "m d"]] | None = None,
) -> Judgement:
    """Drop items that stand in held-out data (`held_out`), repeat an earlier item (`duplicate`) or nearly so (`near_duplicate`).

    exact: equal after folding. With `exact` off, an equal text is the user's wish and is no near duplicate either.
    near: least similarity, or None. near_by "minhash": Jaccard similarity of word trigrams, estimated (see `NearIndex`), of pairs the
    product of both; "embedding": cosine of the vectors, exact. The first stands, in record order: an item is compared with earlier items that are
    kept, so of a, b, c where only (a, b) and (b, c) are near, a and c stay.
    held_out: (name, texts). Equal folded texts are always dropped, and so is what contains one (see `containment`; not of pairs, whose
    given texts are real by right); near ones from the same `near` on.
    Labels are not compared: an item goes also where the one it repeats has another label (fact `of_another_label`).
    details: `of`, the id of the item it repeats (duplicates), or `in` and `text`, the held-out set and its text; `similarity`, or
    `contained`.
    Cost: minhash about 0.2 ms a text; embedding one exact search for nearest neighbours, O(n^2 d), then O(s^2 d) for the s items
    that have a near one; 45,000 items of width 384 take half a minute each way on two cores. Memory: O(n), and three copies of
    the vectors for "embedding".
    Raises UsageError for an unknown `near_by`, a threshold out of range, or vectors that do not belong to the texts.
    """
    _check(items, near, near_by, vectors, held_out, held_out_vectors)
    forms = [folded(text) for text in items.texts]
    first: dict[str, int] = {}
    for place, key in enumerate(forms):
        first.setdefault(key, place)
    found: Found = [None] * len(items)
    _exactly_held_out(forms, held_out, found)
    _containing_held_out(items.texts, sorted(first.values()), held_out, found)
    open_ = [place for place in sorted(first.values()) if found[place] is None]
    if near is not None and near_by == "minhash":
        _near_by_minhash(items, open_, near, held_out, found)
    elif near is not None and vectors is not None:
        _near_by_embedding(items, open_, near, vectors, held_out, held_out_vectors or (), found)
    for place, key in enumerate(forms):  # an equal text goes the way of the first one
        if place != first[key]:
            repeats = ("duplicate", {"of": items.ids[first[key]], "similarity": 1.0}) if exact else None
            found[place] = found[first[key]] or repeats
    verdicts = tuple(
        Verdict(id_, label) if each is None else Verdict(id_, label, keep=False, reason=each[0], details=each[1])
        for id_, label, each in zip(items.ids, items.labels, found, strict=True)
    )
    label_of = dict(zip(items.ids, items.labels, strict=True))
    in_held_out = Counter(each[1]["in"] for each in found if each is not None and each[0] == "held_out")
    facts = {
        "n": len(items),
        "dropped": dict(Counter(each[0] for each in found if each is not None)),
        "of_another_label": sum("of" in each.details and each.label != label_of[each.details["of"]] for each in verdicts),
        "held_out": {name: {"n": len(texts), "found": in_held_out[name]} for name, texts in held_out},
        "near": near,
        "near_by": near_by if near is not None else None,
    }
    return Judgement(verdicts, facts, _warnings(items, in_held_out, near if near_by == "minhash" else None))


def _check(
    items: Items,
    near: float | None,
    near_by: str,
    vectors: Float[np.ndarray, "n d"] | None,
    held_out: HeldOut,
    held_out_vectors: Sequence[Float[np.ndarray, "m d"]] | None,
) -> None:
    if near_by not in ("minhash", "embedding"):
        raise UsageError(f"near_by: got {near_by!r}, expected 'minhash' or 'embedding'")
    if near is None:
        return
    if not 0 < near <= 1:
        raise UsageError(f"near: got {near}, expected a similarity above 0, up to 1")
    if near_by == "minhash":
        return
    if vectors is None:
        raise UsageError("near_by 'embedding' needs the vectors of the items")
    check_vectors(items, vectors)
    sizes = [len(texts) for _, texts in held_out]
    given = [each.shape for each in held_out_vectors or ()]
    if given != [(size, vectors.shape[1]) for size in sizes]:
        raise UsageError(
            f"near_by 'embedding' needs vectors of the held-out texts, of the items' encoder: got arrays of shapes {given} for sets of {sizes}"
            f" texts and width {vectors.shape[1]}"
        )


# -- equal texts -----------------------------------------------------------------------------------------------


def _exactly_held_out(forms: list[str], held_out: HeldOut, found: Found) -> None:
    """The first set that holds the text, and its first text there."""
    where: dict[str, tuple[str, str]] = {}
    for name, texts in held_out:
        for text in texts:
            where.setdefault(folded(text), (name, as_one(text)))
    for place, key in enumerate(forms):
        if key in where:
            found[place] = ("held_out", {"in": where[key][0], "text": where[key][1], "similarity": 1.0})


def _containing_held_out(texts: Sequence[Text], open_: list[int], held_out: HeldOut, found: Found) -> None:
    """Behind "Tweet:", in quotation marks, with a tail: the first held-out text that each of the items at `open_` contains."""
    names = [(name, text) for name, each in held_out for text in each if isinstance(text, str)]
    known = KnownTexts(text for _, text in names)
    for place in open_:
        text = texts[place]
        if found[place] is None and isinstance(text, str) and (number := known.find(text)) is not None:
            name, other = names[number]
            found[place] = ("held_out", {"in": name, "text": other, "contained": True})


# -- near texts ------------------------------------------------------------------------------------------------


def _near_by_minhash(items: Items, open_: list[int], near: float, held_out: HeldOut, found: Found) -> None:
    forbidden, kept = NearIndex(near), NearIndex(near)
    names: list[tuple[str, Text]] = []  # of the texts in `forbidden`
    places: list[int] = []  # of those in `kept`
    for name, texts in held_out:
        for text in texts:
            forbidden.add(NearIndex.signature(text))
            names.append((name, text))
    for place in open_:
        signature = NearIndex.signature(items.texts[place])
        number = forbidden.find(signature)
        if number is not None:
            name, other = names[number]
            found[place] = ("held_out", {"in": name, "text": as_one(other), "similarity": _agreement(signature, other)})
            continue
        number = kept.find_or_add(signature)
        if number is None:
            places.append(place)
            continue
        other_place = places[number]
        similarity = _agreement(signature, items.texts[other_place])
        found[place] = ("near_duplicate", {"of": items.ids[other_place], "similarity": similarity})


def _agreement(signature: np.ndarray, other: Text) -> float:
    return round(float((signature == NearIndex.signature(other)).mean()), 6)


def _near_by_embedding(
    items: Items,
    open_: list[int],
    near: float,
    vectors: Float[np.ndarray, "n d"],
    held_out: HeldOut,
    held_out_vectors: Sequence[Float[np.ndarray, "m d"]],
    found: Found,
) -> None:
    least = near - _ROUNDING
    left = np.array(open_, dtype=np.int64)
    rows = _units(vectors, left)
    for (name, texts), reference in zip(held_out, held_out_vectors, strict=True):
        if not len(left) or not len(texts):
            continue
        nearest = nearest_in(rows, _units(reference, np.arange(len(reference))), implementation=_implementation(len(rows), len(reference)))
        cosine = _cosine(nearest.distances)
        for row in np.flatnonzero(cosine >= least):
            found[left[row]] = (
                "held_out",
                {"in": name, "text": as_one(texts[int(nearest.index[row])]), "similarity": round(float(cosine[row]), 6)},
            )
        keep = cosine < least
        left, rows = left[keep], rows[torch.from_numpy(keep)]
    if len(left) < 2:
        return
    nearest = nearest_other(rows, implementation=_implementation(len(rows), len(rows)))
    close = np.flatnonzero(_cosine(nearest.distances) >= least)
    for row, (earlier, similarity) in _earliest_kept(rows[torch.from_numpy(close)].double(), least).items():
        details = {"of": items.ids[left[close[earlier]]], "similarity": round(similarity, 6)}
        found[left[close[row]]] = ("near_duplicate", details)


def _earliest_kept(rows: Float[torch.Tensor, "s d"], least: float) -> dict[int, tuple[int, float]]:
    """Each row that has an earlier kept one with cosine >= least: that row (the nearest of them) and the cosine. In row order."""
    kept: list[int] = []
    out: dict[int, tuple[int, float]] = {}
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        best = torch.full((len(block),), -2.0, dtype=rows.dtype)
        nearest = torch.zeros(len(block), dtype=torch.int64)
        for first in range(0, len(kept), _BLOCK):
            part = torch.tensor(kept[first : first + _BLOCK])
            values, index = (block @ rows[part].T).max(dim=1)
            better = values > best
            best[better], nearest[better] = values[better], part[index[better]]
        within = block @ block.T
        here: list[int] = []  # kept rows of this block
        for row in range(len(block)):
            cosine, earlier = float(best[row]), int(nearest[row])
            if here:
                value, index = within[row, here].max(dim=0)
                if float(value) > cosine:
                    cosine, earlier = float(value), start + here[int(index)]
            if cosine >= least:
                out[start + row] = (earlier, cosine)
            else:
                here.append(row)
        kept += [start + row for row in here]
    return out


def _units(vectors: Float[np.ndarray, "n d"], rows: np.ndarray) -> Float[torch.Tensor, "r d"]:
    x = torch.from_numpy(np.ascontiguousarray(vectors[rows], dtype=np.float32))
    return torch.nn.functional.normalize(x, dim=1)


def _cosine(distances: torch.Tensor) -> np.ndarray:
    """From Euclidean distances between unit rows."""
    out: np.ndarray = 1 - distances.numpy() ** 2 / 2
    return out


def _implementation(num_rows: int, num_others: int) -> str:
    """Not "triton": its neighbour may be 1e-3 too far, and a pair at the threshold then kept on a GPU and dropped on a CPU."""
    if torch.cuda.is_available() and num_rows * num_others >= GPU_FROM**2:
        return "triton_fp16x3"
    return "faiss" if has_faiss() else "tiles"


def _warnings(items: Items, in_held_out: Counter[str], minhash: float | None) -> tuple[str, ...]:
    out = [f"{count} of {len(items):,} items stand in held-out data {name!r}" for name, count in sorted(in_held_out.items())]
    if minhash is not None:
        found = 1 - (1 - minhash**BAND_ROWS) ** (NUM_PERMUTATIONS // BAND_ROWS)
        if found < _FEWEST_FOUND:
            out.append(f"minhash finds only {found:.0%} of the pairs of similarity {minhash:g}: raise `near`, or use near_by: embedding")
    return tuple(out)
