"""Ordinary least squares with confidence intervals: what the accuracy of students goes along with. Knows numbers, not studies.

Reference: Chung, Kamar and Amershi, ACL 2023, section 5: model accuracy regressed on label accuracy, diversity and similarity.
Differs from the paper: the paper gives coefficients and p values alone, and does not say whether they are standardised. Here
both kinds of coefficient come with 95 % intervals, and collinear predictors are named.
"""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.errors import UsageError

LEVEL = 0.95
_COLLINEAR = 30.0  # Belsley, Kuh and Welsch (1980): condition numbers from 30 on are a concern
_ROWS_FOR_EACH = 10  # rows for each predictor, below which an interval should not be leant on
_SINGULAR = 1e7  # condition number from which two predictors are the same but for rounding


@dataclass(frozen=True, slots=True)
class Term:
    """standardised: in standard deviations of the outcome for one of the predictor; None for the intercept."""

    name: str
    coefficient: float
    low: float
    high: float
    p: float
    standardised: float | None
    standardised_low: float | None
    standardised_high: float | None
    vif: float | None  # variance inflation factor: 1 where the predictor goes along with no other


@dataclass(frozen=True, slots=True)
class Regression:
    outcome: str
    n: int
    r2: float
    r2_adjusted: float
    condition_number: float  # of the standardised predictors
    terms: tuple[Term, ...]  # the intercept first
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "terms": [asdict(term) for term in self.terms], "warnings": list(self.warnings)}


def regress(outcome: str, values: Sequence[float], predictors: Mapping[str, Sequence[float]]) -> Regression:
    """OLS of `values` on the predictors and an intercept, with 95 % t intervals.

    values and each predictor: n numbers. A predictor that never changes is left out, with a warning. Standardised coefficients
    are b sd(x) / sd(y), and their intervals those of b scaled alike (the standard deviations taken as known).
    Raises UsageError when lengths differ, a number is not finite, the outcome never changes, no predictor is left, there are
    not more rows than coefficients, or the predictors are a linear combination of one another.
    Cost: O(n p^2).
    """
    y = np.asarray(values, dtype=np.float64)
    columns = {name: np.asarray(each, dtype=np.float64) for name, each in predictors.items()}
    for name, each in ((outcome, y), *columns.items()):
        if len(each) != len(y):
            raise UsageError(f"regression of {outcome}: {name} has {len(each)} values, and {outcome} has {len(y)}")
        if not np.isfinite(each).all():
            raise UsageError(f"regression of {outcome}: {name} holds a value that is not finite: leave that row out")
    if len(y) == 0 or _constant(y):
        raise UsageError(f"regression of {outcome}: it is the same in all {len(y)} rows, so there is nothing to explain")
    notes = [f"{name} is the same in all rows, so it was left out" for name, each in columns.items() if _constant(each)]
    columns = {name: each for name, each in columns.items() if not _constant(each)}
    if not columns:
        raise UsageError(f"regression of {outcome}: every predictor is the same in all {len(y)} rows: there is nothing to explain it with")
    if len(y) <= len(columns) + 1:
        raise UsageError(
            f"regression of {outcome}: {len(y)} rows for {len(columns) + 1} coefficients: it needs at least {len(columns) + 2}: "
            "add replicates or cells"
        )
    x = np.column_stack(list(columns.values()))
    condition, inflation = _collinearity(x, outcome, list(columns))
    notes += _notes(len(y), list(columns), condition, inflation)
    return _fit(outcome, y, x, list(columns), condition, inflation, tuple(notes))


def _constant(x: Float[np.ndarray, " n"]) -> bool:
    return bool(np.ptp(x) <= 1e-12 * max(1.0, float(np.abs(x).max())))


def _collinearity(x: Float[np.ndarray, "n p"], outcome: str, names: list[str]) -> tuple[float, Float[np.ndarray, " p"]]:
    """The condition number of the standardised predictors, and each one's variance inflation factor."""
    standard = (x - x.mean(axis=0)) / x.std(axis=0)
    singular = np.linalg.svd(standard, compute_uv=False)
    if singular[-1] <= singular[0] / _SINGULAR:
        raise UsageError(f"regression of {outcome}: {', '.join(names)} determine one another, so their effects cannot be told apart")
    inflation = np.diag(np.linalg.inv(standard.T @ standard / len(x)))
    return float(singular[0] / singular[-1]), inflation


def _notes(n: int, names: list[str], condition: float, inflation: Float[np.ndarray, " p"]) -> list[str]:
    notes = []
    if n < _ROWS_FOR_EACH * len(names):
        notes.append(f"{n} rows for {len(names)} predictors: fewer than {_ROWS_FOR_EACH} for each, so take the intervals with care")
    if condition >= _COLLINEAR:
        notes.append(f"the predictors go along with one another (condition number {condition:.0f}): single coefficients mean little")
    elif (worst := float(inflation.max())) >= 10:
        notes.append(
            f"{names[int(inflation.argmax())]} goes along with the other predictors (variance inflation {worst:.0f}): its coefficient "
            "is uncertain"
        )
    return notes


def _fit(
    outcome: str,
    y: Float[np.ndarray, " n"],
    x: Float[np.ndarray, "n p"],
    names: list[str],
    condition: float,
    inflation: Float[np.ndarray, " p"],
    notes: tuple[str, ...],
) -> Regression:
    import statsmodels.api

    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # a perfect fit divides by a residual of zero; its p values are then 0
        found = statsmodels.api.OLS(y, statsmodels.api.add_constant(x, has_constant="add")).fit()
        intervals = found.conf_int(alpha=1 - LEVEL)
        p_values = np.nan_to_num(found.pvalues, nan=1.0)
    scales = np.concatenate([[0.0], x.std(axis=0, ddof=1) / y.std(ddof=1)])
    terms = []
    for place, name in enumerate(["intercept", *names]):
        low, high = (float(each) for each in intervals[place])
        coefficient, scale = float(found.params[place]), float(scales[place])
        terms.append(
            Term(
                name=name,
                coefficient=coefficient,
                low=low,
                high=high,
                p=float(p_values[place]),
                standardised=coefficient * scale if place else None,
                standardised_low=low * scale if place else None,
                standardised_high=high * scale if place else None,
                vif=float(inflation[place - 1]) if place else None,
            )
        )
    return Regression(outcome, len(y), float(found.rsquared), float(found.rsquared_adj), condition, tuple(terms), notes)
