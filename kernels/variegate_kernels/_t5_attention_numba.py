"""The CPU kernel behind `t5_attention.paged_attention`, in float32. Checks nothing; `t5_attention` has done so.

Plain threads share the (row, head) pairs: numba's own thread pools do not get on with forks, with calls from two threads, or
with the OpenMP that torch has loaded.
"""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from variegate_kernels._numba import compiled

if TYPE_CHECKING:
    from variegate_kernels.t5_attention import Rows

_SHARE_ELEMENTS = 1 << 17  # of keys: 1 MB of keys and values, for which it pays to wake a thread


def _attend(
    query: Any, query_strides: Any, keys: Any, key_strides: Any, values: Any, value_strides: Any, bias: Any, bias_strides: Any,
    out: Any, out_strides: Any, block_table: Any, table_strides: Any, request: Any, num_keys: Any, scale: Any, num_heads: Any,
    slots: Any, width: Any, num_distances: Any, share: Any, num_shares: Any,
) -> None:  # fmt: skip
    """Tensors come as their storage, which is known to be contiguous, and strides: loops over `width` become vector code."""
    asked = np.empty(width, np.float32)
    sums = np.empty(width, np.float32)
    weights = np.empty(slots, np.float32)
    for pair in range(share, len(request) * num_heads, num_shares):
        row, head = pair // num_heads, pair % num_heads
        count = num_keys[row]
        if count == 0:
            continue
        start = row * query_strides[0] + head * query_strides[1]
        for c in range(width):
            asked[c] = query[start + c] * scale
            sums[c] = np.float32(0)
        largest, total = np.float32(-3e38), np.float32(0)
        for first in range(0, count, slots):
            block = np.int64(block_table[request[row] * table_strides[0] + first // slots])
            key_start = block * key_strides[0] + head * key_strides[2]
            value_start = block * value_strides[0] + head * value_strides[2]
            inside = min(slots, count - first)
            before = largest
            for s in range(inside):
                place = key_start + s * key_strides[1]
                key = keys[place : place + width]
                score = bias[head * bias_strides[0] + min(count - 1 - first - s, num_distances - 1)]
                for c in range(width):
                    score += asked[c] * key[c]
                weights[s] = score
                largest = max(largest, score)
            shrink = np.exp(before - largest)
            total *= shrink
            for c in range(width):
                sums[c] *= shrink
            for s in range(inside):
                weight = np.exp(weights[s] - largest)
                total += weight
                place = value_start + s * value_strides[1]
                value = values[place : place + width]
                for c in range(width):
                    sums[c] += weight * value[c]
        start = row * out_strides[0] + head * out_strides[1]
        for c in range(width):
            out[start + c] = sums[c] / total


_attend_compiled = compiled(_attend)


def attend(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor, block_table: Tensor, rows: Rows, scale: float, out: Tensor) -> None:
    num_heads, width = query.shape[1:]
    num_shares = max(1, min(torch.get_num_threads(), rows.total_keys * num_heads * width // _SHARE_ELEMENTS))
    tensors: list[Any] = []
    for tensor in (query, keys, values, bias, out, block_table):
        tensors += [_storage(tensor), tensor.stride()]
    run = functools.partial(
        _attend_compiled, *tensors, rows.request.numpy(), rows.num_keys.numpy(), np.float32(scale),
        num_heads, keys.shape[1], width, bias.shape[1],
    )  # fmt: skip
    if num_shares == 1:
        run(0, 1)
        return
    others = [_pool(os.getpid(), num_shares - 1).submit(run, share, num_shares) for share in range(1, num_shares)]
    run(0, num_shares)
    for other in others:
        other.result()


@functools.lru_cache(maxsize=1)
def _pool(process: int, num_threads: int) -> ThreadPoolExecutor:
    """`process` because a fork has none of its parent's threads."""
    return ThreadPoolExecutor(num_threads, "t5-attention")


def _storage(tensor: Tensor) -> Any:
    """From its first element to its last, in the order of memory."""
    extent = 1 + sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.detach().as_strided((extent,), (1,)).numpy()
