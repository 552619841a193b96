"""The gamma sweep: how accurate students are on the items whose labels agree at least so far. And how much that differs.

Reference: Li, Zhu, Lu and Yin (EMNLP 2023), section 5. Knows shares and right or wrong; knows nothing of texts or of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from variegate.errors import UsageError
from variegate.metrics.agreement import Interval

_Z2 = 3.841458820694124  # 1.96 squared
_HALVINGS = 60  # of an interval of width 2: beyond float64


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of `first` less that of `second` on the same n items."""

    first: str
    second: str
    value: float
    low: float
    high: float
    num_first_only: int  # items that only the first gets right
    num_second_only: int


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """Of the n items with a share of at least gamma. No accuracy and no difference where n is 0."""

    gamma: float
    n: int
    num_correct: Mapping[str, int]
    accuracy: Mapping[str, Interval]
    differences: tuple[Difference, ...]


def attainable_gammas(shares: Float[np.ndarray, " n"], *, most: int = 40) -> list[float]:
    """0 and the distinct shares, ascending: between two of them the curve cannot change.

    most: of more distinct shares (many different K_i), this many evenly placed among them, the largest included.
    """
    values = np.unique(shares)
    if len(values) > most:
        values = values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(int))]
    return [0.0, *values.tolist()]


def gamma_sweep(
    shares: Float[np.ndarray, " n"],
    correct: Mapping[str, Bool[np.ndarray, " n"]],
    gammas: Sequence[float],
    pairs: Sequence[tuple[str, str]] = (),
) -> list[SweepPoint]:
    """Accuracy on {i: a_i >= gamma} for each student and gamma, with Wilson's 95 % interval (statsmodels).

    correct: student -> whether it is right on each item. At gamma = 0 the accuracy is that on all items; n never rises with gamma.
    pairs: students to compare, by `paired_difference`.
    The points are nested, not independent: each holds all items of the next.
    Raises UsageError when a gamma is outside [0, 1], or lengths differ.
    Differs from the paper: its ">" or ">=" is not said; this is ">=", so that gamma = 1 keeps the unanimous items. No intervals there.
    """
    from statsmodels.stats.proportion import proportion_confint

    _check(shares, correct)
    points = []
    for gamma in sorted(set(gammas)):
        if not 0 <= gamma <= 1:
            raise UsageError(f"gamma {gamma}: expected a share of annotators, from 0 to 1")
        inside = shares >= gamma
        n = int(inside.sum())
        num_correct = {name: int(each[inside].sum()) for name, each in correct.items()}
        accuracy = {}
        for name, right in num_correct.items() if n else ():
            low, high = proportion_confint(right, n, method="wilson")
            accuracy[name] = Interval(right / n, float(low), float(high))
        differences = tuple(paired_difference(a, b, correct[a][inside], correct[b][inside]) for a, b in pairs) if n else ()
        points.append(SweepPoint(gamma, n, num_correct, accuracy, differences))
    return points


def _check(shares: Float[np.ndarray, " n"], correct: Mapping[str, Bool[np.ndarray, " n"]]) -> None:
    for name, each in correct.items():
        if len(each) != len(shares):
            raise UsageError(f"student {name!r}: {len(each)} answers for {len(shares)} items: give one of each")


def paired_difference(first: str, second: str, correct: Bool[np.ndarray, " n"], other: Bool[np.ndarray, " n"]) -> Difference:
    """Difference of two accuracies on the same items, with Tango's 95 % score interval.

    The interval holds every difference D that the score test of "p(first only) - p(second only) = D" does not reject at 5 %; at D = 0
    that test is McNemar's without correction. As Wilson's, it holds for few items and for accuracies near 0 and 1.
    Reference: Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17 (1998).
    """
    n, b, c = len(correct), int((correct & ~other).sum()), int((~correct & other).sum())
    value = (b - c) / n

    def rejected(d: float) -> bool:
        first_part = 2 * n
        second_part = (2 * n - b + c) * d - b - c
        third_part = -c * d * (1 - d)
        q = (max(second_part**2 - 4 * first_part * third_part, 0.0) ** 0.5 - second_part) / (2 * first_part)  # p(second only), given D = d
        return (b - c - n * d) ** 2 > _Z2 * n * (2 * q + d * (1 - d))

    def bound(inside: float, outside: float) -> float:
        if not rejected(outside):
            return outside
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
        return inside

    return Difference(first, second, value, bound(value, -1.0), bound(value, 1.0), b, c)


def agreement_slope(shares: Float[np.ndarray, " n"], outcome: Float[np.ndarray, " n"]) -> Interval | None:
    """Least-squares slope of an outcome of each item on its share, with an HC3 95 % interval (statsmodels).

    outcome: 1 where a student is right and 0 elsewhere gives the rise of its accuracy from share 0 to 1, were it straight; the
    difference of two students' outcomes gives the difference of their slopes, on the same items.
    None where all shares are equal. No interval where residuals do not show the spread: all zero, or an item alone at its share.
    Differs from the paper: it shows the curve over gamma, whose points share items; the slope over single items has an interval.
    """
    if shares.min() == shares.max():
        return None
    import statsmodels.api as sm

    design = sm.add_constant(shares)
    centred = (shares - shares.mean()) ** 2
    if len(shares) < 3 or 1 / len(shares) + centred.max() / centred.sum() > 1 - 1e-9:  # one item decides the slope, and its residual is 0
        return Interval(float(np.linalg.lstsq(design, outcome.astype(np.float64), rcond=None)[0][1]), None, None)
    fit = sm.OLS(outcome.astype(np.float64), design).fit(cov_type="HC3")
    low, high = (float(bound) for bound in fit.conf_int()[1])
    known = high - low > 1e-12
    return Interval(float(fit.params[1]), low if known else None, high if known else None)
