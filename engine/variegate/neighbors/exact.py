"""Exact nearest neighbours and sums of distances, by any of several implementations that agree.

Whatever the implementation's arithmetic, the winning pairs are measured again in float64 by differences, and rows whose
neighbour is closer than the arithmetic can tell (equal or almost equal rows) are looked up again. Vectors are checked by the
caller. Memory beside the input: O(n), and one shifted copy where the vectors lie far from the origin for their spread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from variegate.errors import UsageError
from variegate.neighbors import faiss_search
from variegate_kernels import pairwise, topk
from variegate_kernels.pairwise import Function, Sweep
from variegate_kernels.rows import pair_distances, row_facts

IMPLEMENTATIONS = ("dense", "tiles", "triton", "triton_fp16x3", "faiss")
GPU_FROM = 20_000  # rows on each side from which a GPU is worth its start
_SHARED_FROM = 200_000  # rows from which all GPUs share the work: below, one is done in less time than copying takes
_AT_ONCE = {"cpu": 1 << 20, "cuda": 1 << 26}  # elements of a float64 block
_LENGTHS = (1e-9, 1e9)  # squares of longer or shorter vectors leave float32
_FLOAT32_ERROR = 1e-6  # of a squared distance, as a share of the larger squared length


@dataclass(frozen=True, slots=True)
class Neighbors:
    index: Int[Tensor, " n"]  # the nearest row; -1 where there is none
    distances: Float[Tensor, " n"]  # float64, Euclidean; infinity where there is none
    sums: Float[Tensor, " n"] | None  # float64: sum_j w_j f(d_ij)
    total: float | None  # float64: the weighted sum of `sums`
    precision: str  # of the products
    num_looked_up_again: int  # rows closer to another than the products can tell

    def to(self, device: torch.device) -> Neighbors:
        sums = None if self.sums is None else self.sums.to(device)
        return replace(self, index=self.index.to(device), distances=self.distances.to(device), sums=sums)


Progress = Callable[[int, int], None]


def nearest_other(
    x: Float[Tensor, "n d"],
    *,
    implementation: str,
    weights: Float[Tensor, " n"] | None = None,
    function: Function = "none",
    row_sums: bool = True,
    progress: Progress | None = None,
) -> Neighbors:
    """The nearest other row of each row, by index; with `function`, sums of f(distance) over the other rows in the same pass.

    weights: copies of each row, for the sums. function: see `variegate_kernels.pairwise.sweep`; "angular" takes unit rows.
    row_sums: False leaves `sums` out and keeps `total`, which the GPU does faster.
    """
    device, x = x.device, x.to(_device(implementation, x))
    moved, scale = centred(x, function)
    found = _sweep(moved, None, implementation, weights, function, row_sums, progress)
    return _settle(x, x, moved, moved, found, scale, function, itself=True).to(device)


def nearest_in(
    queries: Float[Tensor, "n d"],
    base: Float[Tensor, "m d"],
    *,
    implementation: str,
    weights: Float[Tensor, " m"] | None = None,
    function: Function = "none",
    row_sums: bool = True,
    progress: Progress | None = None,
) -> Neighbors:
    """The nearest row of `base` of each query. See `nearest_other`."""
    device, queries, base = queries.device, *(each.to(_device(implementation, each)) for each in (queries, base))
    left, right, scale = queries, base, 1.0
    if _far_from_origin(queries, base):
        both, scale = centred(torch.cat([queries, base]), function)
        left, right = both[: len(queries)], both[len(queries) :]
    found = _sweep(left, right, implementation, weights, function, row_sums, progress)
    return _settle(queries, base, left, right, found, scale, function, itself=False).to(device)


def top_k(
    queries: Float[Tensor, "n d"], base: Float[Tensor, "m d"], k: int, *, implementation: str
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """The k largest inner products of each query with the rows of `base`, descending, and those rows."""
    _check(implementation)
    if implementation == "faiss":
        return faiss_search.search(queries, base, k, inner_product=True)
    if implementation in ("triton", "triton_fp16x3"):
        left, right = queries.to("cuda", torch.float32), base.to("cuda", torch.float32)
        values, rows = topk.top_k(left, right, k, impl="triton", precision=_triton_precision(implementation))
        return values.to(queries.device), rows.to(queries.device)
    if implementation == "dense":
        return topk.top_k(queries.double(), base.double(), k, impl="torch")
    return topk.top_k(queries.float(), base.float(), k, impl="torch")


def _check(implementation: str) -> None:
    if implementation not in IMPLEMENTATIONS:
        raise UsageError(f"implementation {implementation!r} is not known: expected one of {', '.join(IMPLEMENTATIONS)}")
    if implementation in ("triton", "triton_fp16x3") and not torch.cuda.is_available():
        raise UsageError(f"implementation {implementation!r} needs a CUDA GPU, and none is here: use 'tiles' or 'auto'")


def _device(implementation: str, x: Tensor) -> torch.device:
    """Where all of the work is done: many rows may have to be looked up again, which takes a CPU longer than a GPU's whole sweep.
    Raises UsageError for an implementation that is not known, or not here."""
    _check(implementation)
    return torch.device("cuda") if implementation in ("triton", "triton_fp16x3") and not x.is_cuda else x.device


def _triton_precision(implementation: str) -> Literal["fp16", "fp16x3"]:
    return "fp16x3" if implementation == "triton_fp16x3" else "fp16"


def _sweep(
    a: Tensor,
    b: Tensor | None,
    implementation: str,
    weights: Tensor | None,
    function: Function,
    row_sums: bool,
    progress: Progress | None,
) -> Sweep:
    if implementation == "faiss":
        found = faiss_search.sweep(a, b, weights, function)
        return found if row_sums else replace(found, sums=None)
    if implementation == "dense":
        if b is None:
            return pairwise.sweep(a, weights, function=function, row_sums=row_sums, impl="torch")
        return pairwise.cross_sweep(a, b, weights, function=function, row_sums=row_sums, impl="torch")
    if implementation == "tiles":
        left = a.to("cpu", torch.float32)
        if b is None:
            return pairwise.sweep(left, weights, function=function, row_sums=row_sums, impl="tiles", progress=progress)
        right = b.to("cpu", torch.float32)
        return pairwise.cross_sweep(left, right, weights, function=function, row_sums=row_sums, impl="tiles", progress=progress)
    left, precision = a.to("cuda", torch.float32), _triton_precision(implementation)
    if b is None:
        devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count() if len(left) >= _SHARED_FROM else 1)]
        return pairwise.sweep(left, weights, function=function, row_sums=row_sums, impl="triton", precision=precision, devices=devices)
    right = b.to("cuda", torch.float32)
    return pairwise.cross_sweep(left, right, weights, function=function, row_sums=row_sums, impl="triton", precision=precision)


# -- what makes the numbers right ------------------------------------------------------------------------------


def _far_from_origin(*sets: Tensor) -> bool:
    """Whether |mean|^2 is more than half of the mean |x|^2 (then a.b cancels), or some length's square leaves float32."""
    lengths = [float(row_facts(x)[0].max()) ** 0.5 for x in sets]
    if not all(_LENGTHS[0] < length < _LENGTHS[1] for length in lengths):
        return True
    sample = torch.cat([x[:: max(1, len(x) // 2048)] for x in sets]).double()
    return bool(sample.mean(0).square().sum() > 0.5 * sample.square().sum(1).mean())


def centred(x: Float[Tensor, "n d"], function: Function, *, exponent: int = 60) -> tuple[Float[Tensor, "n d"], float]:
    """(x moved to its mean, and scaled by a power of two where its squares would leave float32; the scale). `x` itself when near.

    exponent: the longest row is then about 2^exponent long. With 60 its square stays in float32, and so does that of a row
    2^-110 as long.
    """
    if not _far_from_origin(x):
        return x, 1.0
    pieces = range(0, len(x), max(1, _AT_ONCE[x.device.type] // x.shape[1]))
    size = pieces.step
    mean = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    for start in pieces:
        mean += x[start : start + size].double().sum(0)
    mean /= len(x)
    longest = max(float((x[start : start + size].double() - mean).square_().sum(1).max()) for start in pieces) ** 0.5
    scale = 1.0
    if function != "angular" and longest > 0 and not _LENGTHS[0] < longest < _LENGTHS[1]:
        scale = 2.0 ** (exponent - math.floor(math.log2(longest)))
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for start in pieces:
        out[start : start + size] = (x[start : start + size].double() - mean) * scale
    return out, scale


def _settle(
    queries: Tensor, base: Tensor, left: Tensor, right: Tensor, found: Sweep, scale: float, function: Function, *, itself: bool
) -> Neighbors:
    """Measure the winning pairs again, and look again where they are closer than the products can tell."""
    index = found.nearest.to(queries.device)
    distances = pair_distances(queries, base, index)
    left_sq = row_facts(left)[0]
    right_sq = left_sq if right is left else row_facts(right)[0]
    larger = torch.maximum(left_sq, right_sq[index.clamp(min=0)])  # where rows are close, their lengths are
    close = found.distance_sq.to(queries.device) <= 4 * found.error * larger
    rows = (close & (index >= 0)).nonzero().squeeze(1)
    if len(rows):
        again, nearer = _look_again(queries, base, left, right, rows, distances[rows] * scale, itself=itself)
        index[rows], distances[rows] = again, nearer
    unscaled = scale if function == "euclidean" else 1.0
    return Neighbors(
        index=index,
        distances=distances,
        sums=None if found.sums is None else (found.sums / unscaled).to(queries.device),
        total=None if found.total is None else found.total / unscaled,
        precision=found.precision,
        num_looked_up_again=len(rows),
    )


def _look_again(
    queries: Tensor, base: Tensor, left: Tensor, right: Tensor, rows: Tensor, nearest: Tensor, *, itself: bool
) -> tuple[Tensor, Tensor]:
    """(index, distance) of `rows`' nearest: every pair that float32 cannot rule out is measured by differences.

    nearest: distance in the scale of left and right that is known to be reached.
    """
    # A pair is in question where d^2 - slack (q_i + q_j) is no more than what is reached: the part of q_j goes with the column.
    slack = 2 * _FLOAT32_ERROR
    right, right_sq = right.float(), row_facts(right)[0].float()
    index, distances = torch.empty_like(rows), torch.empty(len(rows), dtype=torch.float64, device=rows.device)
    size = max(1, _AT_ONCE[rows.device.type] // len(right))
    for start in range(0, len(rows), size):
        part = rows[start : start + size]
        block = left[part].float()
        block_sq = row_facts(block)[0].float()
        distance_sq = (block_sq[:, None] * (1 - slack) + right_sq * (1 - slack)).sub_(block @ right.T, alpha=2)
        if itself:
            distance_sq[torch.arange(len(part), device=rows.device), part] = math.inf
        limit = nearest[start : start + size].square().float() * (1 + 1e-6)
        query, candidate = (distance_sq <= limit[:, None]).nonzero(as_tuple=True)
        exact = _exact(queries, base, part[query], candidate)
        least = torch.full((len(part),), math.inf, dtype=torch.float64, device=rows.device).scatter_reduce_(0, query, exact, "amin")
        lowest = torch.where(exact == least[query], candidate, len(right))
        index[start : start + size] = torch.full_like(part, len(right)).scatter_reduce_(0, query, lowest, "amin")
        distances[start : start + size] = least
    return index, distances


def _exact(queries: Tensor, base: Tensor, query: Tensor, candidate: Tensor) -> Float[Tensor, " pairs"]:
    out = torch.empty(len(query), dtype=torch.float64, device=query.device)
    size = max(1, _AT_ONCE[query.device.type] // queries.shape[1])
    for start in range(0, len(query), size):
        difference = queries[query[start : start + size]].double() - base[candidate[start : start + size]].double()
        out[start : start + size] = difference.square_().sum(1).sqrt_()
    return out


def nearest_in_others(x: Float[Tensor, "n d"], places: Int[Tensor, " q"]) -> Float[Tensor, " q"]:
    """The Euclidean distance of some rows, by their places, to the nearest other row, in float64. By FAISS."""
    if len(places) == 0:
        return torch.zeros(0, dtype=torch.float64, device=x.device)
    moved, scale = centred(x, "euclidean")
    values, rows = faiss_search.search(moved[places], moved, min(2, len(x)), inner_product=False)
    own = rows[:, 0] == places
    index = torch.where(own, rows[:, -1], rows[:, 0])
    distances = pair_distances(x[places], x, index)
    lengths = row_facts(moved)[0]
    close = torch.where(own, values[:, -1], values[:, 0]) <= 4 * _FLOAT32_ERROR * torch.maximum(lengths[places], lengths[index])
    again = close.nonzero().squeeze(1)
    if len(again):
        distances[again] = _look_again(x, x, moved, moved, places[again], distances[again] * scale, itself=True)[1]
    return distances
