"""The GPU side of `pairwise`: rounds rows to fp16, cuts the work into units and launches the kernels. Imports Triton at once.

Knows nothing of duplicates, measures or other GPUs: `tile_range` runs a part of the units, and `merge_sweeps` puts parts that
ran on several devices together. Checks no arguments but `tile_range`; `pairwise` has done so.

Rows are moved by their mean (distances stay) and multiplied by one power of two, so that the largest entry lies in
[2^13, 2^14): products of any width fit float32, and an entry is lost to fp16's smallest numbers only below 2^-38 of the largest.
"fp16x3" keeps the rest of each entry in a second fp16 number, in the same scale, so that all three products go into one sum.
Lengths are those of the rounded rows: the distance of two nearly equal rows is then wrong by the rounding of their difference
(about 3e-4 of the length in fp16), not by that of their product (about 2e-2), and of equal rows by float32's alone.

The same bits come out of every run on one kind of device: minima are over (distance, index), sums per unit are stored and
added in a fixed order, and sums per row are whole numbers (fixed point), which add to the same in any order.
Memory: the fp16 rows, about 30 bytes to a row, and a fixed number of partial sums.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor

from variegate_kernels import _pairwise_kernels
from variegate_kernels._pairwise_kernels import group_maxima, group_products, sweep_strip

Precision = Literal["fp16", "fp16x3"]
Parts = tuple[Tensor, Tensor, Tensor | None, float | None]  # nearest, distance_sq, sums, total

GROUP: int = _pairwise_kernels.GROUP.value
LAST: int = _pairwise_kernels.LAST.value
_INFINITY = 0x7F800000  # the bits of float32's
_FUNCTIONS = {"none": 0, "euclidean": 1, "angular": 2}
_GROUP_BLOCKS = 16  # row blocks that meet the same columns at about the same time
_LONGEST_STRIP = 32  # tiles of a unit
_ENOUGH_UNITS = 4096  # with fewer units than this, strips are shortened: every multiprocessor should have many
_CHUNK_ELEMENTS = 1 << 24  # of float64 rows at a time, while they are rounded
_MAX_PROGRAMS = 1 << 22  # of one launch: each stores 8 bytes
_MAX_KEYS = 1 << 26  # of `launch_top_k` at a time, 8 bytes each
_SPARE_GROUPS = 4  # looked at beyond k, for what fp16 puts in the wrong order


@dataclass(frozen=True, slots=True)
class Tiling:
    """Rows, columns and depth of a tile, warps to a program and loads in flight."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int

    def shared_bytes(self, precision: str) -> int:
        """Of the tiles in flight, and what reductions need besides."""
        return self.stages * (self.rows + self.columns) * self.depth * (4 if precision == "fp16x3" else 2) + 12288


# The first that fits a device's shared memory is taken: Hopper, Blackwell and Ampere (163 KB and more), Ada (99 KB), others. None
# is chosen by timing, which could give other bits from one run to the next: `gpu_pairwise.py --tune` times these and CANDIDATES.
# Of a sweep, none whose sums and minima spill registers on Hopper: tiles of 256 columns do.
TILINGS: dict[str, tuple[Tiling, ...]] = {
    "fp16": (Tiling(128, 128, 64, 8, 4), Tiling(128, 128, 32, 8, 4), Tiling(64, 64, 32, 4, 3)),
    "fp16x3": (Tiling(128, 128, 32, 8, 4), Tiling(128, 128, 32, 8, 2), Tiling(64, 64, 32, 4, 2)),
}
TOP_K_TILINGS: dict[str, tuple[Tiling, ...]] = {
    "fp16": (Tiling(128, 256, 64, 8, 4), *TILINGS["fp16"]),
    "fp16x3": (Tiling(128, 256, 64, 8, 2), *TILINGS["fp16x3"]),
}
CANDIDATES: dict[str, tuple[Tiling, ...]] = {
    "fp16": (Tiling(128, 256, 64, 8, 4), Tiling(256, 128, 64, 8, 4), Tiling(128, 128, 64, 4, 3), Tiling(128, 256, 128, 8, 2)),
    "fp16x3": (Tiling(128, 256, 64, 8, 2), Tiling(128, 256, 32, 8, 4), Tiling(256, 128, 64, 8, 2), Tiling(128, 128, 64, 8, 3)),
}


def launch_sweep(
    x: Float[Tensor, "n d"],
    weights: Float[Tensor, " n"],
    *,
    nearest: bool,
    sum: Literal["none", "euclidean", "angular"],
    row_sums: bool,
    precision: Precision,
    tile_range: tuple[int, int] | None = None,
    tiling: Tiling | None = None,
) -> Parts:
    """(nearest, distance_sq, sums, total) of every row against every other one.

    nearest: int64, the lowest index among equals; distance_sq: float32, as the kernel saw it. -1 and infinity where there is no
    other row, and everywhere if not asked for. sums: float64, sum_j w_j f(d_ij), None without row_sums.
    total: sum over i != j of w_i w_j f(d_ij). Both None with sum="none".
    tile_range: only the units start .. stop - 1 of `count_units`, for `merge_sweeps`. What a unit is depends on the tiling, and
    the tiling on the device: where devices may differ, pass one `tiling` to all parts and to `count_units`.
    """
    tiling = tiling or choose_tiling(x.device, precision)
    plan = _plan(len(x), len(x), tiling, symmetric=True)
    start, stop = tile_range or (0, plan.num_units)
    if not 0 <= start <= stop <= plan.num_units:
        raise ValueError(f"tile_range: got {tile_range}, expected 0 <= start <= stop <= {plan.num_units}: count with the same tiling")
    centre = x.mean(0, dtype=torch.float64)
    exponent = _exponent([x], centre)
    rows = _round(x, centre, exponent, tiling, precision, weights)
    return _sweep(rows, rows, plan, exponent, nearest=nearest, function=sum, row_sums=row_sums, units=(start, stop))


def launch_cross_sweep(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    weights_b: Float[Tensor, " m"],
    *,
    nearest: bool,
    sum: Literal["none", "euclidean", "angular"],
    row_sums: bool,
    precision: Precision,
    tiling: Tiling | None = None,
) -> Parts:
    """The same of every row of `a` against all rows of `b`; total: sum over i and j of w_j f(d_ij)."""
    tiling = tiling or choose_tiling(a.device, precision)
    plan = _plan(len(a), len(b), tiling, symmetric=False)
    centre = b.mean(0, dtype=torch.float64)
    exponent = _exponent([a, b], centre)
    left = _round(a, centre, exponent, tiling, precision, torch.ones(len(a), device=a.device))
    right = _round(b, centre, exponent, tiling, precision, weights_b)
    return _sweep(left, right, plan, exponent, nearest=nearest, function=sum, row_sums=row_sums, units=(0, plan.num_units))


def count_units(x: Float[Tensor, "n d"], *, precision: Precision, tiling: Tiling | None = None) -> int:
    """The units of work of `launch_sweep`. Any cut of 0 .. count into ranges gives the whole; equal ones take about equal time."""
    return _plan(len(x), len(x), tiling or choose_tiling(x.device, precision), symmetric=True).num_units


def merge_sweeps(parts: Sequence[Parts]) -> Parts:
    """One result from the parts of a `launch_sweep` cut by `tile_range`, on the device of the first part.

    nearest and distance_sq are those of the whole, bit for bit. sums and total may differ from it in the last bits of float64,
    and are the same for the same cut in the same order.
    """
    nearest, distance_sq, sums, total = parts[0]
    for other in parts[1:]:
        index, squares = other[0].to(nearest.device), other[1].to(nearest.device)
        better = (index >= 0) & ((nearest < 0) | (squares < distance_sq) | ((squares == distance_sq) & (index < nearest)))
        nearest, distance_sq = torch.where(better, index, nearest), torch.where(better, squares, distance_sq)
        sums = None if sums is None or other[2] is None else sums + other[2].to(sums.device)
        total = None if total is None or other[3] is None else total + other[3]
    return nearest, distance_sq, sums, total


def launch_top_k(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], k: int, *, precision: Precision, tiling: Tiling | None = None
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """The k <= m largest inner products of each row of `a` with the rows of `b`, in falling order, and their rows.

    The k largest products lie in the k groups of 32 columns with the largest maxima. So the groups are found in `precision`,
    a few more than k of them are kept, and the products of their columns are made again in float32: values are exact to
    float32, and equal ones come with the lowest index first.
    """
    tiling = tiling or choose_tiling(a.device, precision, TOP_K_TILINGS)
    n, m, width = len(a), len(b), a.shape[1]
    nothing = torch.zeros(width, dtype=torch.float64, device=a.device)
    left = _round(a, nothing, _exponent([a], nothing), tiling, precision, None)
    right = _round(b, nothing, _exponent([b], nothing), tiling, precision, None)
    a, b = a.contiguous(), b.contiguous()
    num_tiles = triton.cdiv(m, tiling.columns)
    num_groups = num_tiles * (tiling.columns // GROUP)
    num_kept = min(triton.cdiv(m, GROUP), k + _SPARE_GROUPS)
    values = torch.empty(n, k, dtype=torch.float32, device=a.device)
    found = torch.empty(n, k, dtype=torch.int64, device=a.device)
    size = max(1, _MAX_KEYS // (num_groups * tiling.rows)) * tiling.rows
    strip = max(1, min(_LONGEST_STRIP, num_tiles // 64))
    with _on(a.device):
        for start in range(0, n, size):
            num_rows = min(size, n - start)
            num_blocks = triton.cdiv(num_rows, tiling.rows)
            keys = torch.empty(num_blocks * tiling.rows, num_groups, dtype=torch.int64, device=a.device)
            group_maxima[(num_blocks, triton.cdiv(num_tiles, strip))](
                left.high[start:], left.low[start:], right.high, right.low, keys, m, num_tiles, strip, num_groups,
                num_chunks=left.high.shape[1] // tiling.depth, tile_m=tiling.rows, tile_n=tiling.columns, tile_k=tiling.depth,
                three=precision == "fp16x3", num_warps=tiling.warps, num_stages=tiling.stages, enable_fp_fusion=True,
            )  # fmt: skip
            groups = (LAST - (keys[:num_rows].topk(num_kept, dim=1).values & 0xFFFFFFFF)).contiguous()
            keys = torch.empty(num_rows, num_kept * GROUP, dtype=torch.int64, device=a.device)
            group_products[(num_rows, num_kept)](
                a[start:], b, groups, keys, m, width, num_kept, tile_k=128, num_warps=4, enable_fp_fusion=True
            )  # fmt: skip
            best = keys.topk(k, dim=1, sorted=True).values
            found[start : start + num_rows] = LAST - (best & 0xFFFFFFFF)
            high = (best >> 32).to(torch.int32)
            values[start : start + num_rows] = (high ^ ((high >> 31) & LAST)).view(torch.float32)
    return values, found


def choose_tiling(device: torch.device, precision: Precision, tilings: Mapping[str, tuple[Tiling, ...]] = TILINGS) -> Tiling:
    """The first that fits the device's shared memory; without a GPU (Triton's interpreter) the first."""
    if device.type != "cuda":
        return tilings[precision][0]
    index = torch.cuda.current_device() if device.index is None else device.index
    limit = triton.runtime.driver.active.utils.get_device_properties(index)["max_shared_mem"]
    return next((each for each in tilings[precision] if each.shared_bytes(precision) <= limit), tilings[precision][-1])


# -- units of work ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    """Units 0 .. num_masked - 1 are row blocks: their tiles on the diagonal and their ragged last one. The others are a row
    block against a strip of whole tiles, in groups of row blocks: all of a group for one strip, then for the next.

    Neighbours in time so share rows and columns in the second-level cache. The order of the rest is for speed too: the diagonal
    first gives each row some neighbour to improve on; from the last group to the first, most rows meet others as rows before
    they meet them as columns, where finding the neighbour costs more.
    """

    tiling: Tiling
    symmetric: bool
    num_columns: int
    num_whole: int  # column tiles without padding
    num_blocks: int
    num_masked: int
    group: int  # row blocks
    strip: int  # column tiles
    num_strips: int
    starts: tuple[int, ...]  # the first unit of each group from the last on, less num_masked
    num_units: int


def _plan(n: int, m: int, tiling: Tiling, *, symmetric: bool) -> _Plan:
    num_blocks, num_whole = triton.cdiv(n, tiling.rows), m // tiling.columns
    num_tiles = num_blocks * num_whole // (2 if symmetric else 1)
    strip = 1 << max(0, min(_LONGEST_STRIP, num_tiles // _ENOUGH_UNITS).bit_length() - 1)
    num_strips, group = triton.cdiv(num_whole, strip), min(_GROUP_BLOCKS, num_blocks)
    starts, place = [], 0
    for index in reversed(range(triton.cdiv(num_blocks, group))):
        starts.append(place)
        # Of a triangle, the whole tiles right of the group's first row block.
        left = triton.cdiv((index * group + 1) * tiling.rows, tiling.columns) if symmetric else 0
        place += group * (num_strips - left // strip if left < num_whole else 0)
    num_masked = num_blocks if symmetric or m % tiling.columns else 0
    return _Plan(
        tiling, symmetric, m, num_whole, num_blocks, num_masked, group, strip, num_strips, tuple(starts), num_masked + place
    )  # fmt: skip


# -- rows ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows as the kernels see them, padded with zeros to whole tiles."""

    high: Tensor  # float16 [rows, width]
    low: Tensor  # float16, what high leaves of each entry; high itself in "fp16", where it is not read
    squares: Tensor  # float32: squared lengths of the rounded rows
    weights: Tensor  # float32, 0 in padding
    num: int
    three: bool


def _chunks(x: Tensor) -> range:
    return range(0, len(x), max(1, _CHUNK_ELEMENTS // x.shape[1]))


def _exponent(several: list[Tensor], centre: Tensor) -> int:
    """e such that the largest |entry| times 2^e lies in [2^13, 2^14)."""
    largest = max(
        float((x[start : start + _chunks(x).step].double() - centre).abs().max()) for x in several for start in _chunks(x)
    )  # fmt: skip
    return 0 if largest == 0 or not math.isfinite(largest) else 14 - math.frexp(largest)[1]


def _round(x: Tensor, centre: Tensor, exponent: int, tiling: Tiling, precision: Precision, weights: Tensor | None) -> _Rows:
    num, three = len(x), precision == "fp16x3"
    num_padded = triton.cdiv(num, max(tiling.rows, tiling.columns)) * max(tiling.rows, tiling.columns)
    width = triton.cdiv(x.shape[1], tiling.depth) * tiling.depth
    high = torch.zeros(num_padded, width, dtype=torch.float16, device=x.device)
    low = torch.zeros_like(high) if three else high
    squares = torch.zeros(num_padded, dtype=torch.float32, device=x.device)
    for start in _chunks(x):
        part = slice(start, min(num, start + _chunks(x).step))
        exact = (x[part].double() - centre) * 2.0**exponent
        rounded = exact.half()
        high[part, : x.shape[1]] = rounded
        rest = (exact - rounded.double()).half() if three else torch.zeros_like(rounded)
        if three:
            low[part, : x.shape[1]] = rest
        squares[part] = (rounded.double() + rest.double()).square_().sum(1).float()
    padded = torch.zeros(num_padded, dtype=torch.float32, device=x.device)
    padded[:num] = 1 if weights is None else weights
    return _Rows(high, low, squares, padded, num, three)


# -- launching -------------------------------------------------------------------------------------------------


def _sweep(
    left: _Rows, right: _Rows, plan: _Plan, exponent: int, *, nearest: bool, function: str, row_sums: bool, units: tuple[int, int]
) -> Parts:
    device, tiling, chosen = left.high.device, plan.tiling, _FUNCTIONS[function]
    best = torch.full((len(left.high),), -1, dtype=torch.int64, device=device)
    best[: left.num] = (_INFINITY << 32) | LAST
    sums = torch.zeros(len(left.high) if row_sums else 1, dtype=torch.int64, device=device)
    start, stop = units
    pieces = [(True, start, min(stop, plan.num_masked)), (False, max(start, plan.num_masked), stop)]
    partial = torch.zeros(max(1, min(_MAX_PROGRAMS, stop - start)), dtype=torch.float64, device=device)
    total = torch.zeros((), dtype=torch.float64, device=device)
    # Few lengths, so that few n need compiling for.
    num_starts = max(128, triton.next_power_of_2(len(plan.starts)))
    padding = [torch.iinfo(torch.int64).max] * (num_starts - len(plan.starts))
    starts = torch.tensor([*plan.starts, *padding], dtype=torch.int64, device=device)
    fixed = 2.0 ** _fixed_point(left, right, chosen)
    weighted = bool((right.weights[: right.num] != 1).any())
    with _on(device):
        for masked, first, last in pieces:
            for begin in range(first, last, _MAX_PROGRAMS):
                num_programs = min(_MAX_PROGRAMS, last - begin)
                sweep_strip[(num_programs,)](
                    left.high, left.low, left.squares, left.weights, right.high, right.low, right.squares, right.weights,
                    best, sums, partial, starts, begin if masked else begin - plan.num_masked, plan.num_columns, plan.num_whole,
                    plan.num_blocks, len(plan.starts), plan.num_strips, plan.group, plan.strip, 2.0 ** min(127, -2 * exponent), fixed,
                    num_chunks=left.high.shape[1] // tiling.depth, tile_m=tiling.rows, tile_n=tiling.columns, tile_k=tiling.depth,
                    num_starts=num_starts, symmetric=plan.symmetric, masked=masked, nearest=nearest, function=chosen,
                    row_sums=row_sums and chosen > 0, weighted=weighted, three=left.three,
                    num_warps=tiling.warps, num_stages=tiling.stages, enable_fp_fusion=True,
                )  # fmt: skip
                if chosen:
                    total += partial[:num_programs].sum()
    # Distances were those of rows times 2^exponent; a power of two costs no bit.
    unscale = 2.0**-exponent if chosen == 1 else 1.0
    return (
        *_unpack(best[: left.num], exponent),
        sums[: left.num].double() / fixed * unscale if row_sums and chosen else None,
        float(total) * (2 if plan.symmetric else 1) * unscale if chosen else None,
    )


def _unpack(best: Tensor, exponent: int) -> tuple[Tensor, Tensor]:
    squares = (best >> 32).to(torch.int32).view(torch.float32).double() * 2.0 ** (-2 * exponent)
    found = best & 0xFFFFFFFF
    return torch.where(found == LAST, -1, found), squares.float()


def _fixed_point(left: _Rows, right: _Rows, function: int) -> int:
    """The largest e such that 2^e times any row's sum stays below 2^61. No distance passes the sum of the two lengths."""
    longest = math.sqrt(float(left.squares.max())) + math.sqrt(float(right.squares.max())) if function == 1 else 1.0
    bound = 1.01 * longest * float(right.weights.double().sum())
    return 0 if bound == 0 else 61 - math.frexp(bound)[1]


def _on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Triton launches on the current device, which need not be the tensors'."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()
