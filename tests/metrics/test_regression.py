"""OLS against numpy's and scikit-learn's, textbook formulas, and a line fitted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LinearRegression

from variegate.errors import UsageError
from variegate.metrics.regression import Regression, Term, regress


def term(found: Regression, name: str) -> Term:
    (only,) = [each for each in found.terms if each.name == name]
    return only


def study(n: int = 40, seed: int = 1) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    x = {"label_accuracy": rng.uniform(0.5, 1, n), "diversity": rng.uniform(0.2, 0.9, n), "similarity": rng.uniform(0.4, 0.7, n)}
    return 0.2 + 0.5 * x["label_accuracy"] + 0.2 * x["diversity"] - 0.1 * x["similarity"] + rng.normal(0, 0.05, n), x


def test_a_line_by_hand() -> None:
    """x = 0, 1, 2, 3 and y = 1, 2, 2, 4: slope 0.9, intercept 0.9, residual variance 0.7 / 2, t(0.975, 2) = 4.302653."""
    found = regress("y", [1, 2, 2, 4], {"x": [0, 1, 2, 3]})
    slope, intercept = term(found, "x"), term(found, "intercept")
    assert (slope.coefficient, intercept.coefficient) == (pytest.approx(0.9), pytest.approx(0.9))
    error = np.sqrt(0.35 / 5)
    assert slope.low == pytest.approx(0.9 - 4.302653 * error, rel=1e-6)
    assert slope.high == pytest.approx(0.9 + 4.302653 * error, rel=1e-6)
    assert slope.p == pytest.approx(stats.linregress([0, 1, 2, 3], [1, 2, 2, 4]).pvalue)
    assert found.r2 == pytest.approx(1 - 0.7 / 4.75)
    assert slope.standardised == pytest.approx(np.sqrt(found.r2))  # of one predictor: the correlation
    assert (found.n, found.condition_number, slope.vif) == (4, pytest.approx(1), pytest.approx(1))
    assert intercept.standardised is None


def test_against_numpy_scikit_learn_and_the_textbook() -> None:
    y, predictors = study()
    found = regress("student_accuracy", y, predictors)
    x = np.column_stack(list(predictors.values()))
    design = np.column_stack([np.ones(len(y)), x])
    expected = np.linalg.lstsq(design, y, rcond=None)[0]
    assert [each.coefficient for each in found.terms] == pytest.approx(expected.tolist())
    assert found.r2 == pytest.approx(LinearRegression().fit(x, y).score(x, y))
    standard = LinearRegression().fit(stats.zscore(x), stats.zscore(y)).coef_
    assert [each.standardised for each in found.terms[1:]] == pytest.approx(standard.tolist())
    residual = y - design @ expected
    errors = np.sqrt(np.diag(np.linalg.inv(design.T @ design)) * (residual @ residual) / (len(y) - 4))
    for each, coefficient, error in zip(found.terms, expected, errors, strict=True):
        half = stats.t.ppf(0.975, len(y) - 4) * error
        assert (each.low, each.high) == (pytest.approx(coefficient - half), pytest.approx(coefficient + half))
        assert each.p == pytest.approx(2 * stats.t.sf(abs(coefficient / error), len(y) - 4))
    scaled = found.terms[1]
    assert scaled.standardised_low == pytest.approx(scaled.low / scaled.coefficient * (scaled.standardised or 0))
    for place, each in enumerate(found.terms[1:]):  # 1 / (1 - R2 of this predictor on the others)
        others = np.delete(x, place, axis=1)
        r2 = LinearRegression().fit(others, x[:, place]).score(others, x[:, place])
        assert each.vif == pytest.approx(1 / (1 - r2))
    assert found.warnings == ()


def test_intervals_hold_the_planted_coefficients_about_19_times_in_20() -> None:
    held = 0
    for seed in range(200):
        y, predictors = study(seed=seed)
        each = term(regress("y", y, predictors), "label_accuracy")
        held += each.low <= 0.5 <= each.high
    assert 180 <= held <= 199


def test_few_rows_and_collinear_predictors_are_said() -> None:
    y, predictors = study(12)
    assert regress("y", y, predictors).warnings == (
        "12 rows for 3 predictors: fewer than 10 for each, so take the intervals with care",
    )  # fmt: skip
    y, predictors = study(60)
    near = predictors["diversity"] + np.random.default_rng(0).normal(0, 0.001, 60)
    (warning,) = regress("y", y, {**predictors, "near": near}).warnings
    assert "the predictors go along with one another (condition number" in warning
    near = predictors["diversity"] + np.random.default_rng(0).normal(0, 0.05, 60)
    (warning,) = regress("y", y, {**predictors, "near": near}).warnings
    assert "goes along with the other predictors (variance inflation" in warning


def test_the_condition_number_does_not_depend_on_units() -> None:
    y, predictors = study()
    metres = regress("y", y, predictors)
    millimetres = regress("y", y, {**predictors, "diversity": predictors["diversity"] * 1000 + 5})
    assert millimetres.condition_number == pytest.approx(metres.condition_number)
    assert term(millimetres, "diversity").standardised == pytest.approx(term(metres, "diversity").standardised)


def test_a_predictor_that_never_changes_is_left_out() -> None:
    y, predictors = study()
    found = regress("y", y, {**predictors, "same": np.full(len(y), 0.3)})
    assert found.warnings == ("same is the same in all rows, so it was left out",)
    assert [each.coefficient for each in found.terms] == [each.coefficient for each in regress("y", y, predictors).terms]


def test_a_perfect_fit_is_certain() -> None:
    x = np.arange(10.0)
    found = regress("y", 2 * x + 1, {"x": x})
    assert (found.r2, term(found, "x").coefficient) == (pytest.approx(1), pytest.approx(2))
    assert term(found, "x").p < 1e-12


@pytest.mark.parametrize(
    ("y", "x", "message"),
    [
        ([1, 2, 3, 4], {"a": [1, 2, 4, 3], "b": [4, 3, 1, 2]}, "a, b determine one another"),
        ([1, 1, 1, 1], {"a": [1, 2, 4, 3]}, "it is the same in all 4 rows"),
        ([1, 2, 3, 4], {"a": [2, 2, 2, 2]}, "every predictor is the same in all 4 rows"),
        ([1, 2], {"a": [1, 2]}, "2 rows for 2 coefficients: it needs at least 3"),
        ([1, 2, 3], {"a": [1, 2]}, "a has 2 values, and y has 3"),
        ([1, 2, 3], {"a": [1, np.nan, 3]}, "a holds a value that is not finite"),
        ([], {"a": []}, "it is the same in all 0 rows"),
    ],
)
def test_what_cannot_be_regressed(y: list[float], x: dict[str, list[float]], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        regress("y", y, x)
