"""Label issues by confident learning: items whose label a cross-validated classifier doubts. Needs cleanlab, the `audit` extra.

Knows items and vectors; knows nothing of where the labels came from.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from variegate.curation.inputs import check_vectors, many
from variegate.curation.judging import Items, Judgement
from variegate.curation.platt import assign_folds
from variegate.errors import UsageError, VariegateError, some_of
from variegate.records import Verdict
from variegate.seeding import derive_seed

_MAX_ITERATIONS = 1000


def audit(items: Items, vectors: Float[np.ndarray, "n d"], *, drop: bool, folds: int, seed: int) -> Judgement:
    """Name (`label_issue`) the items whose label is likely wrong, and with `drop` drop them.

    P(label | text) comes from logistic regression on the vectors by `folds`-fold cross-validation; cleanlab's
    `find_label_issues` (prune by noise rate) picks the issues and ranks them by self-confidence, P of the given label.
    confidence: that probability. details: the suggested label (of the largest probability), self_confidence, and the rank of an issue,
    from 1, the worst. Labels are not changed.
    Items of a label that only one item has cannot be cross-validated: they stay (`unjudged`), and count as nothing for the others.
    With 10 to 30 % of labels flipped at random, on 1,800 to 3,080 texts of trec6, subj, banking77 and clinc150: recall 0.77 to
    0.84, precision 0.70 to 0.88 at 30 % and 0.49 to 0.77 at 10 %. A weaker penalty than scikit-learn's C = 1 lost precision.
    Cost: `folds` trainings of about 100 passes of O(n c d). Memory: O(n c). Deterministic given `seed`.
    Reference: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021.
    Raises VariegateError without cleanlab; UsageError for bad vectors, fewer than 2 folds, or fewer than two labels to tell apart.
    """
    find_label_issues = _cleanlab()
    if folds < 2:
        raise UsageError(f"folds: got {folds}, expected at least 2")
    check_vectors(items, vectors)
    counts = Counter(items.labels)
    names = sorted(label for label, count in counts.items() if count > 1)
    if len(names) < 2:
        raise UsageError(
            f"audit: {many(len(names), 'label')} with two or more items, and telling labels apart needs two: add items, or leave this stage out"
        )
    code = {label: number for number, label in enumerate(names)}
    places = np.array([place for place, label in enumerate(items.labels) if label in code], dtype=np.int64)
    codes = np.array([code[items.labels[place]] for place in places], dtype=np.int64)
    probabilities = _cross_validate(vectors[places], codes, len(names), folds, derive_seed(seed, "audit"))
    ranked = find_label_issues(
        labels=codes, pred_probs=probabilities, return_indices_ranked_by="self_confidence", filter_by="prune_by_noise_rate", n_jobs=1
    )
    rank = {int(places[row]): number for number, row in enumerate(ranked.tolist(), start=1)}
    row_of = {int(place): row for row, place in enumerate(places)}
    verdicts = tuple(
        _verdict(items, place, probabilities[row_of[place]], codes[row_of[place]], names, rank.get(place), drop)
        if place in row_of
        else Verdict(items.ids[place], items.labels[place], reason="unjudged", details={"why": "no other item has this label"})
        for place in range(len(items))
    )
    single = sorted(label for label, count in counts.items() if count == 1)
    few = [label for label in names if counts[label] < folds]
    facts: dict[str, Any] = {
        "n": len(items),
        "judged": len(places),
        "issues": len(rank),
        "issues_by_label": dict(sorted(Counter(items.labels[place] for place in rank).items())),
        "accuracy_out_of_fold": float((probabilities.argmax(axis=1) == codes).mean()),
        "folds": folds,
        "single_item_labels": single,
        "labels_with_fewer_items_than_folds": few,
    }
    return Judgement(verdicts, facts, _warnings(single, few, folds))


def _cleanlab() -> Any:
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise VariegateError("the audit stage needs cleanlab, which is not installed: pip install 'variegate[audit]'") from error
    return find_label_issues


def _cross_validate(
    vectors: Float[np.ndarray, "n d"], codes: Int[np.ndarray, " n"], num_classes: int, folds: int, seed: int
) -> Float[np.ndarray, "n c"]:
    """P(class | row) by a model that did not see the row."""
    from sklearn.linear_model import LogisticRegression

    fold_of = assign_folds(codes, min(folds, len(codes)), seed=seed)
    out = np.zeros((len(codes), num_classes))
    for fold in range(int(fold_of.max()) + 1):
        inside = fold_of != fold
        classes = np.unique(codes[inside])
        if len(classes) < 2:
            out[np.ix_(~inside, classes)] = 1.0
            continue
        model = LogisticRegression(max_iter=_MAX_ITERATIONS).fit(vectors[inside], codes[inside])
        out[np.ix_(~inside, classes)] = model.predict_proba(vectors[~inside])
    return out


def _verdict(
    items: Items, place: int, probabilities: Float[np.ndarray, " c"], code: int, names: list[str], rank: int | None, drop: bool
) -> Verdict:
    details: dict[str, Any] = {"suggested": names[int(probabilities.argmax())], "self_confidence": round(float(probabilities[code]), 6)}
    if rank is not None:
        details["rank"] = rank
    return Verdict(
        items.ids[place],
        items.labels[place],
        keep=rank is None or not drop,
        reason="" if rank is None else "label_issue",
        confidence=float(probabilities[code]),
        details=details,
    )


def _warnings(single: list[str], few: list[str], folds: int) -> tuple[str, ...]:
    out = []
    if single:
        out.append(f"not judged: the one item of {many(len(single), 'label')} with no second one: {some_of(single)}")
    if few:
        out.append(f"{many(len(few), 'label')} with fewer items than the {folds} folds, judged from little: {some_of(few)}")
    return tuple(out)
