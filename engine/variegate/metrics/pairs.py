"""From vectors to nearest neighbours and sums of distances in any of the four distances. Equal rows are measured once.

For rows u, v of length 1 and their Euclidean distance e: cosine distance e^2 / 2, angular 2 arcsin(e / 2) / pi. So one
search serves all distances.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.errors import UsageError, nearest
from variegate.metrics.values import DISTANCES
from variegate.metrics.vectors import Distinct, Vectors
from variegate.neighbors import Neighbors, nearest_other
from variegate_kernels.pairwise import Function

Progress = Callable[[int, int], None]


def check_distance(distance: str) -> None:
    if distance not in DISTANCES:
        raise UsageError(f"distance {distance!r} is not known{nearest(distance, DISTANCES)} Known: {', '.join(DISTANCES)}")


def rows_for(v: Vectors, distance: str) -> Float[Tensor, "n d"]:
    """Unit rows where the distance looks at directions only."""
    return v.units() if distance in ("cosine", "angular") else v.rows


def from_euclidean(euclidean: Float[Tensor, " n"], distance: str) -> Float[Tensor, " n"]:
    """Euclidean distances (between unit rows for cosine and angular) in another distance."""
    if distance == "euclidean":
        return euclidean
    if distance == "angular":
        return (torch.asin((euclidean / 2).clamp(max=1)) * (2 / math.pi)).masked_fill_(euclidean.isinf(), math.inf)
    return euclidean.square() / (2 if distance == "cosine" else 1)


def to_euclidean(value: float, distance: str) -> float:
    """The Euclidean distance (between unit rows for cosine and angular) of a distance."""
    if distance == "euclidean":
        return value
    if distance == "angular":
        return 2 * math.sin(value * math.pi / 2)
    return math.sqrt(value * (2 if distance == "cosine" else 1))


@dataclass(frozen=True, slots=True)
class Pairs:
    """One pass over all pairs of a set. Rows that have an equal one are at distance 0 from it."""

    distances: Float[Tensor, " n"]  # to the nearest other row
    index: Int[Tensor, " n"]  # that row
    sums: Float[Tensor, " n"] | None  # over all other rows
    total: float | None  # over all ordered pairs i != j
    precision: str
    num_looked_up_again: int


def measure_pairs(
    v: Vectors,
    distance: str,
    implementation: str,
    *,
    distinct: Distinct,
    sums: bool,
    row_sums: bool = True,
    progress: Progress | None = None,
) -> Pairs:
    """Nearest other rows and, with `sums`, sums of Euclidean or angular distances (the others have closed forms)."""
    rows = rows_for(v, distance)
    function: Function = ("angular" if distance == "angular" else "euclidean") if sums else "none"
    weights = None
    if distinct.num_duplicates:
        rows, weights = rows[distinct.first], distinct.counts.float()
    if len(rows) == 1:
        found = _one_kind(rows, function)
    else:
        found = nearest_other(
            rows,
            implementation=implementation,
            weights=weights,
            function=function,
            row_sums=row_sums,
            progress=progress,
        )
    return _of_records(found, distance, distinct)


def _one_kind(rows: Tensor, function: Function) -> Neighbors:
    zero = torch.zeros(1, dtype=torch.float64, device=rows.device)
    return Neighbors(
        zero.long() - 1, zero + math.inf, zero if function != "none" else None, 0.0 if function != "none" else None, "float64", 0
    )


def _of_records(found: Neighbors, distance: str, distinct: Distinct) -> Pairs:
    """From distinct rows to records: each row with copies has the first other copy as its neighbour."""
    distances = from_euclidean(found.distances, distance)
    if not distinct.num_duplicates:
        return Pairs(distances, found.index, found.sums, found.total, found.precision, found.num_looked_up_again)
    kind = distinct.kind
    distances, index = distances[kind], distinct.first[found.index[kind].clamp(min=0)]
    copied = distinct.counts[kind] > 1
    distances[copied] = 0.0
    places = torch.arange(len(kind), device=kind.device)
    second = torch.full_like(distinct.first, len(kind)).scatter_reduce_(
        0, kind, torch.where(places == distinct.first[kind], len(kind), places), "amin"
    )
    index[copied] = torch.where(places == distinct.first[kind], second[kind], distinct.first[kind])[copied]
    sums = None if found.sums is None else found.sums[kind]
    return Pairs(distances, index, sums, found.total, found.precision, found.num_looked_up_again)
