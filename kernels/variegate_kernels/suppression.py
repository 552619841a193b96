"""Add one row of a bias table to each row of a batch of logits, chosen by index, in place.

Knows nothing of tokens, requests or engines. Row 0 of the table stands for "no bias": rows[i] == 0 leaves logits[i] alone,
bit for bit. `rows` must lie in [0, g): the CPU path raises IndexError otherwise, CUDA paths do not look (that would cost a
synchronisation; the Triton kernel checks under TRITON_DEBUG=1), so the caller checks once, when it hands the rows out.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor


def apply_bias(
    logits: Float[Tensor, "b v"],
    table: Float[Tensor, "g v"],
    rows: Int[Tensor, " b"],
    scale: Float[Tensor, " b"] | None = None,
    *,
    impl: Literal["auto", "torch", "triton"] = "auto",
) -> Float[Tensor, "b v"]:
    """logits[i] += scale[i] * table[rows[i]], in place; returns `logits`.

    `logits` is float32, bfloat16 or float16, `table` and `scale` are float32: the sum is made in float32 and rounded once.
    `impl="auto"` is Triton on CUDA tensors and torch elsewhere. Cost: b * v reads of logits and of table, b * v writes.
    """
    if impl not in ("auto", "torch", "triton"):
        raise ValueError(f"impl: got {impl!r}, expected 'auto', 'torch' or 'triton'")
    if impl == "triton" or (impl == "auto" and logits.device.type == "cuda"):
        return apply_bias_triton(logits, table, rows, scale)
    return apply_bias_torch(logits, table, rows, scale)


def apply_bias_torch(
    logits: Float[Tensor, "b v"],
    table: Float[Tensor, "g v"],
    rows: Int[Tensor, " b"],
    scale: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, "b v"]:
    """The reference, and the CPU path. See `apply_bias`.

    On the CPU the biased rows are picked out first, and when all of them share one table row and scale (one table for a
    whole run) it is broadcast rather than gathered. Elsewhere both would wait for the device, so every row is gathered and
    a skipped one gets weight 0.
    """
    _check(logits, table, rows, scale)
    if logits.device.type != "cpu":
        weight = (rows != 0).to(torch.float32) if scale is None else scale.masked_fill(rows == 0, 0.0)
        return logits.add_(table.index_select(0, rows).mul_(weight[:, None]))
    biased = rows.nonzero().squeeze(1)
    if len(biased) == 0:
        return logits
    every = len(biased) == len(rows)
    if not every:
        rows = rows.index_select(0, biased)
        scale = None if scale is None else scale.index_select(0, biased)
    if bool((rows == rows[0]).all()) and (scale is None or bool((scale == scale[0]).all())):
        rows, scale = rows[:1], None if scale is None else scale[:1]
    bias = table.index_select(0, rows)
    if scale is not None:
        bias.mul_(scale[:, None])
    if every:
        return logits.add_(bias)
    if logits.dtype == torch.float32:
        return logits.index_add_(0, biased, bias.expand(len(biased), -1))
    return logits.index_copy_(0, biased, logits.index_select(0, biased).add_(bias))


def apply_bias_triton(
    logits: Float[Tensor, "b v"],
    table: Float[Tensor, "g v"],
    rows: Int[Tensor, " b"],
    scale: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, "b v"]:
    """One fused pass with no temporary; blocks of a skipped row return at once. See `apply_bias`."""
    _check(logits, table, rows, scale)
    from variegate_kernels._suppression_triton import launch_apply_bias

    if logits.numel() > 0:
        launch_apply_bias(logits, table, rows, scale)
    return logits


def warm_up(table: Float[Tensor, "g v"]) -> None:
    """Compile what `apply_bias` runs on float32 logits with this table, on CUDA: else the first biased step waits a second or two."""
    if table.device.type == "cuda":
        row, logits = torch.zeros(1, dtype=torch.int32, device=table.device), torch.zeros_like(table[:1])
        for scale in (None, torch.ones(1, device=table.device)):
            apply_bias(logits, table, row, scale)


def _check(logits: Tensor, table: Tensor, rows: Tensor, scale: Tensor | None) -> None:
    if logits.ndim != 2 or logits.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise ValueError(f"logits: got {_describe(logits)}, expected float32, bfloat16 or float16 [b, v]")
    num_rows, num_tokens = logits.shape
    if table.ndim != 2 or table.dtype != torch.float32 or table.shape[0] == 0:
        raise ValueError(f"table: got {_describe(table)}, expected float32 [g, v] with g >= 1")
    if table.shape[1] != num_tokens:
        raise ValueError(f"table: got {table.shape[1]} columns, logits have {num_tokens}: build the table for the same vocabulary")
    if rows.shape != (num_rows,) or rows.dtype not in (torch.int32, torch.int64):
        raise ValueError(f"rows: got {_describe(rows)}, expected int32 or int64 [{num_rows}], one per row of logits")
    if scale is not None and (scale.shape != (num_rows,) or scale.dtype != torch.float32):
        raise ValueError(f"scale: got {_describe(scale)}, expected float32 [{num_rows}], one per row of logits")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
