"""One row of a suppression table as pairs of a token and its bias, named by a digest, and rows as bytes for engines' workers.

Knows nothing of counts, groups or devices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int32


@dataclass(frozen=True, slots=True)
class SparseRow:
    """What to add to the logits of `token_ids`; nothing to all others. Equal exactly when all biases are.

    token_ids ascend, biases are finite and none is 0. digest: 16 hex digits of both, "" for a row without a pair, which is
    that of a request that is not suppressed. The arrays are read-only. Raises ValueError where one of this does not hold.
    """

    token_ids: Int32[np.ndarray, " n"] = field(compare=False)
    biases: Float32[np.ndarray, " n"] = field(compare=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        ids, biases = self.token_ids, self.biases
        if ids.dtype != np.int32 or biases.dtype != np.float32 or ids.ndim != 1 or ids.shape != biases.shape:
            raise ValueError(f"row: got {ids.dtype} {ids.shape} and {biases.dtype} {biases.shape}, expected int32 (n,) and float32 (n,)")
        if ids.size and (ids[0] < 0 or not (ids[1:] > ids[:-1]).all()):
            raise ValueError("token_ids: expected ids from 0 on that ascend, each once")
        if not (np.isfinite(biases).all() and biases.all()):
            raise ValueError(
                "biases: got 0, NaN or an infinite bias, expected finite numbers other than 0: leave out tokens without a bias"
            )
        data = ids.astype("<i4").tobytes() + biases.astype("<f4").tobytes()  # 4 bytes each: where one ends is no question
        object.__setattr__(self, "digest", hashlib.sha256(data).hexdigest()[:16] if ids.size else "")
        for array in (ids, biases):
            array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of a device's table, pair by pair: row_numbers[i] gets biases[i] at token_ids[i]."""

    row_numbers: Int32[np.ndarray, " n"]
    token_ids: Int32[np.ndarray, " n"]
    biases: Float32[np.ndarray, " n"]

    @classmethod
    def of(cls, rows: Mapping[int, SparseRow]) -> Pairs:
        """rows: row number -> row."""
        return cls(
            np.repeat(np.fromiter(rows, dtype=np.int32, count=len(rows)), [len(row) for row in rows.values()]),
            np.concatenate([np.zeros(0, np.int32), *(row.token_ids for row in rows.values())]),
            np.concatenate([np.zeros(0, np.float32), *(row.biases for row in rows.values())]),
        )

    def to_bytes(self) -> tuple[bytes, bytes, bytes]:
        """Little-endian, 12 bytes a pair in all: what goes through msgpack to the workers."""
        return (self.row_numbers.astype("<i4").tobytes(), self.token_ids.astype("<i4").tobytes(), self.biases.astype("<f4").tobytes())

    @classmethod
    def from_bytes(cls, row_numbers: bytes, token_ids: bytes, biases: bytes) -> Pairs:
        lengths = {len(row_numbers), len(token_ids), len(biases)}
        if len(lengths) != 1 or lengths.pop() % 4:
            raise ValueError(
                f"rows: got {len(row_numbers)}, {len(token_ids)} and {len(biases)} bytes of numbers, tokens and biases, expected 4 a pair of each"
            )
        return cls(
            np.frombuffer(row_numbers, "<i4").astype(np.int32),
            np.frombuffer(token_ids, "<i4").astype(np.int32),
            np.frombuffer(biases, "<f4").astype(np.float32),
        )
