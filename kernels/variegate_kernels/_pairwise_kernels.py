"""The Triton kernels behind `_pairwise_triton`. Imports Triton at once: import it only to launch.

Knows nothing of scaling, devices or launches. One program takes a row block and walks a strip of column tiles. Squared
distances come from q_i + q_j - 2 g_ij and are clamped to 0, so that their bits, read as int32, sort as they do: the nearest
row is a minimum over the int64 (bits << 32 | index), which gives the lowest index on ties in whatever order tiles finish.

Compiled for sm_90, a pair of an interior tile costs one FFMA, one FADD and one FMNMX (the clamp), less than one minimum for its
row, a subtraction and less than one minimum for its column and, for sums, one MUFU and one FADD. Which row or column a minimum
came from costs several times that, and is looked for only where a minimum of the tile is no larger than what is known.
"""

from __future__ import annotations

import triton
import triton.language as tl

FAR = tl.constexpr(0x7FFFFFFE)  # the bits of a pair that does not count: above infinity, and one below the largest int32
LAST = tl.constexpr(0x7FFFFFFF)
GROUP = tl.constexpr(32)  # columns of which `group_maxima` keeps the largest product


@triton.jit  # type: ignore[untyped-decorator]
def _add_products(  # type: ignore[no-untyped-def]  # triton reads the annotations
    products, a_high, a_low, b_high, b_low, inside_a, inside_b, three: tl.constexpr
):  # fmt: skip
    """One chunk of a tile of inner products. `three`: rows are high + low; low * low is left out (2^-22 of the whole)."""
    left = tl.load(a_high + inside_a)
    right = tl.load(b_high + inside_b).T
    if three:  # the small products first: what the tensor cores cut off is then smaller too
        products = tl.dot(left, tl.load(b_low + inside_b).T, products)
        products = tl.dot(tl.load(a_low + inside_a), right, products)
    return tl.dot(left, right, products)


@triton.jit  # type: ignore[untyped-decorator]
def _angle(distance_sq):  # type: ignore[no-untyped-def]
    """arccos(1 - distance_sq / 2) / pi, by Abramowitz and Stegun 4.4.46 with its coefficients over pi: error below 1e-7."""
    half = tl.minimum(distance_sq * 0.5, 2.0)
    size = tl.abs(1.0 - half)
    series = -0.00040186340 * size + 0.0021231556
    series = series * size - 0.0054393093
    series = series * size + 0.0098331911
    series = series * size - 0.015970977
    series = series * size + 0.028322890
    series = series * size - 0.068308921
    series = series * size + 0.49999999
    angle = tl.sqrt(tl.minimum(half, 2.0 - half)) * series
    return tl.where(half > 1.0, 1.0 - angle, angle)


# Numbers that change from call to call: Triton would compile anew for those that are 1 or a multiple of 16.
@triton.jit(do_not_specialize=["first", "num_columns", "num_whole", "num_blocks", "num_groups", "num_strips", "group", "strip"])  # type: ignore[untyped-decorator]
def sweep_strip(  # type: ignore[no-untyped-def]
    a_high, a_low, a_sq, a_weights,  # fp16 [rows padded, width] twice, float32 [rows padded] twice
    b_high, b_low, b_sq, b_weights,  # the same of the columns
    best,  # int64 [rows padded]: bits << 32 | index; -1 in padding, which nothing improves on
    sums,  # int64 [rows padded]: fixed point
    partial,  # float64 [programs]
    starts,  # int64 [num_starts]: the first unit of each group of row blocks, the last group first; then only larger numbers
    first, num_columns, num_whole, num_blocks, num_groups, num_strips, group, strip, unscale, fixed,
    num_chunks: tl.constexpr, tile_m: tl.constexpr, tile_n: tl.constexpr, tile_k: tl.constexpr, num_starts: tl.constexpr,
    symmetric: tl.constexpr, masked: tl.constexpr, nearest: tl.constexpr, function: tl.constexpr, row_sums: tl.constexpr,
    weighted: tl.constexpr, three: tl.constexpr,
):  # fmt: skip
    """One unit of work: a row block against a strip of column tiles.

    symmetric: columns are the rows, only pairs row < column are seen, and each updates both.
    masked: not a strip of whole tiles but the row block's tiles on the diagonal (if symmetric) and its ragged last one.
    num_whole: column tiles without padding. unscale: what turns a squared distance into one of rows of length 1.
    function: 0 none, 1 the distance, 2 its angle. weighted: columns weigh other than 1 (rows always weigh `a_weights`).
    """
    width: tl.constexpr = num_chunks * tile_k
    unit = first + tl.program_id(0).to(tl.int64)
    if masked:
        i = unit
    else:
        known = tl.load(starts + tl.arange(0, num_starts))
        place = tl.sum((known <= unit).to(tl.int32), axis=0) - 1
        inside = (unit - tl.load(starts + place)).to(tl.int32)
        i = ((num_groups - 1 - place) * group + inside % group).to(tl.int64)
    # Column tiles [diagonal, clear) hold pairs on both sides of the diagonal.
    diagonal = (i * tile_m // tile_n).to(tl.int32)
    clear = (((i + 1) * tile_m + tile_n - 1) // tile_n).to(tl.int32)
    if masked:
        num_tiles = (num_columns + tile_n - 1) // tile_n
        begin = num_whole
        if symmetric:
            begin = diagonal
            num_tiles = tl.where(num_tiles > tl.maximum(clear, num_whole), clear + 1, tl.minimum(clear, num_tiles))
        end = num_tiles
    else:
        begin = (num_strips - 1 - inside // group) * strip
        end = tl.minimum(begin + strip, num_whole)
        if symmetric:
            begin = tl.maximum(begin, clear)
        # Nothing to do below the diagonal, or past the last row block of a group that is not full.
        end = tl.where(i < num_blocks, tl.maximum(begin, end), begin)
        i = tl.minimum(i, num_blocks - 1)

    in_rows = tl.arange(0, tile_m)
    in_columns = tl.arange(0, tile_n)
    in_chunk = tl.arange(0, tile_k)
    rows = (i * tile_m).to(tl.int32) + in_rows
    inside_a = in_rows[:, None] * width + in_chunk[None, :]
    inside_b = in_columns[:, None] * width + in_chunk[None, :]
    offset_a = i * (tile_m * width)  # int64: rows times width may pass 2^31
    row_sq = tl.load(a_sq + rows)
    row_weight = tl.load(a_weights + rows)
    row_total = tl.zeros((tile_m,), dtype=tl.float64)
    row_best = (tl.load(best + rows, cache_modifier=".cg") >> 32).to(tl.int32) if nearest else tl.full((tile_m,), 0, dtype=tl.int32)
    row_found = tl.full((tile_m,), -1, dtype=tl.int32)

    # One loop over all chunks of all tiles, so that the loads of a tile start while the tile before is being reduced.
    products = tl.zeros((tile_m, tile_n), dtype=tl.float32)
    for step in range((end - begin) * num_chunks):
        chunk = step % num_chunks
        j = begin + step // num_chunks
        if masked and symmetric:
            j = tl.where(j < clear, j, num_whole)  # the ragged tile, not next to the diagonal
        offset_b = j.to(tl.int64) * (tile_n * width) + chunk * tile_k
        at_a = offset_a + chunk * tile_k
        products = _add_products(
            products, a_high + at_a, a_low + at_a, b_high + offset_b, b_low + offset_b, inside_a, inside_b, three
        )  # fmt: skip
        if chunk == num_chunks - 1:
            columns = j * tile_n + in_columns
            squares = tl.maximum(row_sq[:, None] + (tl.load(b_sq + columns)[None, :] - 2.0 * products), 0.0)
            if masked:
                counts = columns[None, :] < num_columns
                if symmetric:
                    counts = counts & (rows[:, None] < columns[None, :])
            if function > 0:
                distances = tl.sqrt(squares) if function == 1 else _angle(squares * unscale)
                if masked:
                    distances = tl.where(counts, distances, 0.0)
                if row_sums and symmetric:
                    from_rows = distances
                    if weighted:
                        from_rows = distances * row_weight[:, None]
                    column_sum = tl.sum(from_rows, axis=0).to(tl.float64)
                    tl.atomic_add(sums + columns, tl.floor(column_sum * fixed + 0.5).to(tl.int64), sem="relaxed")
                if weighted:
                    distances = distances * tl.load(b_weights + columns)[None, :]
                row_total += tl.sum(distances, axis=1).to(tl.float64)
            if nearest:
                bits = squares.to(tl.int32, bitcast=True)
                if masked:
                    bits = tl.where(counts, bits, FAR)
                row_least = tl.min(bits, axis=1)
                improved = (row_least <= row_best).to(tl.int32)
                if symmetric:
                    # Other programs may lower this meanwhile. Then it is too high, and a needless look is all it costs.
                    column_best = (tl.load(best + columns, cache_modifier=".cg") >> 32).to(tl.int32)
                    slack = tl.min(bits - column_best[None, :], axis=1)
                    improved += (slack <= 0).to(tl.int32) * 65536
                improved = tl.sum(improved, axis=0)
                if improved % 65536 > 0:
                    found = tl.min(tl.where(bits == row_least[:, None], columns[None, :], LAST), axis=1)
                    take = (row_least < row_best) | ((row_least == row_best) & (row_found < 0))
                    row_found = tl.where(take, found, row_found)
                    row_best = tl.minimum(row_best, row_least)
                if symmetric:  # noqa: SIM102  # known to the compiler, unlike what follows
                    if improved >= 65536:
                        column_least = tl.min(bits, axis=0)
                        found = tl.min(tl.where(bits == column_least[None, :], rows[:, None], LAST), axis=0)
                        packed = (column_least.to(tl.int64) << 32) | found.to(tl.int64)
                        tl.atomic_min(best + columns, packed, mask=column_least <= column_best, sem="relaxed")
            products = tl.zeros((tile_m, tile_n), dtype=tl.float32)

    if nearest:
        packed = (row_best.to(tl.int64) << 32) | row_found.to(tl.int64)
        tl.atomic_min(best + rows, packed, mask=row_found >= 0, sem="relaxed")
    if function > 0:
        if row_sums:
            tl.atomic_add(sums + rows, tl.floor(row_total * fixed + 0.5).to(tl.int64), sem="relaxed")
        tl.store(partial + tl.program_id(0), tl.sum(row_total * row_weight.to(tl.float64), axis=0))


@triton.jit(do_not_specialize=["num_columns", "num_tiles", "strip"])  # type: ignore[untyped-decorator]
def group_maxima(  # type: ignore[no-untyped-def]
    a_high, a_low, b_high, b_low,
    keys,  # int64 [rows padded, num_groups]: sorting key of the largest product << 32 | LAST - group
    num_columns, num_tiles, strip, num_groups,
    num_chunks: tl.constexpr, tile_m: tl.constexpr, tile_n: tl.constexpr, tile_k: tl.constexpr, three: tl.constexpr,
):  # fmt: skip
    """The largest inner product in each group of 32 columns, of a row block against a strip of column tiles."""
    width: tl.constexpr = num_chunks * tile_k
    i = tl.program_id(0).to(tl.int64)
    begin = tl.program_id(1) * strip
    in_rows = tl.arange(0, tile_m)
    in_columns = tl.arange(0, tile_n)
    in_chunk = tl.arange(0, tile_k)
    inside_a = in_rows[:, None] * width + in_chunk[None, :]
    inside_b = in_columns[:, None] * width + in_chunk[None, :]
    offset_a = i * (tile_m * width)
    target = keys + (i * tile_m + in_rows)[:, None] * num_groups
    products = tl.zeros((tile_m, tile_n), dtype=tl.float32)
    for step in range((tl.minimum(begin + strip, num_tiles) - begin) * num_chunks):
        chunk = step % num_chunks
        j = begin + step // num_chunks
        offset_b = j.to(tl.int64) * (tile_n * width) + chunk * tile_k
        at_a = offset_a + chunk * tile_k
        products = _add_products(
            products, a_high + at_a, a_low + at_a, b_high + offset_b, b_low + offset_b, inside_a, inside_b, three
        )  # fmt: skip
        if chunk == num_chunks - 1:
            if (j + 1) * tile_n > num_columns:
                products = tl.where((j * tile_n + in_columns)[None, :] < num_columns, products, float("-inf"))
            largest = tl.max(tl.reshape(products, (tile_m, tile_n // GROUP, GROUP)), axis=2)
            bits = largest.to(tl.int32, bitcast=True)
            key = bits ^ ((bits >> 31) & LAST)  # of a negative number all but the sign is turned over: now it sorts as the number
            group = j * (tile_n // GROUP) + tl.arange(0, tile_n // GROUP)
            tl.store(target + group[None, :], (key.to(tl.int64) << 32) | (-group + LAST).to(tl.int64)[None, :])
            products = tl.zeros((tile_m, tile_n), dtype=tl.float32)


@triton.jit(do_not_specialize=["num_columns", "num_kept"])  # type: ignore[untyped-decorator]
def group_products(  # type: ignore[no-untyped-def]
    a, b, groups,  # float32 [n, width], float32 [m, width], int64 [n, num_kept]
    keys,  # int64 [n, num_kept * 32]: sorting key of each product << 32 | LAST - column
    num_columns, width, num_kept,
    tile_k: tl.constexpr,
):  # fmt: skip
    """The inner products of one row with the 32 columns of one of its groups, in float32."""
    i = tl.program_id(0).to(tl.int64)
    place = tl.program_id(1)
    columns = tl.load(groups + i * num_kept + place) * GROUP + tl.arange(0, GROUP)
    in_chunk = tl.arange(0, tile_k)
    inside = columns < num_columns
    products = tl.zeros((GROUP,), dtype=tl.float32)
    for start in range(0, width, tile_k):
        at = start + in_chunk
        left = tl.load(a + i * width + at, mask=at < width, other=0.0)
        right = tl.load(b + columns[:, None] * width + at[None, :], mask=inside[:, None] & (at < width)[None, :], other=0.0)
        products += tl.sum(left[None, :] * right, axis=1)
    products = tl.where(inside, products, float("-inf"))
    bits = products.to(tl.int32, bitcast=True)
    key = bits ^ ((bits >> 31) & LAST)
    target = keys + (i * num_kept + place) * GROUP + tl.arange(0, GROUP)
    tl.store(target, (key.to(tl.int64) << 32) | (-columns + LAST).to(tl.int64))
