"""How the texts that were written for errors lie to those errors and to the run's real examples: neighbours, copies, or neither.

arguments: seeds: [id, fields] of the seed data. more: [id, fields, id of the error] of each text for an error. encoder: of sentences.
Rows: one for each pair of an error and a text for it,
    error, id, cosine, edit, words    edit: words to insert, delete or replace, of `words`, the longer text's
    random_cosine, random_edit        the same of that error and a text for another one: neighbours by chance lie that far
and a last one with `coverage`: the share of the real examples that have a text near them, of the seed data and of all; near is within the
median distance of an example to its nearest other one (`metrics.coverage`).

Reference: Wang, Zhou and Sachan, Findings of EMNLP 2023, section 5. Differs from the paper: cosines of a sentence encoder (those of
DistilBERT all lie near 1) beside the same of random pairs; coverage in the space of the vectors, not in a t-SNE plane.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.embeddings.models import find_model
from variegate.metrics import coverage
from variegate.pipeline.works import Desk
from variegate.seeding import derive_rng
from variegate.store.shelf import Made

_MOST = 1000  # pairs that are looked at: words are compared one by one
_DIGITS = 6


class ExtrapolationWork:
    name = "extrapolation"

    def depends_on(self, desk: Desk, args: Mapping[str, Any]) -> Any:
        return {"gold": desk.gold.key(), "seed": desk.config.seed, "encoder": find_model(args["encoder"]).fingerprint}

    def do(self, desk: Desk, args: Mapping[str, Any]) -> Made:
        from variegate.embeddings import Encoder

        rng, encoder = derive_rng(desk.config.seed, "random pairs"), Encoder(args["encoder"])
        gold = {each.id: each.fields for each in desk.gold.both}
        more = list(args["more"])
        looked_at = more if len(more) <= _MOST else [more[place] for place in sorted(rng.sample(range(len(more)), _MOST))]
        pairs = [(error, id, desk.kind.said(gold[error]), desk.kind.said(fields)) for id, fields, error in looked_at]
        vectors = dict(
            zip(range(2 * len(pairs)), _unit(encoder.encode([text for pair in pairs for text in pair[2:]]).vectors), strict=True)
        )
        rows: list[dict[str, Any]] = []
        for place, (error, id, theirs, own) in enumerate(pairs):
            others = [other for other in range(len(pairs)) if pairs[other][0] != error]
            row: dict[str, Any] = {"error": error, "id": id, **_beside(vectors[2 * place], vectors[2 * place + 1], theirs, own)}
            if others:
                other = rng.choice(others)
                found = _beside(vectors[2 * place], vectors[2 * other + 1], theirs, pairs[other][3])
                row |= {f"random_{name}": found[name] for name in ("cosine", "edit")}
            rows.append(row)
        real = encoder.encode([desk.kind.embed(fields) for fields in gold.values()]).vectors
        seeds, added = (encoder.encode([desk.kind.embed(each[1]) for each in args[name]]).vectors for name in ("seeds", "more"))
        covered = {
            name: round(coverage(real, own).value, _DIGITS) for name, own in (("seeds", seeds), ("all", np.concatenate([seeds, added])))
        }
        means = {name: fmean(row[name] for row in rows if name in row) for name in _MEANS if any(name in row for row in rows)}
        return [*rows, {"coverage": covered, "n": len(gold)}], {"pairs": len(rows), **means, "coverage": covered, "encoder": encoder.name}


_MEANS = ("cosine", "random_cosine", "edit", "random_edit", "words")


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    rows = vectors.astype(np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _beside(theirs: Float[np.ndarray, " d"], own: Float[np.ndarray, " d"], error: str, text: str) -> dict[str, Any]:
    a, b = error.split(), text.split()
    return {"cosine": round(float(theirs @ own), _DIGITS), "edit": edit_distance(a, b), "words": max(len(a), len(b))}


def edit_distance(a: Sequence[str], b: Sequence[str]) -> int:
    """Levenshtein's, over words."""
    above = list(range(len(b) + 1))
    for row, word in enumerate(a, 1):
        line = [row]
        for column, other in enumerate(b, 1):
            line.append(min(above[column] + 1, line[-1] + 1, above[column - 1] + (word != other)))
        above = line
    return above[-1]


WORK = ExtrapolationWork()
