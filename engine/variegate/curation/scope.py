"""Out-of-scope filtering: a linear classifier learns from a few judgements of in and out what to drop.

Knows items, vectors and judgements; knows nothing of who judged, or of the task.

Reference: Chung, Kamar and Amershi, "Increasing Diversity While Maintaining Accuracy", ACL 2023.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from variegate.curation.inputs import blocks, check_vectors, many, places_of, share
from variegate.curation.judging import Items, Judgement
from variegate.curation.platt import Sigmoid, assign_folds, fit_sigmoid
from variegate.errors import UsageError
from variegate.records import Verdict
from variegate.seeding import derive_seed

FOLDS = 5
FEWEST_OUT = 5  # out-of-scope judgements; the paper went on only with tasks that had so many among 360
MAX_ITERATIONS = 10_000


def filter_scope(items: Items, vectors: Float[np.ndarray, "n d"], judged: Mapping[str, bool], *, threshold: float, seed: int) -> Judgement:
    """Drop (`out_of_scope`) each item whose probability of being out of scope is at least `threshold`.

    judged: id -> in scope. Those items keep their judgement whatever the classifier says. confidence: the probability of being
    in scope, 1 or 0 for judged items. The classifier is a linear SVC (max_iter 10000, unweighted); its probability is Platt's
    sigmoid on the decision values of 5-fold cross-validation.
    facts: precision, recall and accuracy of the filter on the judged items, out of fold (the sigmoid too), with "out" as the positive.
    On clinc150 with real out-of-scope queries, 360 judged of 3,000, threshold 0.5: precision 0.74 and recall 0.42 where 20 % are
    out, 0.76 and 0.18 where 10 % are, next to nothing found at 3 %. Weighting the rare side gave no more, at equal precision.
    Differs from the paper: it drops by the sign of the margin; a probability makes the threshold mean something.
    Cost: six trainings of O(m d) a pass, and O(n d). Memory: O(n) beside the vectors. Deterministic given `seed`.
    Raises UsageError when nothing was judged, all of it one way, vectors are bad or the threshold is not between 0 and 1.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"threshold: got {threshold}, expected a probability above 0 and below 1")
    check_vectors(items, vectors)
    places, elsewhere = places_of(items, judged)
    out = np.array([not judged[items.ids[place]] for place in places], dtype=bool)
    _check_judged(out)
    notes = [f"{many(elsewhere, 'judgement')} of no item here: left out"] if elsewhere else []
    if out.sum() < FEWEST_OUT:
        notes.append(
            f"{many(int(out.sum()), 'item')} of {len(out)} judged out of scope: with fewer than {FEWEST_OUT} the filter hardly learns what"
            " to drop; judge more, or leave this stage out"
        )
    weights, offset, sigmoid, facts, converged = _train(np.asarray(vectors[places]), out, threshold, derive_seed(seed, "scope"))
    if not converged:
        notes.append("the filter's linear SVC did not converge: its probabilities may be off")
    probabilities = np.concatenate([sigmoid(block @ weights + offset) for _, block in blocks(vectors)])
    verdicts = tuple(_verdict(items, place, judged, float(each), threshold) for place, each in enumerate(probabilities))
    facts = {
        "n": len(items),
        "judged": len(out),
        "judged_out": int(out.sum()),
        "judged_elsewhere": elsewhere,
        "out_of_scope_share": share(int(out.sum()), len(out)),
        "threshold": threshold,
        "out_of_fold": facts,
        "dropped": sum(not each.keep for each in verdicts),
    }
    return Judgement(verdicts, facts, tuple(notes))


def _check_judged(out: Bool[np.ndarray, " m"]) -> None:
    if len(out) == 0:
        raise UsageError("scope: none of the items was judged in or out of scope: judge some (`variegate inspect`, or a file)")
    if out.all() or not out.any():
        kind, other = ("out of", "in") if out.all() else ("in", "out of")
        raise UsageError(
            f"scope: all {len(out)} judged items are {kind} scope, and a filter learns from both kinds: judge more until some are"
            f" {other} scope, or leave this stage out"
        )


def _train(
    vectors: Float[np.ndarray, "m d"], out: Bool[np.ndarray, " m"], threshold: float, seed: int
) -> tuple[Float[np.ndarray, " d"], float, Sigmoid, dict[str, Any], bool]:
    """(weights, offset, sigmoid of "out", out-of-fold facts, whether all trainings converged)."""
    from sklearn.svm import LinearSVC

    def fit(inside: Bool[np.ndarray, " m"]) -> Any:
        return LinearSVC(max_iter=MAX_ITERATIONS, random_state=seed).fit(vectors[inside], out[inside])

    folds = assign_folds(out.astype(np.int64), min(FOLDS, len(out)), seed=seed)
    values = np.full(len(out), np.nan)  # nan: without this row's fold, all were of one kind
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for fold in range(int(folds.max()) + 1):
            inside = folds != fold
            if out[inside].any() and not out[inside].all():
                values[~inside] = fit(inside).decision_function(vectors[~inside])
        model = fit(np.ones(len(out), dtype=bool))
    seen = ~np.isnan(values)
    dropped = np.zeros(len(out), dtype=bool)
    for fold in range(int(folds.max()) + 1):
        others, own = seen & (folds != fold), seen & (folds == fold)
        dropped[own] = fit_sigmoid(values[others], out[others])(values[own]) >= threshold
    both = int((dropped & out).sum())
    facts = {
        "precision": share(both, int(dropped.sum())),
        "recall": share(both, int(out.sum())),
        "accuracy": share(int((dropped == out).sum()), len(out)),
    }
    converged = not any("converge" in str(each.message) for each in caught)
    return model.coef_[0], float(model.intercept_[0]), fit_sigmoid(values[seen], out[seen]), facts, converged


def _verdict(items: Items, place: int, judged: Mapping[str, bool], probability: float, threshold: float) -> Verdict:
    """probability: of being out of scope."""
    in_scope = judged.get(items.ids[place])
    keep = probability < threshold if in_scope is None else in_scope
    details = {"out_of_scope": round(probability, 6), "judged": in_scope is not None}
    confidence = 1 - probability if in_scope is None else float(in_scope)
    return Verdict(items.ids[place], items.labels[place], keep, "" if keep else "out_of_scope", confidence, details)
