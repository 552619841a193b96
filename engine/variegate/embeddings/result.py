"""What encoding returns: the vectors, and what belongs beside every number computed from them. Computes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors and what belongs beside every number computed from them. Row i is the vector of text i, as the model gives it: normalised only if the model normalises."""

    vectors: Float[np.ndarray, "n d"]  # float32; may be mapped from the cache
    name: str
    fingerprint: str  # of the model's files
    width: int
    max_tokens: int | None  # longer texts are cut; None: the model sets no limit
    pooling: str
    precision: str  # float32, bfloat16 or float16
    precision_reason: str  # why, in words, with the error measured
    precision_error: float | None  # largest 1 - cos against float32 among the texts probed; None: nothing was probed
    num_truncated: int  # texts that were longer than max_tokens
    num_unknown: int  # of the texts encoded now, those of whose words the encoder knows less than half
    num_unique: int
    num_encoded: int  # distinct texts that were not in the cache
    seconds: float  # of the whole call, loading included
    texts_per_second: float | None  # while encoding; None when all came from the cache

    def to_json(self) -> dict[str, Any]:
        """Everything but the vectors."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "vectors"}
