"""The proxy of label replacement: a linear classifier per class on embeddings, with probabilities, from few labelled items.

Knows vectors and codes of classes; knows nothing of texts, of where the labels came from, or of what is done with the answer.

Reference: Chung, Kamar and Amershi (ACL 2023), section on label replacement: one-vs-rest linear SVC, max_iter 10000.
Differs from the paper: it does not say how a margin becomes a confidence beside a 0/1 indicator, nor what a class with few
positives gets. Here: (1) Platt's sigmoid on the decision values of 5-fold cross-validation; (2) classes with fewer than
OWN_SIGMOID_FROM positives share one sigmoid, fitted on the values of all classes together, because one positive cannot be
both trained on and held out; (3) a class without positives has probability 0; (4) the positives of class k weigh
n / (c n_k), which raises rare classes. Probabilities are one-vs-rest and do not sum to 1: scaled to 1, they would be
overconfident where the text's class may be one that was never seen.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from variegate.curation.inputs import blocks
from variegate.curation.platt import Sigmoid, assign_folds, fit_sigmoid
from variegate.errors import UsageError

FOLDS = 5
MAX_ITERATIONS = 10_000
OWN_SIGMOID_FROM = 8  # positives. Own sigmoids win from about here on (banking77, clinc150, trec6 with 30 % of labels flipped)


@dataclass(frozen=True, slots=True, eq=False)
class Proxy:
    """known: the classes with positives, ascending. The sigmoid of known[j] is slopes[j], intercepts[j]."""

    num_classes: int
    known: Int[np.ndarray, " k"]
    positives: Int[np.ndarray, " c"]  # of every class, among the rows trained on
    weights: Float[np.ndarray, "k d"]
    offsets: Float[np.ndarray, " k"]
    slopes: Float[np.ndarray, " k"]
    intercepts: Float[np.ndarray, " k"]
    held_out: Float[np.ndarray, "m c"]  # probabilities of the rows trained on, each by a model that did not see it
    calibrated: bool  # False: no class could be both trained on and held out, and the probabilities say nothing
    converged: bool

    def probabilities(self, vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n c"]:
        """P(class | row), one-vs-rest: rows do not sum to 1. Classes without positives: 0. O(n c d), in blocks; float32."""
        out = np.zeros((len(vectors), self.num_classes), dtype=np.float32)
        for start, block in blocks(vectors):
            values = block @ self.weights.T.astype(block.dtype) + self.offsets
            out[start : start + len(block), self.known] = _sigmoids(values, self.slopes, self.intercepts)
        return out


def train_proxy(vectors: Float[np.ndarray, "m d"], codes: Int[np.ndarray, " m"], *, num_classes: int, seed: int) -> Proxy:
    """One linear SVC for each class that has positives, and its sigmoid. codes: the class of each row, 0 .. num_classes - 1.

    Cost: FOLDS + 1 trainings of O(m k d) a pass; 0.7 s at m = 180 and k = 105 classes, 6 s at m = 900 and k = 150 (d = 384, one
    core). Deterministic given `seed`. Raises UsageError when the rows are all of one class.
    """
    positives = np.bincount(codes, minlength=num_classes)
    known = np.flatnonzero(positives)
    if len(known) < 2:
        raise UsageError("a proxy needs rows of at least two classes: label more")
    folds = assign_folds(codes, min(FOLDS, len(codes)), seed=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = np.full((len(codes), num_classes), np.nan)  # nan: the class had no positive among the rows trained on
        for fold in range(int(folds.max()) + 1):
            inside = folds != fold
            classes = np.unique(codes[inside])
            if len(classes) < 2:
                continue
            weights, offsets = _fit(vectors[inside], codes[inside], seed)
            values[np.ix_(~inside, classes)] = vectors[~inside] @ weights.T + offsets
        weights, offsets = _fit(vectors, codes, seed)
    seen = ~np.isnan(values)
    is_class = codes[:, None] == np.arange(num_classes)
    pooled = fit_sigmoid(values[seen], is_class[seen])
    sigmoids = [
        fit_sigmoid(values[seen[:, k], k], is_class[seen[:, k], k]) if positives[k] >= OWN_SIGMOID_FROM else pooled for k in known.tolist()
    ]
    slopes, intercepts = np.array([each.slope for each in sigmoids]), np.array([each.intercept for each in sigmoids])
    held_out = np.zeros(values.shape)
    held_out[:, known] = np.where(seen[:, known], _sigmoids(np.nan_to_num(values[:, known]), slopes, intercepts), 0.0)
    return Proxy(
        num_classes=num_classes,
        known=known,
        positives=positives,
        weights=weights,
        offsets=offsets,
        slopes=slopes,
        intercepts=intercepts,
        held_out=held_out,
        calibrated=bool((slopes > 0).any()),
        converged=not any("converge" in str(each.message) for each in caught),
    )


def choose_uncertain(probabilities: Float[np.ndarray, "n c"], m: int) -> list[int]:
    """The places of the m rows whose best and second-best class are nearest to each other, the least certain first.

    For `variegate inspect`: a label teaches most where the proxy wavers. Equal margins: the earlier row first. m above n gives all.
    Reference: Scheffer, Decomain and Wrobel, "Active hidden Markov models for information extraction", 2001 (margin sampling).
    Raises UsageError for fewer than two classes, m below 1, or a probability that is not finite.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise UsageError(f"probabilities: got shape {probabilities.shape}, expected a row for each item and at least two classes")
    if m < 1:
        raise UsageError(f"m: got {m}, expected at least 1")
    if not np.isfinite(probabilities).all():
        raise UsageError("probabilities: some are not finite, so nothing is known of their items")
    best = np.partition(probabilities, -2, axis=1)[:, -2:]
    order: list[int] = np.argsort(best[:, 1] - best[:, 0], kind="stable").tolist()
    return order[:m]


def _fit(vectors: Float[np.ndarray, "m d"], codes: Int[np.ndarray, " m"], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(weights "k d", offsets "k") of the k >= 2 classes in `codes`, ascending."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(max_iter=MAX_ITERATIONS, class_weight="balanced", random_state=seed).fit(vectors, codes)
    if len(model.coef_) == 1:  # two classes are one problem, seen from its second class
        return np.concatenate([-model.coef_, model.coef_]), np.concatenate([-model.intercept_, model.intercept_])
    return model.coef_, model.intercept_


def _sigmoids(values: Float[np.ndarray, "n k"], slopes: Float[np.ndarray, " k"], intercepts: Float[np.ndarray, " k"]) -> np.ndarray:
    return Sigmoid(1.0, 0.0)(values * slopes + intercepts)
