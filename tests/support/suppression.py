"""Suppression rows from and to dense arrays, which tests are easier to write with."""

from __future__ import annotations

import numpy as np

from variegate.inference.suppression.sparse import Pairs, SparseRow


def as_row(bias: np.ndarray) -> SparseRow:
    """Of a bias for every token."""
    bias = np.asarray(bias, dtype=np.float32)
    ids = np.flatnonzero(bias)
    return SparseRow(ids.astype(np.int32), bias[ids])


def as_dense(row: SparseRow, num_tokens: int) -> np.ndarray:
    bias = np.zeros(num_tokens, dtype=np.float32)
    bias[row.token_ids] = row.biases
    return bias


def as_pairs(table: np.ndarray) -> Pairs:
    """Of a table's rows from row 1 on; row 0 is left out, as it is all zeros."""
    return Pairs.of({number: as_row(bias) for number, bias in enumerate(table) if number})
