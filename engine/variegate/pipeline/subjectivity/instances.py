"""Agreement on items and the accuracy of students over it, as the parts `instances` and `sweep` of a measurement.

Knows items, labels and predictions; knows nothing of where they come from. See `subjectivity` for the JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from variegate.config import TaskConfig
from variegate.errors import UsageError, nearest
from variegate.kinds.text import as_one
from variegate.metrics.agreement import Agreement, chance_agreement, fleiss_kappa, instance_agreement, krippendorff_alpha, mean_agreement
from variegate.metrics.subjectivity import Difference, SweepPoint, agreement_slope, attainable_gammas, gamma_sweep
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.predictions import Predicted
from variegate.seeding import derive_seed

SYNTHETIC, REAL = "synthetic", "real"  # names of the two students that the answer compares
_CONTESTED = 12
_CONFUSED = 10
_BARS = 40  # of the histogram


@dataclass(frozen=True, slots=True)
class StudentAnswers:
    name: str  # SYNTHETIC, REAL or another
    source: str
    kind: str  # "file" or "student"
    predicted: Predicted


def measure_instances(
    items: Annotated,
    source: Mapping[str, Any],
    students: Sequence[StudentAnswers],
    gammas: Sequence[float],
    task: TaskConfig | None,
    seed: int,
    warnings: list[str],
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """(`instances`, `sweep`) of the measurement; see `subjectivity`, which also tells the errors. Adds to `warnings`."""
    warnings += items.warnings
    _check_labels(items, students, task)
    several = [place for place, votes in enumerate(items.votes) if len(votes) > 1]
    if not several:
        raise UsageError(
            f"{items.source}: every item has one label, and agreement needs two or more of the same item. If its rows are single labels, the"
            " items are told apart by `id`, else by their text: name the field that says which item it is with --id-field ('' for the text)"
        )
    single = len(items) - len(several)
    if single:
        warnings.append(f"{single:,} items with one label are left out: a label always agrees with itself")
    kept = items.take(several)
    agreement = instance_agreement(kept.votes)
    true = list(kept.true) if kept.true is not None else [label or "" for label in agreement.majority]
    predicted = {each.name: [each.predicted.labels[place] for place in several] for each in students}
    alpha = krippendorff_alpha(agreement, seed=derive_seed(seed, "alpha"))
    instances = {
        "source": {"kind": "file", "name": kept.source, "form": kept.form, "annotators": kept.num_annotators, **source},
        "n": len(kept),
        "left_out": {"single": single, "unlabelled": kept.unlabelled},
        "labels": dict(zip(agreement.labels, agreement.counts.sum(0).tolist(), strict=True)),
        "labels_per_item": _counted(agreement.sizes),
        "agreement": {
            **_renamed(asdict(mean_agreement(agreement)), value="mean"),
            "chance": chance_agreement(agreement),
            "unanimous": float((agreement.shares == 1).mean()),
            "tied": sum(label is None for label in agreement.majority),
        },
        "histogram": _histogram(agreement),
        "alpha": None if alpha is None else asdict(alpha),
        "kappa": fleiss_kappa(agreement),
        "true": {
            "kind": "majority" if kept.true is None else "field",
            "field": kept.true_field,
            "without": sum(not label for label in true),
        },
        "majority_right": None if kept.true is None else _majority_right(agreement, true),
        "confused": _confused(agreement),
        "contested": _contested(kept, agreement, true, predicted),
    }
    if alpha is None:
        warnings.append(f"all labels are {agreement.labels[0]!r}: agreement beyond chance cannot be told")
    if not students:
        return instances, None
    return instances, _sweep(agreement, true, predicted, gammas, items, warnings)


def _check_labels(items: Annotated, students: Sequence[StudentAnswers], task: TaskConfig | None) -> None:
    """Every label must be one of the task's, where there is one; else a predicted one must be an annotator's or a true one."""
    given = {label for votes in items.votes for label in votes}
    true = {label for label in items.true or () if label}
    known = given | true
    if task is not None:
        known = {*task.labels, *([task.data.out_of_scope_label] if task.data and task.data.out_of_scope_label else [])}
        for labels, what in ((given, "labels"), (true, f"field {items.true_field!r}")):
            unknown = sorted(labels - known)
            if unknown:
                raise UsageError(f"{items.source}: {what}: {_not_known(unknown, known, f'of the labels of task {task.name!r}')}")
    for each in students:
        unknown = sorted({label for label in each.predicted.labels if label is not None} - known)
        if unknown:
            whose = f"of the labels of task {task.name!r}" if task is not None else "of the labels given"
            hint = "" if task is not None else " If it is a label of the task all the same, name the task with --task"
            raise UsageError(f"{each.source}: predictions: {_not_known(unknown, known, whose)}{hint}")


def _not_known(unknown: Sequence[str], known: set[str], whose: str) -> str:
    more = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
    shown = sorted(known)
    return (
        f"{unknown[0]!r}{more} is none {whose}{nearest(unknown[0], shown)} Known: {', '.join(shown[:10])}{' …' if len(shown) > 10 else ''}."
    )


def _majority_right(agreement: Agreement, true: Sequence[str]) -> dict[str, Any] | None:
    """Of the items with a majority and a true label, on how many they are the same."""
    both = [place for place, (label, is_true) in enumerate(zip(agreement.majority, true, strict=True)) if label is not None and is_true]
    if not both:
        return None
    right = np.array([agreement.majority[place] == true[place] for place in both])
    (found,) = gamma_sweep(agreement.shares[both], {"majority": right}, [0.0])
    return {**asdict(found.accuracy["majority"]), "n": found.n}


def _counted(sizes: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(sizes, return_counts=True)
    return {str(value): count for value, count in zip(values.tolist(), counts.tolist(), strict=True)}


def _renamed(values: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in values.items()}


def _histogram(agreement: Agreement) -> list[dict[str, Any]]:
    """Items at each share; of many shares, within bins named by their upper ends."""
    values, counts = np.unique(agreement.shares, return_counts=True)
    if len(values) > _BARS:
        counts, ends = np.histogram(agreement.shares, bins=20, range=(0, 1))
        values, counts = ends[1:][counts > 0], counts[counts > 0]
    return [{"share": share, "n": n} for share, n in zip(values.tolist(), counts.tolist(), strict=True)]


def _confused(agreement: Agreement) -> list[dict[str, Any]]:
    present = (agreement.counts > 0).astype(np.float32)
    both = present.T @ present
    pairs = [(int(both[a, b]), agreement.labels[a], agreement.labels[b]) for a, b in combinations(range(len(agreement.labels)), 2)]
    return [{"labels": [a, b], "n": n} for n, a, b in sorted(pairs, key=lambda pair: (-pair[0], pair[1:]))[:_CONFUSED] if n]


def _contested(
    items: Annotated, agreement: Agreement, true: Sequence[str], predicted: Mapping[str, Sequence[str | None]]
) -> list[dict[str, Any]]:
    order = sorted(range(len(items)), key=lambda place: (agreement.shares[place], -agreement.sizes[place], place))[:_CONTESTED]
    return [
        {
            "id": items.ids[place],
            "text": None if items.texts is None else as_one(items.texts[place]),
            "share": float(agreement.shares[place]),
            "labels": {label: int(n) for label, n in zip(agreement.labels, agreement.counts[place], strict=True) if n},
            "true": true[place] or None,
            "predicted": {name: labels[place] for name, labels in predicted.items()},
        }
        for place in order
        if agreement.shares[place] < 1
    ]


def _sweep(
    agreement: Agreement,
    true: Sequence[str],
    predicted: Mapping[str, Sequence[str | None]],
    gammas: Sequence[float],
    items: Annotated,
    warnings: list[str],
) -> dict[str, Any]:
    usable = np.array([bool(label) and all(each[place] is not None for each in predicted.values()) for place, label in enumerate(true)])
    if not usable.any():
        raise UsageError(
            f"{items.source}: no item has both a true label and a prediction of every student: give predictions for the same items"
        )
    if not usable.all():
        without_true = sum(not label for label in true)
        warnings.append(
            f"{int((~usable).sum()):,} of {len(true):,} items are left out of the accuracies: {without_true:,} have no true label (none given, or"
            f" a tie), the others lack a student's prediction"
        )
    shares = agreement.shares[usable]
    correct = {
        name: np.array([label == is_true for label, is_true in zip(labels, true, strict=True)])[usable]
        for name, labels in predicted.items()
    }
    names = sorted(correct, key=lambda name: (name == REAL, name != SYNTHETIC))  # the real-trained one is compared with last
    pairs = list(combinations(names, 2))
    asked = sorted({0.0, *gammas}) if gammas else attainable_gammas(shares)
    points = gamma_sweep(shares, correct, asked, pairs)
    slopes = {name: agreement_slope(shares, each) for name, each in correct.items()}
    differences = {(a, b): agreement_slope(shares, correct[a].astype(float) - correct[b]) for a, b in pairs}
    if len(np.unique(shares)) == 1:
        warnings.append("all items agree equally well: accuracy cannot change with gamma, and there is no slope")
    elif not gammas and len(asked) - 1 < len(np.unique(shares)):
        warnings.append(f"the shares take {len(np.unique(shares)):,} values: the curve is drawn at {len(asked)} of them")
    return {
        "rule": ">=",
        "n": int(usable.sum()),
        "points": [_point(point) for point in points],
        "slopes": {name: None if slope is None else asdict(slope) for name, slope in slopes.items()},
        "slope_differences": [{"first": a, "second": b, **asdict(each)} for (a, b), each in differences.items() if each is not None],
    }


def _point(point: SweepPoint) -> dict[str, Any]:
    return {
        "gamma": point.gamma,
        "n": point.n,
        "accuracy": {name: {**asdict(each), "correct": point.num_correct[name]} for name, each in point.accuracy.items()},
        "differences": [_difference(each) for each in point.differences],
    }


def _difference(each: Difference) -> dict[str, Any]:
    return _renamed(asdict(each), num_first_only="first_only", num_second_only="second_only")
