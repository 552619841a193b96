"""What a measure returns: the number, and everything one has to know to compare it with another. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

DISTANCES = ("cosine", "euclidean", "sqeuclidean", "angular")


@dataclass(frozen=True, slots=True)
class MetricValue:
    """One measured number. `float(value)` is `value.value`.

    interval: the 95 % confidence interval of an estimate; None says the value is exact up to `precision`.
    """

    metric: str
    value: float
    n: int  # records measured
    implementation: str  # what computed it: closed_form, dense, tiles, triton, faiss, control_variates, ...
    precision: str  # of the arithmetic behind the value
    distance: str | None = None  # one of DISTANCES; None where no distance is involved
    m: int | None = None  # references, in a measure of two sets
    k: int | None = None  # neighbours averaged
    encoder: str | None = None  # the model behind the vectors; None when the caller gave vectors
    include_self: bool | None = None  # whether the pairs (i, i) were counted; None where there are none
    num_duplicates: int | None = None  # records that equal an earlier one
    interval: tuple[float, float] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)  # what only this measure has: a radius, an order
    per_record: Float[np.ndarray, " n"] | None = field(default=None, repr=False, compare=False)

    def __float__(self) -> float:
        return self.value

    def to_json(self) -> dict[str, Any]:
        """Everything but `per_record`."""
        values = {name: getattr(self, name) for name in self.__slots__ if name != "per_record"}
        return {**values, "interval": list(self.interval) if self.interval else None, "details": dict(self.details)}
