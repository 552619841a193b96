"""Suppression for Hugging Face `generate`: a batch whose rows stay where they are.

Knows nothing of groups or requests: the caller says which table row each batch row uses.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from transformers import LogitsProcessor

from variegate_kernels.suppression import apply_bias


class SuppressionProcessor(LogitsProcessor):  # type: ignore[misc]  # checked without transformers
    """Adds scale[i] * table[rows[i]] to the scores of batch row i; row 0 of `table` is all zeros, "not suppressed".

    Everything lies on the model's device. Before temperature in the list, as in vLLM.
    """

    def __init__(self, table: Float[Tensor, "g v"], rows: Int[Tensor, " b"], scale: Float[Tensor, " b"] | None = None) -> None:
        if table.shape[0] == 0 or table[0].any():
            raise ValueError("table: row 0 is missing or not all zeros; it means 'not suppressed'")
        if rows.numel() and not 0 <= int(rows.min()) <= int(rows.max()) < table.shape[0]:
            raise ValueError(f"rows: got {int(rows.min())} to {int(rows.max())}, the table has rows 0 to {table.shape[0] - 1}")
        self.table = table
        self.rows = rows
        self.scale = scale

    def __call__(self, input_ids: Int[Tensor, "b t"], scores: Float[Tensor, "b v"]) -> Float[Tensor, "b v"]:
        return apply_bias(scores.clone(), self.table, self.rows, self.scale)  # a clone: `output_logits` keeps `scores` itself
