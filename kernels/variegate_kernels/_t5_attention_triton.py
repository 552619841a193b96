"""The Triton kernels behind `t5_attention.paged_attention`. Imports Triton at once: import it only to launch.

One program takes one row of the query, one head and a share of the row's keys. T5 has as many key heads as query heads and a
request nearly always one new row, so a key is read once and there is nothing for the tensor cores to reuse: the kernel is a
stream over memory. The row's request is found on the device and the grid follows from shapes alone: a CUDA graph may hold it.
Checks nothing; `t5_attention` has done so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from variegate_kernels.t5_attention import PagedStep

TILE = 64  # keys of a row at a time
WARPS = 4
_PROGRAMS_PER_MULTIPROCESSOR = 8  # below this many, the keys of a row are shared out among several
_MAX_SPLITS = 32
_LOWEST = tl.constexpr(-3.0e38)  # below every score; not infinite, so that the difference of two is a number


@triton.jit  # type: ignore[untyped-decorator]
def _find_request(row, query_starts, num_requests):  # type: ignore[no-untyped-def]  # triton reads the annotations
    """The request that owns a row; num_requests if none does. A step of one row a request needs no search."""
    low, high = 0, num_requests
    guess = tl.minimum(row, num_requests - 1)
    if (tl.load(query_starts + guess) <= row) & (row < tl.load(query_starts + guess + 1)):
        low, high = guess, guess
    while low < high:
        middle = (low + high) // 2
        if tl.load(query_starts + middle + 1) <= row:
            low = middle + 1
        else:
            high = middle
    return low


@triton.jit(do_not_specialize=["num_requests"])  # type: ignore[untyped-decorator]
def attend(  # type: ignore[no-untyped-def]
    query, keys, values, bias, block_table, seq_lens, query_starts, out,
    part_sums,  # float32 [t, h, splits, d], not normalised; these three if splits > 1
    part_largest, part_total,  # float32 [t, h, splits]; a total of 0 stands for no keys
    num_requests, last_distance, scale,
    query_row, query_head, key_block, key_slot, key_head, value_block, value_slot, value_head, bias_head, table_row, out_row, out_head,
    num_heads: tl.constexpr, slots: tl.constexpr, width: tl.constexpr, padded: tl.constexpr, splits: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    """padded: the power of two at or above the width."""
    row = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)  # heads may lie far apart: a cache can hold all blocks of one head first
    split = tl.program_id(2)
    request = _find_request(row, query_starts, num_requests)
    owned = request < num_requests
    behind = tl.load(query_starts + request + 1, mask=owned, other=0) - 1 - row  # rows of the request that follow
    num_keys = tl.where(owned, tl.load(seq_lens + request, mask=owned, other=0) - behind, 0)
    table = block_table + request.to(tl.int64) * table_row
    row = row.to(tl.int64)

    column = tl.arange(0, padded)
    inside = column < width
    asked = tl.load(query + row * query_row + head * query_head + column, mask=inside, other=0.0).to(tl.float32) * scale
    largest, total = _LOWEST, 0.0
    sums = tl.zeros([padded], tl.float32)
    num_tiles = tl.cdiv(tl.maximum(num_keys, 0), tile)
    share = tl.cdiv(num_tiles, splits)
    for i in range(split * share, tl.minimum(split * share + share, num_tiles)):
        position = i * tile + tl.arange(0, tile)
        seen = position < num_keys
        both = seen[:, None] & inside[None, :]
        block = tl.load(table + position // slots, mask=seen, other=0).to(tl.int64)
        slot = position % slots
        key = tl.load(keys + (block * key_block + slot * key_slot + head * key_head)[:, None] + column[None, :], mask=both, other=0.0)
        value = tl.load(
            values + (block * value_block + slot * value_slot + head * value_head)[:, None] + column[None, :], mask=both, other=0.0
        )
        distance = tl.minimum(num_keys - 1 - position, last_distance)
        score = tl.sum(key.to(tl.float32) * asked[None, :], axis=1) + tl.load(bias + head * bias_head + distance, mask=seen, other=0.0)
        score = tl.where(seen, score, _LOWEST)
        before = largest
        largest = tl.maximum(before, tl.max(score, axis=0))
        weight = tl.exp(score - largest)
        shrink = tl.exp(before - largest)
        total = total * shrink + tl.sum(weight, axis=0)
        sums = sums * shrink + tl.sum(weight[:, None] * value.to(tl.float32), axis=0)
    if splits == 1:
        if num_keys > 0:
            tl.store(out + row * out_row + head * out_head + column, (sums / total).to(out.dtype.element_ty), mask=inside)
    else:
        part = (row * num_heads + head) * splits + split
        tl.store(part_sums + part * width + column, sums, mask=inside)
        tl.store(part_largest + part, largest)
        tl.store(part_total + part, total)


@triton.jit  # type: ignore[untyped-decorator]
def merge(  # type: ignore[no-untyped-def]
    part_sums, part_largest, part_total, out, out_row, out_head,
    num_heads: tl.constexpr, width: tl.constexpr, padded: tl.constexpr, splits: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    column = tl.arange(0, padded)
    inside = column < width
    part = (row * num_heads + head) * splits + tl.arange(0, splits)
    largest = tl.load(part_largest + part)
    total = tl.load(part_total + part)
    weight = tl.exp(largest - tl.max(largest, axis=0))
    sums = tl.load(part_sums + part[:, None] * width + column[None, :], mask=inside[None, :], other=0.0)
    whole = tl.sum(total * weight, axis=0)
    if whole > 0:
        value = tl.sum(sums * weight[:, None], axis=0) / whole
        tl.store(out + row * out_row + head * out_head + column, value.to(out.dtype.element_ty), mask=inside)


def launch_paged_attention(
    query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, step: PagedStep, scale: float, out: Tensor,
    *, splits: int | None = None, tile: int = TILE, num_warps: int = WARPS,
) -> None:  # fmt: skip
    """splits: a power of two; None chooses by shapes and the device."""
    num_rows, num_heads, width = query.shape
    slots = keys.shape[1]
    padded = triton.next_power_of_2(width)
    if splits is None:
        most = step.block_table.shape[1] * slots
        splits = choose_splits(num_rows * num_heads, min(most, step.max_seq_len or most), tile, query.device)
    shape = (num_rows, num_heads, splits)
    parts = [out, out, out]  # unused if splits == 1
    if splits > 1:  # inside a CUDA graph these come from the graph's own pool
        parts = [bias.new_empty(*shape, width), bias.new_empty(shape), bias.new_empty(shape)]
    attend[shape](
        query, keys, values, bias, step.block_table, step.seq_lens, step.query_starts, out, *parts,
        len(step.seq_lens), bias.shape[1] - 1, scale,
        *query.stride()[:2], *keys.stride()[:3], *values.stride()[:3], bias.stride(0), step.block_table.stride(0), *out.stride()[:2],
        num_heads=num_heads, slots=slots, width=width, padded=padded, splits=splits, tile=tile, num_warps=num_warps,
    )  # fmt: skip
    if splits > 1:
        merge[shape[:2]](
            *parts, out, *out.stride()[:2], num_heads=num_heads, width=width, padded=padded, splits=splits, num_warps=1
        )  # fmt: skip


def warm_up(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, step: PagedStep, scale: float) -> None:
    """Compile the kernels for every number of splits that a step of these requests may take, by running them."""
    out = torch.empty_like(query)
    most = choose_splits(1, step.block_table.shape[1] * keys.shape[1], TILE, query.device)
    for power in range(most.bit_length()):
        launch_paged_attention(query, keys, values, bias, step, scale, out, splits=1 << power)


def choose_splits(num_programs: int, max_keys: int, tile: int, device: torch.device) -> int:
    """As many as fill the device, of two tiles or more where a request has `max_keys`."""
    multiprocessors = torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
    wanted = min(multiprocessors * _PROGRAMS_PER_MULTIPROCESSOR // num_programs, max_keys // (2 * tile), _MAX_SPLITS)
    return 1 << max(0, wanted.bit_length() - 1)
