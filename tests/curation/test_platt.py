"""Platt's sigmoid against scipy's optimiser on the likelihood, and the folds by what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit

from variegate.curation.platt import Sigmoid, assign_folds, fit_sigmoid


def by_scipy(values: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    p, q = positive.sum(), (~positive).sum()
    target = np.where(positive, (p + 1) / (p + 2), 1 / (q + 2))

    def loss(at: np.ndarray) -> float:
        share = np.clip(expit(at[0] * values + at[1]), 1e-300, 1 - 1e-16)
        return float(-(target * np.log(share) + (1 - target) * np.log1p(-share)).sum())

    found = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-13, "maxiter": 10_000})
    return float(found.x[0]), float(found.x[1])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_positive", [1, 4, 40])
def test_the_fit_is_the_likeliest(seed: int, num_positive: int) -> None:
    rng = np.random.default_rng(seed)
    positive = np.arange(60) < num_positive
    values = rng.normal(size=60) + 1.5 * positive
    found = fit_sigmoid(values, positive)
    assert (found.slope, found.intercept) == pytest.approx(by_scipy(values, positive), abs=1e-4)


def test_values_that_separate_the_kinds_give_a_finite_slope_and_platts_targets() -> None:
    values = np.array([-1.0, -1.0, -1.0, 1.0, 1.0])
    found = fit_sigmoid(values, values > 0)
    assert found(values) == pytest.approx([1 / 5] * 3 + [3 / 4] * 2, abs=1e-6)  # two points, two parameters: the targets themselves


def test_a_slope_is_never_negative() -> None:
    values = np.array([-1.0, -1.0, 1.0, 1.0, 1.0])
    found = fit_sigmoid(values, values < 0)
    assert found.slope == 0
    assert found(values) == pytest.approx(np.full(5, (2 * 3 / 4 + 3 / 5) / 5))


def test_nothing_to_fit_says_one_half_and_equal_values_the_share() -> None:
    assert fit_sigmoid(np.empty(0), np.empty(0, dtype=bool))(np.array([3.0])) == pytest.approx([0.5])
    equal = fit_sigmoid(np.full(10, 0.7), np.arange(10) < 4)
    assert equal(np.array([0.7])) == pytest.approx([(4 * 5 / 6 + 6 / 8) / 10], abs=1e-6)


def test_large_values_do_not_overflow() -> None:
    with np.errstate(all="raise"):
        assert Sigmoid(1000.0, 0.0)(np.array([-1e6, 0.0, 1e6])).tolist() == [0.0, 0.5, 1.0]


def test_folds_are_even_and_spread_each_class() -> None:
    codes = np.array([0] * 7 + [1] * 2 + [2] * 1 + [3] * 13)
    for seed in range(20):
        folds = assign_folds(codes, 5, seed=seed)
        sizes = np.bincount(folds, minlength=5)
        assert sizes.max() - sizes.min() <= 1
        for code in range(4):
            each = np.bincount(folds[codes == code], minlength=5)
            assert each.max() - each.min() <= 1
    assert (assign_folds(codes, 5, seed=1) == assign_folds(codes, 5, seed=1)).all()
    assert (assign_folds(codes, 5, seed=1) != assign_folds(codes, 5, seed=2)).any()
