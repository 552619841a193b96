"""The suppression table on a device: dense, so that one kernel adds a row to each request's logits; written pair by pair.

Knows nothing of seats, requests or engines.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from variegate.inference.suppression.sparse import Pairs


class DeviceTable:
    """`table` is Float[Tensor, "g v"], row 0 all zeros; g is its capacity. Starts as row 0 alone.

    Adding writes the pairs and no more: no row that is there is copied, requests may be running under them. Where the
    capacity g does not suffice it at least doubles, and that once everything is copied, on the device. It never shrinks.
    """

    def __init__(self, num_tokens: int, device: torch.device) -> None:
        self.table: Float[Tensor, "g v"] = torch.zeros(1, num_tokens, dtype=torch.float32, device=device)
        self._places: dict[int, Int64[np.ndarray, " n"]] = {}  # row number -> where its biases stand in the flat table

    @property
    def num_rows(self) -> int:
        """The capacity, row 0 included."""
        return int(self.table.shape[0])

    def holds(self, row: int) -> bool:
        """Row 0, or one that was added."""
        return row == 0 or row in self._places

    def add(self, pairs: Pairs) -> None:
        """Write rows; what was under their numbers before is gone. Nothing is written where one of them is wrong (ValueError)."""
        num_tokens = self.table.shape[1]
        rows, ids = pairs.row_numbers.astype(np.int64), pairs.token_ids
        if not len(rows):
            return
        if rows.min() < 1:
            raise ValueError(f"rows: got number {rows.min()}, expected numbers from 1 on; row 0 means 'not suppressed'")
        if ids.min() < 0 or ids.max() >= num_tokens:
            wrong = ids.min() if ids.min() < 0 else ids.max()
            raise ValueError(f"rows: got token {wrong}, expected tokens in [0, {num_tokens})")
        if not np.isfinite(pairs.biases).all():
            raise ValueError("rows: got NaN or an infinite bias, expected finite numbers")
        self._reserve(int(rows.max()) + 1)
        places = rows * num_tokens + ids
        order = np.argsort(rows, kind="stable")
        numbers, starts = np.unique(rows[order], return_index=True)
        replaced = [self._places[row] for row in numbers.tolist() if row in self._places]
        flat, device = self.table.view(-1), self.table.device
        if replaced:
            flat.index_fill_(0, torch.from_numpy(np.concatenate(replaced)).to(device), 0.0)
        flat.scatter_(0, torch.from_numpy(places).to(device), torch.from_numpy(pairs.biases).to(device))
        self._places.update(zip(numbers.tolist(), np.split(places[order], starts[1:]), strict=True))

    def _reserve(self, num_rows: int) -> None:
        if num_rows <= self.num_rows:
            return
        grown = torch.zeros(max(num_rows, 2 * self.num_rows), self.table.shape[1], dtype=torch.float32, device=self.table.device)
        grown[: self.num_rows].copy_(self.table)
        self.table = grown
