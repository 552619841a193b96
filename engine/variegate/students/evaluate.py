"""Scores of predictions against true labels, with intervals; comparison of two students on the same items; spread over seeds.

Plain JSON data comes out. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from variegate.errors import UsageError
from variegate.proportions import wilson
from variegate.seeding import derive_seed
from variegate.students.data import LabelledTexts, check_labels
from variegate.students.student import Predictions

_DRAWS = 2000  # of the interval of macro-F1
_CHUNK = 1 << 22  # numbers drawn at once


def evaluate(predicted: Predictions, true: LabelledTexts, *, seed: int = 0) -> dict[str, Any]:
    """How well `predicted` names the labels of `true`, as JSON-able data.

    n, correct, accuracy: the share of texts whose label is right, with `accuracy_ci95` by Wilson.
    macro_f1: the mean F1 over the labels that `true` holds, each label counted once (F1 is 0 for one never predicted), with
        `macro_f1_ci95` by bootstrap over the texts (percentiles of 2,000 draws by `seed`).
    per_class: label -> precision, recall, f1, support (texts with it) and predicted (times it was given); a ratio 0/0 is 0.
    confusion: labels, and matrix[i][j]: texts with label i that were given label j.
    labels_absent: labels that the student knows and `true` does not hold.
    calibration_error: the expected calibration error (see `calibration_error`), null without probabilities.

    Raises UsageError for a label of `true` that the student does not know, and for an empty set.
    """
    if not len(true):
        raise UsageError(f"{true.source}: holds no text to judge the student by: give one with texts")
    if len(predicted.labels) != len(true):
        raise ValueError(f"{len(predicted.labels)} predictions for {len(true)} texts")
    check_labels(true, predicted.classes, "the student's")
    place_of = {label: place for place, label in enumerate(predicted.classes)}
    rows, columns = ([place_of[label] for label in labels] for labels in (true.labels, predicted.labels))
    matrix = confusion(np.array(rows), np.array(columns), len(place_of))
    counts = _counts(matrix)
    present = counts["support"] > 0
    correct = int(np.trace(matrix))
    names = ("precision", "recall", "f1", "support", "predicted")
    return {
        "n": len(true),
        "correct": correct,
        "accuracy": correct / len(true),
        "accuracy_ci95": list(wilson(correct, len(true))),
        "macro_f1": float(counts["f1"][present].mean()),
        "macro_f1_ci95": _macro_f1_interval(matrix, seed),
        "per_class": {label: {name: counts[name][place].item() for name in names} for place, label in enumerate(predicted.classes)},
        "confusion": {"labels": list(predicted.classes), "matrix": matrix.tolist()},
        "labels_absent": [label for place, label in enumerate(predicted.classes) if not present[place]],
        "calibration_error": calibration_error(predicted, true),
    }


def confusion(true: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int) -> Int[np.ndarray, "c c"]:
    """Row i, column j: items of class i that were given class j."""
    return np.bincount(true * num_classes + predicted, minlength=num_classes**2).reshape(num_classes, num_classes)


def score(true: Int[np.ndarray, " n"], predicted: Int[np.ndarray, " n"], num_classes: int) -> dict[str, float]:
    """Accuracy and macro-F1 (see `evaluate`) of classes given by number."""
    matrix = confusion(true, predicted, num_classes)
    counts = _counts(matrix)
    return {"accuracy": float(np.trace(matrix) / len(true)), "macro_f1": float(counts["f1"][counts["support"] > 0].mean())}


def _counts(matrix: Int[np.ndarray, "*k c c"]) -> dict[str, np.ndarray]:
    """Per class, of one confusion matrix or of several."""
    hits = np.diagonal(matrix, axis1=-2, axis2=-1)
    support, given = matrix.sum(axis=-1), matrix.sum(axis=-2)

    def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
        return np.divide(over, under, out=np.zeros(np.shape(under), dtype=np.float64), where=under > 0)

    return {
        "precision": ratio(hits, given),
        "recall": ratio(hits, support),
        "f1": ratio(2 * hits, support + given),
        "support": support,
        "predicted": given,
    }


def _macro_f1_interval(matrix: Int[np.ndarray, "c c"], seed: int) -> list[float]:
    """Texts drawn with replacement: so the cells of the confusion matrix are drawn by their shares.

    Every label of the set stays in the mean, also in a draw without it, where its F1 is 0.
    """
    rng = np.random.default_rng(derive_seed(seed, "macro f1"))
    rows, columns = np.nonzero(matrix)
    size, present = len(matrix), matrix.sum(axis=1) > 0
    shares = matrix[rows, columns] / matrix.sum()
    found: list[np.ndarray] = []
    step = max(1, _CHUNK // size)
    for start in range(0, _DRAWS, step):
        drawn = rng.multinomial(matrix.sum(), shares, size=min(step, _DRAWS - start))
        flat = np.arange(len(drawn))[:, None] * size

        def summed(places: np.ndarray, counted: np.ndarray = drawn, offsets: np.ndarray = flat) -> np.ndarray:
            return np.bincount((offsets + places).ravel(), counted.ravel(), len(counted) * size).reshape(len(counted), size)

        support, given = summed(rows), summed(columns)
        hits = np.bincount(
            (flat + rows[rows == columns]).ravel(), drawn[:, rows == columns].ravel(), len(drawn) * size
        ).reshape(len(drawn), size)  # fmt: skip
        both = support + given
        found.append(np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)[:, present].mean(axis=1))
    return [float(each) for each in np.percentile(np.concatenate(found), [2.5, 97.5])]


def calibration_error(predicted: Predictions, true: LabelledTexts, *, bins: int = 10) -> float | None:
    """Mean distance between confidence and share of right labels, over `bins` equal bins of confidence, weighted by their texts.

    Reference: Guo et al., "On Calibration of Modern Neural Networks", ICML 2017. In [0, 1]; 0 is calibrated.
    """
    if predicted.confidence is None:
        return None
    right = is_correct(predicted, true)
    place = np.minimum((predicted.confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - predicted.confidence, bins)
    return float(np.abs(gaps).sum() / len(true))


def is_correct(predicted: Predictions, true: LabelledTexts) -> Float[np.ndarray, " n"]:
    """1 where the label is right, else 0."""
    return (np.array(predicted.labels) == np.array(true.labels)).astype(np.float64)


def paired_bootstrap(
    correct_a: Sequence[float] | np.ndarray, correct_b: Sequence[float] | np.ndarray, *, seed: int, draws: int = 10_000
) -> dict[str, Any]:
    """Two students on the same items, in the same order: {n, difference, ci95, p, draws}.

    correct_a, correct_b: for each item 0 or 1; with several seeds the share of them that got it right.
    difference: mean(a) - mean(b). ci95: percentiles of the difference over draws of the items with replacement. p: two-sided,
    2 min(P(d* <= 0), P(d* >= 0)), at least 2 / (draws + 1) and at most 1.

    Items of one difference are alike, so a draw is a multinomial count of the distinct differences: O(draws x distinct).
    Reference: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993; for test sets Berg-Kirkpatrick et al., EMNLP 2012.
    """
    a, b = np.asarray(correct_a, dtype=np.float64), np.asarray(correct_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise UsageError(f"a paired comparison needs the same items for both, got {len(a)} and {len(b)}: judge both on one test set")
    values, counts = np.unique(a - b, return_counts=True)
    rng = np.random.default_rng(derive_seed(seed, "paired bootstrap"))
    drawn = rng.multinomial(len(a), counts / len(a), size=draws) @ values / len(a)
    drawn = np.where(np.abs(drawn) < 1e-12, 0.0, drawn)  # sums of thirds that cancel
    low, high = np.percentile(drawn, [2.5, 97.5])
    tail = min((1 + np.count_nonzero(drawn <= 0)) / (draws + 1), (1 + np.count_nonzero(drawn >= 0)) / (draws + 1))
    return {
        "n": len(a),
        "difference": float(a.mean() - b.mean()),
        "ci95": [float(low), float(high)],
        "p": min(1.0, 2 * float(tail)),
        "draws": draws,
    }


def summarise(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """{accuracy, macro_f1} -> {mean, sd, min, max, n} over students of several seeds. sd: with n - 1; null of one."""
    out = {}
    for name in ("accuracy", "macro_f1"):
        values = np.array([each[name] for each in evaluations], dtype=np.float64)
        out[name] = {
            "mean": float(values.mean()),
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            "min": float(values.min()),
            "max": float(values.max()),
            "n": len(values),
        }
    return out
