"""The Triton kernel behind `suppression.apply_bias_triton`. Imports Triton at once: import it only to launch.

Checks nothing; `suppression` has done so.
"""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 2048  # columns to a program: 8 float32 to a thread at 8 warps, two 16-byte loads each


@triton.jit(do_not_specialize=["num_table_rows"])  # type: ignore[untyped-decorator]  # the table grows
def _apply_bias(  # type: ignore[no-untyped-def]  # triton reads the annotations
    logits, table, rows, scale, num_tokens, num_table_rows, logits_row, logits_column, table_row, table_column,
    has_scale: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64)  # b * v may pass 2^31
    row = tl.load(rows + i).to(tl.int64)
    tl.device_assert((row >= 0) & (row < num_table_rows), "rows: outside the bias table")
    if row != 0:
        column = tl.program_id(1) * block + tl.arange(0, block)
        inside = column < num_tokens
        bias = tl.load(table + row * table_row + column * table_column, mask=inside, other=0.0)
        if has_scale:
            bias = bias * tl.load(scale + i)
        target = logits + i * logits_row + column * logits_column
        value = tl.load(target, mask=inside, other=0.0).to(tl.float32) + bias
        tl.store(target, value.to(logits.dtype.element_ty), mask=inside)


def launch_apply_bias(logits: Tensor, table: Tensor, rows: Tensor, scale: Tensor | None) -> None:
    num_rows, num_tokens = logits.shape
    rows = rows.contiguous()
    scale = None if scale is None else scale.contiguous()
    _apply_bias[(num_rows, triton.cdiv(num_tokens, _BLOCK))](
        logits, table, rows, rows if scale is None else scale, num_tokens, table.shape[0], *logits.stride(), *table.stride(),
        has_scale=scale is not None, block=_BLOCK, num_warps=8,
    )  # fmt: skip
