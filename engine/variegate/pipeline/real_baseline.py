"""How near real texts lie to other real texts: what the nearness of a generated set stands beside, at equal n. Knows sides; no files."""

from __future__ import annotations

from typing import Any

import numpy as np

from variegate.metrics import MetricValue, coverage, cross_distance, leakage_near, nearest_reference, top_k_similarity
from variegate.pipeline.sides import Side
from variegate.seeding import derive_seed

MOST = 10_000  # texts of each of the three parts: more would change the third decimal
FEWEST = 10  # texts drawn, below which the numbers are chance


def split_real(size: int, wanted: int, seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Places of (n of `size` real texts, the others), in order, with n = `wanted` or half of them. None where n would be below FEWEST."""
    n = min(wanted, size // 2, MOST)
    if n < FEWEST:
        return None
    order = np.random.default_rng(derive_seed(seed, "real against real")).permutation(size)
    return np.sort(order[:n]), np.sort(order[n : n + MOST])


def beside_real(
    made: Side, real: Side, *, distance: str, k: int, radius: float | None, threshold: float, seed: int
) -> dict[str, Any] | None:
    """{n, m, values [{metric, set, real}]}: n texts of the set, and n real ones, each against the same m other real texts; JSON-able.

    set, real: values as `MetricValue.to_json`. None where there are too few texts.
    """
    parts = split_real(len(real), len(made), seed)
    if parts is None:
        return None
    n = len(parts[0])
    drawn, others = real.part(parts[0]), real.part(parts[1])
    values = [_values(side, others, distance, k, radius, threshold, seed) for side in (made.draw(n, seed), drawn)]
    rows = [{"metric": own.metric, "set": own.to_json(), "real": theirs.to_json()} for own, theirs in zip(*values, strict=True)]
    return {"n": n, "m": len(others), "values": rows}


def _values(side: Side, others: Side, distance: str, k: int, radius: float | None, threshold: float, seed: int) -> list[MetricValue]:
    found = [cross_distance(side.vectors, others.vectors, distance=distance, seed=seed)]
    if side.has_directions and others.has_directions:
        if k <= len(side):
            found.append(top_k_similarity(others.vectors, side.vectors, k=k, seed=seed))
        found.append(leakage_near(nearest_reference(side.vectors, others.vectors), threshold=threshold))
    return [*found, coverage(others.vectors, side.vectors, radius=radius, distance=distance)]
