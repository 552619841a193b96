"""The k largest inner products of each query with a set of rows, without the n x m matrix. Knows nothing of what they mean."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK_ELEMENTS = 1 << 22


def top_k(
    a: Float[Tensor, "n d"],
    b: Float[Tensor, "m d"],
    k: int,
    *,
    impl: Literal["auto", "torch", "triton"] = "auto",
    precision: Literal["fp16", "fp16x3"] = "fp16",
) -> tuple[Float[Tensor, "n k"], Int[Tensor, "n k"]]:
    """(values, rows of `b`), values descending. n m d multiplications, memory O(n k) beside one block.

    impl: "torch" is the reference, in the type of `a`; "triton" (CUDA, float32, k <= 32) looks in half precision and ranks what
    it found again in float32. "auto" is triton for float32 on CUDA, torch elsewhere. precision: of Triton's first look.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.dtype != b.dtype or a.device != b.device:
        raise ValueError(
            f"a is {a.dtype} {list(a.shape)} on {a.device}, b {b.dtype} {list(b.shape)} on {b.device}: widths, types and devices must agree"
        )
    if not 1 <= k <= len(b):
        raise ValueError(f"k: got {k}, expected 1 to {len(b)}, the rows of b")
    if impl not in ("auto", "torch", "triton"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch' or 'triton'")
    if impl == "triton" or (impl == "auto" and a.device.type == "cuda" and a.dtype == torch.float32 and k <= 32):
        from variegate_kernels._pairwise_triton import launch_top_k

        return launch_top_k(a, b, k, precision=precision)
    values = torch.empty(len(a), k, dtype=a.dtype, device=a.device)
    rows = torch.empty(len(a), k, dtype=torch.int64, device=a.device)
    size = max(1, _BLOCK_ELEMENTS // len(b))
    for start in range(0, len(a), size):
        best = (a[start : start + size] @ b.T).topk(k)
        values[start : start + size], rows[start : start + size] = best
    return values, rows
