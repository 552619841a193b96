"""Students of a run, laid out for its report: scores with error bars over seeds, classes, confusions. Trains and scores nothing.

Keys read of RUN/students/NAME/scores.json (others are ignored; a missing part or one of another type leaves a gap):
    config {kind, model | encoder, ..}, train {source, curation, n, labels}, test {source, n}, created
    seeds [{seed, evaluation, facts}], summary {accuracy {mean, sd, min, max, n}, macro_f1 {..}}, warnings
    beside [{name, texts, source, n, accuracy, accuracy_ci95, macro_f1, macro_f1_ci95, less {examples | majority {difference, ci95}}}]
    verdict {helps, sentence, measured, held_back, next}
evaluation: n, accuracy, accuracy_ci95, macro_f1, macro_f1_ci95, per_class {label: {precision, recall, f1, support}},
    confusion {labels, matrix}, labels_absent [label], calibration_error
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from statistics import fmean, stdev
from typing import Any

from variegate.report.curation import facts_in_words
from variegate.report.found import read_object
from variegate.report.intervals import Heading, Point, intervals
from variegate.report.matrix import NUMBERED, Matrix, heat_map
from variegate.report.measured import items, mapping, text, whole, words
from variegate.report.numbers import drawable, pair_of, write_change, write_range, write_share
from variegate.report.svg import clip
from variegate.store.run_folder import RunFolder

STUDENTS, SCORES = "students", "scores.json"
_SCORES = {"accuracy": "Accuracy", "macro_f1": "Macro-F1"}
_CLASSES_IN_SIGHT = 25
_CONFUSIONS_IN_SIGHT = (8, 15)  # beside a matrix with numbers, and beside one without
_CONFUSIONS_LISTED = 60
_MOST_LABELS = 400
_AGAIN = "Run `variegate train` again."


def students_section(folder: RunFolder) -> dict[str, Any] | None:
    """All students in the run's folder, for the template; None where it has none."""
    found, notes = [], []
    for path in sorted((folder.path / STUDENTS).glob(f"*/{SCORES}")):
        name = words(path.parent.name)
        scores, note = read_object(path, _AGAIN)
        if scores is None:
            notes.append(f"{name}: {note or 'cannot be read'}")
            continue
        student = student_context(scores, name)
        if student["scores"]:
            found.append(student)
        else:
            notes.append(f"{name}: {SCORES} holds no score. {_AGAIN}")
    if not found and not notes:
        return None
    several = len({(each["test"]["name"], each["test"]["n"]) for each in found}) > 1
    return {"all": found, "notes": notes, "plot": _plot(found), "several_tests": several}


def student_context(scores: Mapping[str, Any], name: str) -> dict[str, Any]:
    """One student, for the template."""
    runs = [mapping(each) for each in items(scores.get("seeds"))]
    evaluations = [mapping(each.get("evaluation")) for each in runs]
    found = [each for metric, title in _SCORES.items() if (each := _score(scores, evaluations, metric, title))]
    config = mapping(scores.get("config"))
    return {
        "name": name or "unnamed",
        "model": " ".join(filter(None, (words(config.get("kind")).replace("_", " "), words(config.get("model") or config.get("encoder"))))),
        "settings": facts_in_words(config),
        "train": _data(scores.get("train")),
        "test": _data(scores.get("test")),
        "scores": found,
        "columns": [next((each for each in found if each["metric"] == metric), None) for metric in _SCORES],
        "beside": _beside(scores.get("beside")),
        "verdict": _verdict(mapping(scores.get("verdict"))),
        "num_seeds": len(evaluations),
        "calibration": _mean_of(evaluations, "calibration_error"),
        "absent": [words(label) for label in items((evaluations or [{}])[0].get("labels_absent")) if words(label)],
        "classes": _classes(evaluations),
        "confusion": _confusion(evaluations),
        "facts": [(str(whole(each.get("seed")) or 0), facts_in_words(mapping(each.get("facts")))) for each in runs],
        "warnings": [clip(text(each), 500) for each in items(scores.get("warnings")) if isinstance(each, str) and each],
    }


def _data(value: Any) -> dict[str, Any]:
    data = mapping(value)
    labels = data.get("labels")
    return {
        "name": words(data.get("source")) or "unnamed data",
        "curation": "" if (curation := words(data.get("curation"))) in words(data.get("source")) else curation,
        "n": whole(data.get("n")),
        "num_labels": len(labels) if isinstance(labels, list | Mapping) else whole(labels),
    }


# -- scores ----------------------------------------------------------------------------------------------------


def _score(scores: Mapping[str, Any], evaluations: list[Mapping[str, Any]], metric: str, title: str) -> dict[str, Any] | None:
    """Mean and spread over the seeds: as `summary` states them, or from the evaluations where it does not."""
    values = [value for each in evaluations if (value := drawable(each.get(metric))) is not None]
    stated = mapping(mapping(scores.get("summary")).get(metric))
    mean, sd = drawable(stated.get("mean")), drawable(stated.get("sd"))
    mean = fmean(values) if mean is None and values else mean
    if mean is None:
        return None
    sd = stdev(values) if sd is None and len(values) > 1 else sd
    num = whole(stated.get("n")) or len(values)
    bounds = [bounds for each in evaluations if (bounds := pair_of(each.get(f"{metric}_ci95")))]
    outer = (fmean(low for low, _ in bounds), fmean(high for _, high in bounds)) if bounds else None
    spread = f" ± {100 * sd:.1f}" if sd is not None and num > 1 else ""
    return {
        "metric": metric,
        "title": title,
        "mean": mean,
        "sd": sd if num > 1 else None,
        "n": num,
        "values": values,
        "outer": outer,
        "written": write_share(mean).removesuffix(" %") + spread + " %",
        "range": write_range(min(values), max(values), "share") if len(values) > 1 else "",
        "interval": write_range(*outer, "share") if outer else "",
    }


def _mean_of(evaluations: list[Mapping[str, Any]], name: str) -> float | None:
    values = [value for each in evaluations if (value := drawable(each.get(name))) is not None]
    return fmean(values) if values else None


def _plot(students: list[dict[str, Any]]) -> str | None:
    """Means with one standard deviation over the seeds, each seed as a dot, and the test set's 95 % interval as a thin line."""
    rows: list[Point | Heading] = []
    for metric, title in _SCORES.items():
        own = [(student, score) for student in students for score in student["scores"] if score["metric"] == metric]
        if not own:
            continue
        rows.append(Heading(title))
        for student, score in own:
            sd = score["sd"]
            rows.append(
                Point(
                    student["name"],
                    score["mean"],
                    None if sd is None else max(score["mean"] - sd, 0.0),
                    None if sd is None else min(score["mean"] + sd, 1.0),
                    outer=score["outer"],
                    dots=tuple(score["values"]) if len(score["values"]) > 1 else (),
                    words=score["written"],
                )
            )
    if not rows:
        return None
    return intervals("Scores of the students", rows, axis="score on the test data", written=lambda value: f"{100 * value:.4g} %")


# -- beside ----------------------------------------------------------------------------------------------------


def _beside(value: Any) -> dict[str, Any] | None:
    """Rows as `train` has them, the student's own first; differences are to the examples, where there are any."""
    rows = [mapping(each) for each in items(value)]
    bar = next((row for name in ("examples", "majority") for row in rows if row.get("name") == name), {})
    found = []
    for row in rows:
        less = mapping(mapping(row.get("less")).get(str(bar.get("name"))))
        difference, ends = drawable(less.get("difference")), pair_of(less.get("ci95"))
        scores = []
        for metric in _SCORES:
            score, interval = drawable(row.get(metric)), pair_of(row.get(f"{metric}_ci95"))
            scores.append((None if score is None else write_share(score), write_range(*interval, "share") if interval else ""))
        found.append(
            {
                "name": words(row.get("texts")) or words(row.get("name")) or "unnamed",
                "source": words(row.get("source")),
                "n": whole(row.get("n")),
                "scores": scores,
                "difference": "" if difference is None else write_change(difference, "share"),
                "interval": write_range(*ends, "share", change=True) if ends else "",
            }
        )
    return {"rows": found, "less": words(bar.get("texts"))} if found else None


def _verdict(verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    sentence = clip(text(verdict.get("sentence")), 500)
    if not sentence:
        return None
    held_back, measured = ([clip(text(each), 300) for each in items(verdict.get(name)) if text(each)] for name in ("held_back", "measured"))
    return {
        "helps": verdict.get("helps") is True,
        "sentence": sentence,
        "held_back": held_back,
        "measured": [] if held_back else measured,
        "next": clip(text(verdict.get("next")), 500),
    }


# -- classes ---------------------------------------------------------------------------------------------------


def _classes(evaluations: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Means over the seeds, the weakest classes first where there are many."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for evaluation in evaluations:
        for label, each in mapping(evaluation.get("per_class")).items():
            for metric in ("precision", "recall", "f1", "support"):
                if (value := drawable(mapping(each).get(metric))) is not None:
                    values[str(label)][metric].append(value)
    rows = []
    for label, own in values.items():
        f1 = own["f1"]
        rows.append(
            {
                "label": words(label) or "(empty)",
                "support": round(own["support"][0]) if own["support"] else None,
                "f1": fmean(f1) if f1 else None,
                "spread": f"{100 * min(f1):.0f} to {100 * max(f1):.0f} %" if len(f1) > 1 and max(f1) > min(f1) else "",
                **{metric: fmean(own[metric]) if own[metric] else None for metric in ("precision", "recall")},
            }
        )
    if not rows:
        return None
    many = len(rows) > _CLASSES_IN_SIGHT
    rows.sort(key=lambda row: (row["f1"] if row["f1"] is not None else 2.0, row["label"]) if many else (0.0, row["label"]))
    return {"in_sight": rows[:_CLASSES_IN_SIGHT], "folded": rows[_CLASSES_IN_SIGHT:], "weakest_first": many}


def _confusion(evaluations: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Counts of all seeds together, rows being the true labels."""
    counts: dict[tuple[str, str], float] = defaultdict(float)
    num = 0
    for evaluation in evaluations:
        confusion = mapping(evaluation.get("confusion"))
        labels = [str(label) for label in items(confusion.get("labels"))]
        rows = [items(row) for row in items(confusion.get("matrix"))]
        if not labels or len(rows) != len(labels) or any(len(row) != len(labels) for row in rows):
            continue
        num += 1
        for true, row in zip(labels, rows, strict=True):
            for predicted, count in zip(labels, row, strict=True):
                counts[true, predicted] += max(whole(count) or 0, 0)
    if not any(counts.values()):
        return None
    names = sorted({name for pair in counts for name in pair})
    place = {name: index for index, name in enumerate(names)}
    matrix = Matrix(
        [words(name) or "(empty)" for name in names],
        {(place[true], place[predicted]): count for (true, predicted), count in counts.items() if count},
    )
    largest = [
        {"true": true, "predicted": predicted, "count": int(count), "share": share} for true, predicted, count, share in matrix.largest()
    ]
    compact = len(names) > NUMBERED
    in_sight = _CONFUSIONS_IN_SIGHT[compact]
    return {
        "plot": heat_map("Confusion matrix", matrix, row_title="true", column_title="predicted") if len(names) <= _MOST_LABELS else None,
        "compact": compact,
        "num_seeds": num,
        "in_sight": largest[:in_sight],
        "folded": largest[in_sight:_CONFUSIONS_LISTED],
        "unlisted": max(len(largest) - _CONFUSIONS_LISTED, 0),
    }
