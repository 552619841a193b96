"""Means over replicates with t intervals, and paired differences. Knows numbers, not what they measure.

The intervals are those of the mean of independent, roughly normal values; with two or three replicates they are wide, as they
should be. Reference: Student, "The Probable Error of a Mean", Biometrika 1908.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from variegate.errors import UsageError

LEVEL = 0.95
Range = tuple[float, float]
EVERYWHERE: Range = (-math.inf, math.inf)


@dataclass(frozen=True, slots=True)
class MeanOfReplicates:
    """sd is over n - 1; sd, low and high are None where there is one value."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Mean of second - first over the pairs. low, high and p are None where there is one pair."""

    difference: float
    low: float | None
    high: float | None
    n: int
    p: float | None  # two-sided, of the hypothesis that the mean difference is 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def mean_of_replicates(values: Sequence[float], *, level: float = LEVEL, within: Range = EVERYWHERE) -> MeanOfReplicates:
    """mean +- t_{(1 + level) / 2, n - 1} sd / sqrt(n), cut to `within`: what the values can be (a share: 0 to 1).

    Raises UsageError for no value, or one that is not finite.
    """
    _check(values, "values")
    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return MeanOfReplicates(mean, None, None, None, 1)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = _quantile((1 + level) / 2, n - 1) * sd / math.sqrt(n)
    return MeanOfReplicates(mean, sd, max(mean - half, within[0]), min(mean + half, within[1]), n)


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, level: float = LEVEL, within: Range = EVERYWHERE
) -> PairedDifference:
    """Of values that belong together in pairs, with the interval and p of the paired t test.

    within: what a value can be, as above: a difference of two shares is cut to -1 and 1.
    Differences that are all equal have an interval of width 0, and p = 1 where they are 0, else 0.
    Raises UsageError when the lengths differ, there is no pair, or a value is not finite.
    """
    if len(first) != len(second):
        raise UsageError(f"paired differences need equally many values: got {len(first)} and {len(second)}")
    _check([*first, *second], "pairs")
    width = within[1] - within[0]
    found = mean_of_replicates([b - a for a, b in zip(first, second, strict=True)], level=level, within=(-width, width))
    if found.sd is None:
        return PairedDifference(found.mean, None, None, 1, None)
    if found.sd == 0:
        p = 1.0 if found.mean == 0 else 0.0
    else:
        from scipy.stats import t

        p = float(2 * t.sf(abs(found.mean) / (found.sd / math.sqrt(found.n)), found.n - 1))
    return PairedDifference(found.mean, found.low, found.high, found.n, p)


def _check(values: Sequence[float], what: str) -> None:
    if not values:
        raise UsageError(f"{what}: none given, expected at least one")
    for value in values:
        if not math.isfinite(value):
            raise UsageError(f"{what}: got {value}, expected finite numbers")


def _quantile(probability: float, degrees: int) -> float:
    from scipy.stats import t

    return float(t.ppf(probability, degrees))
