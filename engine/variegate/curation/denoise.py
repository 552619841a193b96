"""MSP's denoising: keep what lies near the text it was made from and carries a rare attribute, here the label.

Knows items, their vectors and those of their seeds; knows nothing of how the seeds were found.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from jaxtyping import Bool, Float, Int

from variegate.curation.inputs import BLOCK_ROWS, check_vectors, many
from variegate.curation.judging import Items, Judgement
from variegate.errors import UsageError
from variegate.records import Verdict
from variegate.seeding import derive_seed


def denoise(
    items: Items,
    vectors: Float[np.ndarray, "n d"],
    seeds: Float[np.ndarray, "n d"],
    *,
    keep: float,
    weight: float,
    scale: str,
    choose: str,
    seed: int,
) -> Judgement:
    """Keep ceil(keep * n) items; the others are dropped (`noisy`).

    Two terms for each item: its label's share r of the items, and the distance 1 - cos(item, seed), in [0, 2]. `scale` brings
    both on one scale: "z" (less the mean, by the standard deviation), "rank" (mean rank over n). Then
        noise = weight * scaled r + (1 - weight) * scaled distance
    choose "top": the least noisy stay; equal noise: the earlier. "sample": drawn without replacement with weights
    (1 / r)^(2 weight) * closeness^(2 (1 - weight)), closeness = 1 - distance / 2; at weight 0.5 that is closeness / r. There
    `scale` acts on the noise in the details alone.
    seeds: a vector for each item; a row with a nan says that it has none, and its distance is the mean of the others.
    Cost: O(n d). Memory: O(n) beside the vectors. Deterministic given `seed`, which only "sample" uses.
    Raises UsageError for arguments out of range, bad vectors, or when nothing tells the items apart.

    Reference: Chen et al., "Mixture of Soft Prompts for Controllable Data Generation", Findings of EMNLP 2023.
    Differs from the paper: its released code adds r (about one over the number of attributes) to a distance of 0.3 to 0.8 as they
    are, so that the first hardly counts; its cap removes nothing, since no seed yields more than the cap grants; it fails before
    that on a missing import and on a cosine along an axis that its vectors lack; and it cuts where the paper samples.
    """
    _check(items, vectors, seeds, keep, weight, scale, choose)
    counts = Counter(items.labels)
    shares = np.array([counts[label] / len(items) for label in items.labels])
    distances, without = _distances(items, vectors, seeds)
    scaled = [_scale(term, scale) for term in (shares, distances)]
    noise = weight * scaled[0] + (1 - weight) * scaled[1]
    num_kept = math.ceil(keep * len(items) - 1e-9)
    if num_kept < len(items) and np.ptp(noise) == 0:
        raise UsageError(
            "denoise: nothing tells the items apart (equal shares of their labels, and no or equal distances to their seeds):"
            " choose another weight, or leave this stage out"
        )
    if choose == "top":
        order = np.argsort(noise, kind="stable")
    else:
        logits = -2 * weight * np.log(shares) + 2 * (1 - weight) * np.log(np.maximum(1 - distances / 2, 1e-300))
        # The largest of logits with Gumbel noise are a draw without replacement (Efraimidis and Spirakis 2006).
        order = np.argsort(-(logits + np.random.default_rng(derive_seed(seed, "denoise")).gumbel(size=len(items))), kind="stable")
    kept = np.zeros(len(items), dtype=bool)
    kept[order[:num_kept]] = True
    verdicts = tuple(
        Verdict(
            items.ids[place],
            items.labels[place],
            keep=bool(kept[place]),
            reason="" if kept[place] else "noisy",
            details={
                "share": round(float(shares[place]), 6),
                "distance": None if without[place] else round(float(distances[place]), 6),
                "noise": round(float(noise[place]), 6),
            },
        )
        for place in range(len(items))
    )
    gone = sorted(counts.keys() - {label for label, stays in zip(items.labels, kept, strict=True) if stays})
    facts = {
        "n": len(items),
        "kept": num_kept,
        "without_seed": int(without.sum()),
        "distance_kept": _mean(distances[kept & ~without]),
        "distance_dropped": _mean(distances[~kept & ~without]),
        "labels_gone": gone,
    }
    return Judgement(verdicts, facts, _warnings(items, without, gone))


def _check(
    items: Items, vectors: Float[np.ndarray, "n d"], seeds: Float[np.ndarray, "n d"], keep: float, weight: float, scale: str, choose: str
) -> None:
    if not 0 < keep <= 1:
        raise UsageError(f"keep: got {keep}, expected a share above 0, up to 1")
    if not 0 <= weight <= 1:
        raise UsageError(f"weight: got {weight}, expected 0 to 1")
    for name, value, known in (("scale", scale, ("z", "rank")), ("choose", choose, ("top", "sample"))):
        if value not in known:
            raise UsageError(f"{name}: got {value!r}, expected {known[0]!r} or {known[1]!r}")
    if len(items) == 0:
        raise UsageError("denoise: no items")
    check_vectors(items, vectors)
    if seeds.shape != vectors.shape:
        raise UsageError(
            f"seeds: got an array of shape {seeds.shape}, expected {vectors.shape}, one row for each item (nan where it has none)"
        )


def _distances(
    items: Items, vectors: Float[np.ndarray, "n d"], seeds: Float[np.ndarray, "n d"]
) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """(1 - cos to the seed, the mean of the others where there is no seed; which have no seed)."""
    out = np.empty(len(items))
    for start in range(0, len(items), BLOCK_ROWS):
        a, b = (np.asarray(each[start : start + BLOCK_ROWS], dtype=np.float64) for each in (vectors, seeds))
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        if (lengths == 0).any():
            place = start + int((lengths == 0).argmax())
            raise UsageError(f"denoise: item {items.ids[place]!r} or its seed has a zero vector, which has no direction")
        out[start : start + len(a)] = 1 - (a * b).sum(axis=1) / lengths
    without = np.isnan(out)
    out[without] = out[~without].mean() if not without.all() else 0.0
    return np.clip(out, 0, 2), without


def _scale(term: Float[np.ndarray, " n"], scale: str) -> Float[np.ndarray, " n"]:
    if np.ptp(term) <= 1e-12:  # equal but for rounding: it says nothing
        return np.zeros(len(term))
    if scale == "z":
        return (term - term.mean()) / term.std()
    _, inverse, counts = np.unique(term, return_inverse=True, return_counts=True)
    last: Int[np.ndarray, " u"] = counts.cumsum()
    return ((last - (counts - 1) / 2) / len(term))[inverse]


def _mean(values: Float[np.ndarray, " n"]) -> float | None:
    return float(values.mean()) if len(values) else None


def _warnings(items: Items, without: Bool[np.ndarray, " n"], gone: list[str]) -> tuple[str, ...]:
    out = []
    if without.all():
        out.append("no item has a seed: the share of its label alone decides")
    elif without.any():
        out.append(
            f"{many(int(without.sum()), 'item')} of {len(items):,} without a seed: their distance is taken as the mean of the others"
        )
    if gone:
        out.append(f"nothing is left of {many(len(gone), 'label')}: {', '.join(gone[:5])}")
    return tuple(out)
