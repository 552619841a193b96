"""One pass over a matrix: each row's squared length and a hash of its bits, or its exact distance to one other row.

Knows nothing of what the rows mean.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

MIXER = 0x1E3779B97F4A7C15  # odd, bits without pattern
_BLOCK_ELEMENTS = 1 << 20


def row_facts(
    x: Float[Tensor, "n d"], *, impl: Literal["auto", "torch", "numba"] = "auto"
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """(sum_k x_k^2 in float64, sum_k mix(bits_k) * odd_k modulo 2^64), `x` float32 or float64; -0 hashes as 0.

    `odd` are fixed pseudo-random odd numbers, one a column, so equal rows share a hash and two different ones do with a
    probability of about 2^-63. `mix` moves high bits down: small whole numbers, as floats, end in zeros, which products keep.
    `impl="auto"` is numba for float32 on the CPU, torch elsewhere. Cost: n * d reads.
    """
    if impl not in ("auto", "torch", "numba"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch' or 'numba'")
    if x.ndim != 2 or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x: got {x.dtype} {list(x.shape)}, expected float32 or float64 [n, d]")
    if impl == "auto":
        impl = "numba" if _fits_numba(x) else "torch"
    odd = multipliers(x.shape[1])
    if impl == "numba":
        return _row_facts_numba(x, odd)
    return _row_facts_torch(x, odd.to(x.device))


def multipliers(d: int) -> Int[Tensor, " d"]:
    return torch.randint(-(2**62), 2**62, (d,), generator=torch.Generator().manual_seed(20231206)).mul_(2).add_(1)


def _row_facts_torch(x: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    squares = torch.empty(len(x), dtype=torch.float64, device=x.device)
    hashes = torch.empty(len(x), dtype=torch.int64, device=x.device)
    size = max(1, _BLOCK_ELEMENTS // max(1, x.shape[1]))
    for start in range(0, len(x), size):
        block = x[start : start + size].contiguous() + 0.0  # a copy in which -0 is 0
        squares[start : start + len(block)] = block.double().square().sum(1)
        bits = block.view(torch.int32 if x.dtype == torch.float32 else torch.int64).to(torch.int64)  # a copy, or of one
        bits.mul_(MIXER)
        bits.bitwise_xor_(bits >> 32)
        hashes[start : start + len(block)] = bits.mul_(odd).sum(1)
    return squares, hashes


def _row_facts_numba(x: Tensor, odd: Tensor) -> tuple[Tensor, Tensor]:
    if not _fits_numba(x):
        raise ValueError("impl='numba' takes float32 on the CPU with contiguous rows: use impl='torch'")
    from variegate_kernels._rows_numba import fill_row_facts

    squares, hashes = torch.empty(len(x), dtype=torch.float64), torch.empty(len(x), dtype=torch.int64)
    fill_row_facts(x.numpy(), x.view(torch.int32).numpy(), odd.numpy(), squares.numpy(), hashes.numpy())
    return squares, hashes


def pair_distances(
    a: Float[Tensor, "n d"], b: Float[Tensor, "m d"], index: Int[Tensor, " n"], *, impl: Literal["auto", "torch", "numba"] = "auto"
) -> Float[Tensor, " n"]:
    """|a_i - b_index[i]| in float64, by differences: exact 0 for equal rows. Infinity where the index is -1. O(n d).

    `impl` as in `row_facts`.
    """
    if impl not in ("auto", "torch", "numba"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch' or 'numba'")
    out = torch.full((len(a),), math.inf, dtype=torch.float64, device=a.device)
    if impl == "numba" or (impl == "auto" and _fits_numba(a) and _fits_numba(b)):
        if not (_fits_numba(a) and _fits_numba(b)):
            raise ValueError("impl='numba' takes float32 on the CPU with contiguous rows: use impl='torch'")
        from variegate_kernels._rows_numba import fill_pair_distances

        fill_pair_distances(a.numpy(), b.numpy(), index.numpy(), out.numpy())
        return out
    size = max(1, _BLOCK_ELEMENTS // a.shape[1])
    for start in range(0, len(a), size):
        part = index[start : start + size]
        difference = a[start : start + size].double() - b[part.clamp(min=0)].double()
        out[start : start + size] = difference.square_().sum(1).sqrt_().masked_fill_(part < 0, math.inf)
    return out


def _fits_numba(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.stride(1) == 1
