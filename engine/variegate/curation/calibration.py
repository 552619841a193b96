"""Probabilities that mean what they say: temperature scaling, contextual calibration, and the error of a confidence.

Knows log-probabilities of choices; knows no engine, no labels by name and no files. A choice that a row does not have is
-inf.

Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. Zhao et al., "Calibrate Before Use: Improving
Few-Shot Performance of Language Models", ICML 2021.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

COLDEST, HOTTEST = 0.01, 100.0  # temperatures searched
BINS = 15


@dataclass(frozen=True, slots=True)
class Temperature:
    value: float
    nll_before: float  # mean negative log-likelihood of the true choice, in nats, at temperature 1
    nll_after: float
    at_bound: bool  # the likelihood still rises there: the examples are all right, or their choices all alike


def log_softmax(scores: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c"]:
    """Rows whose exponentials sum to 1. Each row has a finite entry."""
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def scaled(logprobs: Float[np.ndarray, "n c"], temperature: float) -> Float[np.ndarray, "n c"]:
    """Log-probabilities proportional to logprobs / temperature. The order of a row's choices stays."""
    return log_softmax(logprobs / temperature)


def fit_temperature(logprobs: Float[np.ndarray, "n c"], true: Int[np.ndarray, " n"]) -> Temperature:
    """The temperature in [0.01, 100] that makes the true choices likeliest.

    With b = 1 / T the mean negative log-likelihood is convex; its slope is the mean of E_b[z] - z_true, whose only root is
    found by bisection in log b (60 halvings: to 1e-15 of the range). Cost: O(60 n c).
    Errors: an answer at either end of the range says `at_bound`.
    """
    rows = np.arange(len(true))
    wanted = logprobs[rows, true]

    def slope(inverse: float) -> float:
        weights = np.exp(log_softmax(logprobs * inverse))
        mean = np.where(weights > 0, weights * np.where(np.isfinite(logprobs), logprobs, 0), 0).sum(axis=1)
        return float((mean - wanted).mean())

    def nll(temperature: float) -> float:
        return float(-scaled(logprobs, temperature)[rows, true].mean())

    low, high = 1 / HOTTEST, 1 / COLDEST
    at_bound = slope(low) >= 0 or slope(high) <= 0
    if slope(low) >= 0:
        high = low
    elif slope(high) <= 0:
        low = high
    for _ in range(60):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    value = 1 / float(np.sqrt(low * high))
    return Temperature(value, nll(1.0), nll(value), at_bound)


def contextual(logprobs: Float[np.ndarray, "n c"], content_free: Float[np.ndarray, "m c"]) -> Float[np.ndarray, "n c"]:
    """Divided by what the model says of texts without content: p_i / mean(p_content_free)_i, renormalised.

    content_free: log-probabilities of the same choices for m such texts. A model that prefers a label whatever the text
    loses that preference: a row equal to the mean becomes uniform.
    """
    prior = np.exp(log_softmax(content_free)).mean(axis=0)
    return log_softmax(logprobs - np.log(np.maximum(prior, np.finfo(float).tiny)))


def calibration_error(confidence: Float[np.ndarray, " n"], correct: Bool[np.ndarray, " n"], *, bins: int = BINS) -> float:
    """Expected calibration error: mean over items of |accuracy - mean confidence| of the item's bin, bins of equal width in
    (0, 1]."""
    if not len(confidence):
        return float("nan")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gap = np.zeros(bins)
    np.add.at(gap, place, confidence - correct)
    return float(np.abs(gap).sum() / len(confidence))
