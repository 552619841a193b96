"""The CPU side of `pairwise`: tiles of products by torch, reduced by compiled code while they lie in the cache.

A queue of tiles feeds threads that each run a single-threaded product: with OpenMP inside the product instead, every tile
would end in a barrier, where a core that other work has taken holds up all others. Checks nothing; `pairwise` has done so.

Sums are kept as whole numbers (fixed point), so that the order in which threads finish changes no bit.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from variegate_kernels._numba import compiled
from variegate_kernels.rows import row_facts

_TILE = 448  # rows and columns: the products (0.8 MB) stay in the second-level cache
_DIAGONAL = 112  # a tile on the diagonal is cut up to this size: only its upper half is needed
_FUNCTIONS = {"none": 0, "euclidean": 1, "angular": 2}
_FAR = np.float32(3e38)
_NONE = np.int64(2**62)  # no neighbour yet: above every index

Tile = tuple[int, int, int, int]  # first and last (excluded) row, first and last column


def _reduce_tile(
    products: Any, left_sq: Any, right_sq: Any, left_weights: Any, right_weights: Any, left_best: Any, left_nearest: Any, right_best: Any,
    right_nearest: Any, left_sums: Any, right_sums: Any, first_row: Any, first_column: Any, scale: Any, function: Any, itself: Any, both: Any,
) -> None:  # fmt: skip
    """Squared distances of one tile into the running minima and sums of its rows and, if `both`, of its columns.

    itself: the tile's rows are its columns, so that row r leaves out column r.
    left_best, right_best hold the bits of float32 numbers as int32: not negative, they sort as the numbers do, and only
    the minimum of whole numbers becomes vector code. Each loop over columns is short on purpose, for the same reason.
    """
    rows, columns = products.shape
    two, zero, one = np.float32(2), np.float32(0), np.float32(1)
    row = np.empty(columns, np.float32)
    bits = row.view(np.int32)
    least = np.empty(columns, np.float32)
    least_bits = least.view(np.int32)
    sums = np.zeros(columns, np.float32)
    for start in range(0, rows, 32):  # columns settle their minima every 32 rows, so that finding the row again is cheap
        stop = min(rows, start + 32)
        for c in range(columns):
            least[c] = np.float32(3e38)
        for r in range(start, stop):
            left, weight, product = left_sq[r], left_weights[r], products[r]
            for c in range(columns):
                value = left + right_sq[c] - two * product[c]
                value = value if value > zero else zero
                row[c] = value
                least[c] = value if value < least[c] else least[c]
            if itself:
                row[r] = np.float32(3e38)
            smallest = np.int32(2147483647)
            for c in range(columns):
                smallest = min(smallest, bits[c])
            if smallest <= left_best[r]:
                for c in range(columns):
                    if bits[c] == smallest:
                        if smallest < left_best[r] or first_column + c < left_nearest[r]:
                            left_nearest[r] = first_column + c
                        break
                left_best[r] = smallest
            if function:
                if itself:
                    row[r] = zero
                total = zero
                if function == 2:
                    for c in range(columns):
                        cosine = one - row[c] / two
                        size = abs(cosine)
                        size = size if size < one else one
                        # Abramowitz and Stegun 4.4.46, error below 3e-8
                        angle = np.sqrt(one - size) * (
                            np.float32(1.5707963050) + size * (np.float32(-0.2145988016) + size * (np.float32(0.0889789874)
                            + size * (np.float32(-0.0501743046) + size * (np.float32(0.0308918810) + size * (np.float32(-0.0170881256)
                            + size * (np.float32(0.0066700901) + size * np.float32(-0.0012624911)))))))
                        )  # fmt: skip
                        angle = angle if cosine >= zero else np.float32(3.14159265358979) - angle
                        row[c] = angle / np.float32(3.14159265358979)
                    for c in range(columns):
                        total += right_weights[c] * row[c]
                        sums[c] += weight * row[c]
                else:
                    for c in range(columns):
                        value = np.sqrt(row[c])
                        total += right_weights[c] * value
                        sums[c] += weight * value
                left_sums[r] += np.int64(total * scale)
        if both:
            for c in range(columns):
                if least_bits[c] <= right_best[c]:
                    found, smallest_value = start, np.float32(3e38)
                    for r in range(start, stop):
                        value = left_sq[r] + right_sq[c] - two * products[r, c]
                        value = value if value > zero else zero
                        if value < smallest_value:
                            found, smallest_value = r, value
                    if least_bits[c] < right_best[c] or first_row + found < right_nearest[c]:
                        right_nearest[c] = first_row + found
                    right_best[c] = least_bits[c]
    if function and both:
        for c in range(columns):
            right_sums[c] += np.int64(sums[c] * scale)


_reduce = compiled(_reduce_tile)


def _triangle(n: int) -> Iterator[Tile]:
    """Tiles that hold each pair i < j once; those on the diagonal, which hold more, small."""
    for i in range(0, n, _TILE):
        yield from _diagonal(i, min(n, i + _TILE))
        for j in range(i + _TILE, n, _TILE):
            yield i, i + _TILE, j, min(n, j + _TILE)


def _diagonal(start: int, stop: int) -> Iterator[Tile]:
    if stop - start <= _DIAGONAL:
        yield start, stop, start, stop
        return
    middle = start + (stop - start + 1) // 2
    yield from _diagonal(start, middle)
    yield start, middle, middle, stop
    yield from _diagonal(middle, stop)


def _rectangle(n: int, m: int) -> Iterator[Tile]:
    for i in range(0, n, _TILE):
        for j in range(0, m, _TILE):
            yield i, min(n, i + _TILE), j, min(m, j + _TILE)


class _Share:
    """One thread's running minima and sums, and the tile it works on."""

    def __init__(self, n: int) -> None:
        self.best = np.full(n, _FAR, np.float32)
        self.nearest = np.full(n, _NONE, np.int64)
        self.sums = np.zeros(n, np.int64)
        self.products = torch.empty(_TILE * _TILE)


def sweep_tiles(
    a: Tensor, b: Tensor | None, weights: Tensor, function: str, progress: Callable[[int, int], None] | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """(nearest, distance_sq, sums) of rows of `a` among the other rows of `a` (b None) or the rows of `b`."""
    right = a if b is None else b
    a_sq = row_facts(a)[0].float().numpy()
    b_sq = a_sq if b is None else row_facts(right)[0].float().numpy()
    column_weights = weights.numpy()
    row_weights = column_weights if b is None else np.ones(len(a), np.float32)
    # No distance passes twice the largest length (an angle passes 1): all sums stay below 2^62.
    longest = max(1.0, 2 * math.sqrt(float(max(a_sq.max(), b_sq.max()))))
    scale = np.float64(2.0 ** math.floor(61 - math.log2(longest * float(weights.double().sum()) + 1)))
    num_tiles = sum(1 for _ in (_triangle(len(a)) if b is None else _rectangle(len(a), len(right))))
    tiles = enumerate(_triangle(len(a)) if b is None else _rectangle(len(a), len(right)))
    lock, stop = threading.Lock(), threading.Event()
    unused = np.zeros(_TILE, np.int64)

    def work() -> _Share:
        try:
            return reduce_tiles()
        except BaseException:
            stop.set()  # the other threads end with their tile
            raise

    def reduce_tiles() -> _Share:
        torch.set_num_threads(1)
        share = _Share(len(a))
        bits = share.best.view(np.int32)
        while not stop.is_set():
            with lock:
                place, tile = next(tiles, (num_tiles, None))
            if tile is None:
                break
            i, i_end, j, j_end = tile
            rows, columns = slice(i, i_end), slice(j, j_end)
            products = share.products[: (i_end - i) * (j_end - j)].view(i_end - i, j_end - j)
            torch.mm(a[rows], right[columns].T, out=products)
            itself = b is None and i == j  # both halves of the small tile, as rows
            both = b is None and i != j
            others = columns if both else slice(0, j_end - j)
            _reduce(
                products.numpy(), a_sq[rows], b_sq[columns], row_weights[rows], column_weights[columns], bits[rows], share.nearest[rows],
                bits[others] if both else unused.view(np.int32), share.nearest[others] if both else unused, share.sums[rows],
                share.sums[others] if both else unused, i, j, scale, _FUNCTIONS[function], itself, both,
            )  # fmt: skip
            if progress is not None and place % 64 == 0:
                progress(place, num_tiles)
        return share

    threads_before = torch.get_num_threads()
    num_threads = max(1, min(threads_before, _usable_cores(), num_tiles))
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            futures = [pool.submit(work) for _ in range(num_threads)]
            try:
                shares = [future.result() for future in futures]
            except BaseException:
                stop.set()  # Ctrl-C
                raise
    finally:
        torch.set_num_threads(threads_before)
    if progress is not None:
        progress(num_tiles, num_tiles)
    return _merge(shares, function, scale)


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _merge(shares: list[_Share], function: str, scale: float) -> tuple[Tensor, Tensor, Tensor | None]:
    best, found = shares[0].best, shares[0].nearest
    for share in shares[1:]:
        better = (share.best < best) | ((share.best == best) & (share.nearest < found))
        best, found = np.where(better, share.best, best), np.where(better, share.nearest, found)
    none = best == _FAR  # only the pair (i, i), which is set so
    sums = np.sum([share.sums for share in shares], axis=0) / scale
    return (
        torch.from_numpy(np.where(none, -1, found)),
        torch.from_numpy(np.where(none, np.float32(np.inf), best)),
        torch.from_numpy(sums) if function != "none" else None,
    )
