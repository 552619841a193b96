"""All pairs of rows in one pass: each row's nearest other row, and sums of distances, without the n x n matrix.

Knows nothing of records, duplicates or measures. Squared distances come from |a|^2 + |b|^2 - 2 a.b and carry its rounding
error (`Sweep.error`): the caller recomputes the nearest pairs (`rows.pair_distances`) and looks again where two rows are closer
than that. A pair (i, i) is left out by its index, so equal rows are found.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

Function = Literal["none", "euclidean", "angular"]
Impl = Literal["auto", "torch", "tiles", "triton"]
Precision = Literal["fp16", "fp16x3"]
_Parts = tuple[Tensor, Tensor, Tensor | None, float | None]  # nearest, distance_sq, sums, total

_BLOCK_ELEMENTS = 1 << 22  # of one block of distances, in the reference
# Bound of the error of a squared distance, as a share of the larger of the two squared lengths: twice what was seen on sentence
# embeddings (8 u32 in fp32, where u32 = 6e-8), and what rounding to 11 bits gives for fp16.
_ERROR = {"float64": 1e-14, "fp32": 1e-6, "fp16": 2e-3, "fp16x3": 2e-6}


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one pass over all pairs gave. `precision` is that of the products: float64, fp32, fp16 or fp16x3."""

    nearest: Int[Tensor, " n"]  # the nearest row, the lowest index among equals; -1 where there is none
    distance_sq: Float[Tensor, " n"]  # its squared distance as the kernel saw it; infinity where there is none
    sums: Float[Tensor, " n"] | None  # float64: sum_j w_j f(d_ij)
    total: float | None  # sum_i w_i sum_j w_j f(d_ij)
    precision: str
    impl: str
    error: float  # bound of the error of a squared distance, as a share of the larger of the two squared lengths


def sweep(
    x: Float[Tensor, "n d"],
    weights: Float[Tensor, " n"] | None = None,
    *,
    function: Function = "none",
    row_sums: bool = True,
    impl: Impl = "auto",
    precision: Precision | None = None,
    devices: Sequence[torch.device] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Every row of `x` against every other one.

    weights: copies of each row (whole numbers), 1 where not given; they count in the sums only.
    function: f(d) summed over the pairs: "euclidean" d, "angular" arccos(1 - d^2 / 2) / pi (rows of length 1), or "none".
    row_sums: False leaves `sums` out and keeps `total`, which a GPU does faster.
    impl: "torch" (the reference: float64, any device), "tiles" (CPU, float32, half of the pairs, both directions from one
        product), "triton" (CUDA, the same; `precision` "fp16" or "fp16x3"). "auto" is tiles on the CPU and triton on CUDA.
    devices: CUDA devices that share the work of "triton", by row blocks of the triangle; one copy of `x` on each.
    progress: called with (tiles done, tiles) now and then, from a worker thread. Only "tiles" calls it.
    Cost: n^2 d multiplications ("tiles", "triton": half of that), memory O(n). The same bits however many threads there are.
    """
    weights = _check(x, x, weights)
    impl = _choose(impl, x, function)
    _check_precision(impl, precision)
    if impl == "torch":
        return _kept(_sweep_torch(x, x, weights, function, itself=True), row_sums)
    if impl == "tiles":
        from variegate_kernels._pairwise_tiles import sweep_tiles

        found, squared, sums = sweep_tiles(x, None, weights, function, progress)
        return _kept(_result(found, squared, sums, weights, "fp32", "tiles"), row_sums)
    precision = precision or "fp16"
    return _from_triton(_launch(x, weights, devices or (x.device,), function, row_sums, precision), precision)


def _launch(
    x: Tensor, weights: Tensor, devices: Sequence[torch.device], function: Function, row_sums: bool, precision: Precision
) -> _Parts:
    """The sweep in equal parts, one for each device, put together on the first."""
    from variegate_kernels._pairwise_triton import choose_tiling, count_units, launch_sweep, merge_sweeps

    tiling = choose_tiling(devices[0], precision)  # one for all: the parts are cut by it
    units = count_units(x, precision=precision, tiling=tiling)
    cuts = [units * place // len(devices) for place in range(len(devices) + 1)]

    def part(place: int) -> _Parts:
        device = devices[place]
        return launch_sweep(
            x.to(device), weights.to(device), nearest=True, sum=function, row_sums=row_sums, precision=precision,
            tile_range=(cuts[place], cuts[place + 1]), tiling=tiling,
        )  # fmt: skip

    if len(devices) == 1:
        return part(0)
    with ThreadPoolExecutor(len(devices)) as pool:
        return merge_sweeps(list(pool.map(part, range(len(devices)))))


def cross_sweep(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    weights: Float[Tensor, " m"] | None = None,
    *,
    function: Function = "none",
    row_sums: bool = True,
    impl: Impl = "auto",
    precision: Precision | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Every row of `a` against every row of `b`, whose copies `weights` gives; `total` counts every row of `a` once. See `sweep`."""
    weights = _check(a, b, weights)
    impl = _choose(impl, a, function)
    _check_precision(impl, precision)
    if impl == "torch":
        return _kept(_sweep_torch(a, b, weights, function, itself=False), row_sums)
    if impl == "tiles":
        from variegate_kernels._pairwise_tiles import sweep_tiles

        found, squared, sums = sweep_tiles(a, b, weights, function, progress)
        return _kept(_result(found, squared, sums, torch.ones(len(a), dtype=torch.float64), "fp32", "tiles"), row_sums)
    from variegate_kernels._pairwise_triton import launch_cross_sweep

    precision = precision or "fp16"
    out = launch_cross_sweep(a, b, weights, nearest=True, sum=function, row_sums=row_sums, precision=precision)
    return _from_triton(out, precision)


# -- the reference ---------------------------------------------------------------------------------------------


def _sweep_torch(a: Tensor, b: Tensor, weights: Tensor, function: Function, *, itself: bool) -> Sweep:
    n, m = len(a), len(b)
    centre = b.double().mean(0)
    right = b.double() - centre
    right_sq = right.square().sum(1)
    found = torch.full((n,), -1, dtype=torch.int64, device=a.device)
    squared = torch.full((n,), math.inf, dtype=torch.float64, device=a.device)
    sums = torch.zeros(n, dtype=torch.float64, device=a.device)
    size = max(1, _BLOCK_ELEMENTS // m)
    for start in range(0, n, size):
        left = a[start : start + size].double() - centre
        distance_sq = (left.square().sum(1)[:, None] + right_sq - 2 * left @ right.T).clamp_(min=0)
        rows = torch.arange(len(left), device=a.device)
        if itself:
            distance_sq[rows, start + rows] = 0.0
        if function != "none":
            distance = distance_sq.sqrt() if function == "euclidean" else torch.acos((1 - distance_sq / 2).clamp(-1, 1)) / math.pi
            sums[start : start + len(left)] = distance @ weights.double()
        if itself:
            distance_sq[rows, start + rows] = math.inf
        least = distance_sq.min(1)
        squared[start : start + len(left)] = least.values
        found[start : start + len(left)] = torch.where(least.values.isinf(), -1, least.indices)
    own = weights.double() if itself else torch.ones(n, dtype=torch.float64, device=a.device)
    return Sweep(
        nearest=found,
        distance_sq=squared,
        sums=sums if function != "none" else None,
        total=float((own * sums).sum()) if function != "none" else None,
        precision="float64",
        impl="torch",
        error=_ERROR["float64"],
    )


# -- arguments and results -------------------------------------------------------------------------------------


def _check(a: Tensor, b: Tensor, weights: Tensor | None) -> Tensor:
    for name, each in (("a", a), ("b", b)):
        if each.ndim != 2 or each.dtype not in (torch.float32, torch.float64) or 0 in each.shape:
            raise ValueError(f"{name}: got {each.dtype} {list(each.shape)}, expected float32 or float64 [n, d] with n, d >= 1")
    if a.shape[1] != b.shape[1] or a.device != b.device or a.dtype != b.dtype:
        raise ValueError(
            f"a is {a.dtype} {list(a.shape)} on {a.device}, b {b.dtype} {list(b.shape)} on {b.device}: widths, types and devices must agree"
        )
    if weights is None:
        return torch.ones(len(b), dtype=torch.float32, device=b.device)
    if weights.shape != (len(b),):
        raise ValueError(f"weights: got {list(weights.shape)}, expected [{len(b)}], one per row")
    return weights.to(device=b.device, dtype=torch.float32)


def _choose(impl: Impl, x: Tensor, function: Function) -> Impl:
    if impl not in ("auto", "torch", "tiles", "triton"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch', 'tiles' or 'triton'")
    if function not in ("none", "euclidean", "angular"):
        raise ValueError(f"function: got {function!r}, expected 'none', 'euclidean' or 'angular'")
    if impl == "auto":
        impl = "triton" if x.device.type == "cuda" else "tiles" if x.dtype == torch.float32 else "torch"
    if impl in ("tiles", "triton") and x.dtype != torch.float32:
        raise ValueError(f"impl={impl!r} takes float32, got {x.dtype}: convert, or use impl='torch'")
    if impl == "tiles" and x.device.type != "cpu":
        raise ValueError(f"impl='tiles' runs on the CPU, got a tensor on {x.device}: use impl='triton'")
    return impl


def _check_precision(impl: Impl, precision: Precision | None) -> None:
    if precision not in (None, "fp16", "fp16x3") or (precision is not None and impl != "triton"):
        raise ValueError(f"precision: got {precision!r} with impl={impl!r}, expected 'fp16' or 'fp16x3' with impl='triton'")


def _result(found: Tensor, squared: Tensor, sums: Tensor | None, own: Tensor, precision: str, impl: str) -> Sweep:
    total = None if sums is None else float((own.double() * sums).sum())
    return Sweep(found, squared, sums, total, precision, impl, _ERROR[precision])


def _kept(found: Sweep, row_sums: bool) -> Sweep:
    return found if row_sums else replace(found, sums=None)


def _from_triton(out: _Parts, precision: str) -> Sweep:
    return Sweep(*out, precision, "triton", _ERROR[precision])
