"""Temperature against scipy's minimiser and a planted value; contextual calibration against Zhao et al.'s matrix form."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax as scipy_log_softmax
from sklearn.metrics import log_loss

from variegate.curation.calibration import COLDEST, HOTTEST, calibration_error, contextual, fit_temperature, log_softmax, scaled


def draw(n: int, c: int, seed: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of an over- or underconfident model: the true class is drawn from softmax(z / temperature)."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=3.0, size=(n, c))
    true = (scipy_log_softmax(z / temperature, axis=1) + rng.gumbel(size=(n, c))).argmax(axis=1)
    return scipy_log_softmax(z, axis=1), true


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 8), st.sampled_from([0.4, 1.0, 2.5, 6.0]))
def test_the_likeliest_temperature_is_scipys(seed: int, c: int, planted: float) -> None:
    logprobs, true = draw(200, c, seed, planted)
    found = fit_temperature(logprobs, true)

    def nll(log_t: float) -> float:
        return float(log_loss(true, np.exp(scipy_log_softmax(logprobs / math.exp(log_t), axis=1)), labels=range(c)))

    best = minimize_scalar(nll, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded", options={"xatol": 1e-9})
    if found.at_bound:
        assert abs(best.x) > math.log(HOTTEST) - 0.01
    else:
        assert math.log(found.value) == pytest.approx(best.x, abs=1e-4)
        assert found.nll_after == pytest.approx(best.fun, abs=1e-9)
        assert found.nll_before == pytest.approx(nll(0.0), abs=1e-9)
    assert found.nll_after <= found.nll_before + 1e-12


@pytest.mark.parametrize("planted", [0.5, 1.0, 3.0])
def test_a_planted_temperature_comes_back_and_the_error_shrinks(planted: float) -> None:
    logprobs, true = draw(20_000, 5, 3, planted)
    found = fit_temperature(logprobs, true)
    assert found.value == pytest.approx(planted, rel=0.04)
    assert not found.at_bound
    rows = np.arange(len(true))
    errors = []
    for temperature in (1.0, found.value):
        values = np.exp(scaled(logprobs, temperature))
        errors.append(calibration_error(values.max(axis=1), values.argmax(axis=1) == true))
        assert values[rows, true].shape == true.shape
    assert errors[1] < 0.02
    if planted != 1.0:
        assert errors[1] < errors[0] / 3


def test_examples_that_are_all_right_stand_at_the_bound() -> None:
    logprobs, _ = draw(50, 4, 0, 1.0)
    cold = fit_temperature(logprobs, logprobs.argmax(axis=1))
    assert cold.at_bound
    assert cold.value == pytest.approx(COLDEST)
    hot = fit_temperature(logprobs, logprobs.argmin(axis=1))
    assert hot.at_bound
    assert hot.value == pytest.approx(HOTTEST)


def test_rows_of_different_length_are_padded_with_minus_infinity() -> None:
    logprobs, true = draw(300, 3, 5, 2.0)
    padded = np.hstack([logprobs, np.full((300, 2), -np.inf)])
    assert fit_temperature(padded, true) == fit_temperature(logprobs, true)
    assert scaled(padded, 2.0)[:, 3:].max() == -np.inf


def test_contextual_is_zhaos_diagonal_matrix() -> None:
    rng = np.random.default_rng(1)
    logprobs = np.log(rng.dirichlet(np.ones(4), size=30))
    free = np.log(rng.dirichlet(np.ones(4), size=3))
    w = np.linalg.inv(np.diag(np.exp(free).mean(axis=0)))
    expected = np.exp(logprobs) @ w
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.exp(contextual(logprobs, free)), expected, rtol=1e-9)


def test_contextual_identities() -> None:
    logprobs, _ = draw(20, 4, 2, 1.0)
    uniform = np.log(np.full((3, 4), 0.25))
    np.testing.assert_allclose(contextual(logprobs, uniform), logprobs, atol=1e-12)  # nothing preferred: nothing changes
    np.testing.assert_allclose(np.exp(contextual(logprobs[:1], logprobs[:1])), 0.25)  # as said of no content: no evidence
    prior = np.log(np.array([0.7, 0.1, 0.1, 0.1]))
    biased = log_softmax(logprobs + prior)
    found = contextual(biased, prior[None])
    np.testing.assert_allclose(found, logprobs, atol=1e-9)  # a planted preference is taken out


def test_calibration_error_by_hand() -> None:
    """Bins of 0.1: (0.8, 0.9]: two of confidence 0.85 and 0.9, one right: |0.875 - 0.5|. (0.5, 0.6]: one, 0.6, right: 0.4."""
    confidence = np.array([0.85, 0.9, 0.6])
    correct = np.array([True, False, True])
    assert calibration_error(confidence, correct, bins=10) == pytest.approx((2 * 0.375 + 0.4) / 3)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert math.isnan(calibration_error(np.array([]), np.array([], dtype=bool)))
