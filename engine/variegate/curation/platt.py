"""Platt's sigmoid: from decision values to probabilities; and the folds that give decision values of rows not trained on.

Knows numbers only: nothing of texts, labels or the model that made the values. Needs numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

_STEPS = 100
_TOLERANCE = 1e-10  # of the gradient, as a share of the number of values
_RIDGE = 1e-12  # keeps the Hessian invertible where all values are equal


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """P(positive | value) = 1 / (1 + exp(-(slope * value + intercept)))."""

    slope: float
    intercept: float

    def __call__(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        # By tanh, which neither overflows nor warns.
        out: Float[np.ndarray, ...] = 0.5 * (1 + np.tanh(0.5 * (self.slope * np.asarray(values, dtype=np.float64) + self.intercept)))
        return out


def fit_sigmoid(values: Float[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> Sigmoid:
    """The sigmoid of greatest likelihood for Platt's targets, (p + 1) / (p + 2) for positives and 1 / (q + 2) for the q others.

    values: decision values of rows the model was not trained on; none at all give the constant 1/2. Convex; Newton's method
    with halved steps, O(n) a step. The targets keep the slope finite where the values separate the two kinds.
    Differs from the paper: the slope is at least 0. A negative one says that the values tell nothing (it happens with a
    handful of rows), and then the answer is the constant share of positives instead of the reverse of what the model says.
    Reference: Platt, "Probabilistic outputs for support vector machines", 1999; Lin, Lin and Weng, Machine Learning 68, 2007.
    """
    values = np.asarray(values, dtype=np.float64)
    num_positive = int(positive.sum())
    num_negative = len(values) - num_positive
    targets = np.where(positive, (num_positive + 1) / (num_positive + 2), 1 / (num_negative + 2))
    slope, intercept = 0.0, float(np.log((num_positive + 1) / (num_negative + 1)))
    loss = _loss(slope * values + intercept, targets)
    for _ in range(_STEPS):
        probabilities = Sigmoid(slope, intercept)(values)
        error = probabilities - targets
        gradient = np.array([error @ values, error.sum()])
        if np.abs(gradient).max() <= _TOLERANCE * len(values):
            break
        curvature = probabilities * (1 - probabilities)
        cross = curvature @ values
        hessian = np.array([[curvature @ values**2 + _RIDGE, cross], [cross, curvature.sum() + _RIDGE]])
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10:
            trial = slope - size * float(step[0]), intercept - size * float(step[1])
            trial_loss = _loss(trial[0] * values + trial[1], targets)
            if trial_loss < loss:
                break
            size /= 2
        else:
            break  # no step lowers the loss any more: the minimum within rounding
        (slope, intercept), loss = trial, trial_loss
    if slope < 0:
        share = float(targets.mean())
        return Sigmoid(0.0, float(np.log(share / (1 - share))))
    return Sigmoid(slope, intercept)


def _loss(logits: Float[np.ndarray, " n"], targets: Float[np.ndarray, " n"]) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).sum())


def assign_folds(codes: Int[np.ndarray, " n"], folds: int, *, seed: int) -> Int[np.ndarray, " n"]:
    """The fold of each row, 0 .. folds - 1: at random, and each class spread over the folds as evenly as it can be.

    codes: the class of each row. Fold sizes differ by at most one. With more folds than rows some folds are empty.
    """
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    out = np.empty(len(codes), dtype=np.int64)
    out[order] = np.arange(len(codes)) % folds
    return out
