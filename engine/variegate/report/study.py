"""A study as one HTML page: every combination of options with its scores, what each option changed, and what it cost.

Keys read (others are ignored; a missing part or one of another type leaves a gap), as `variegate compare` writes them:
    variegate, created, name, task, axes {axis: [option]}, replicates, train_size {n, rule}, student {..}, oracle {config, test, doubt}, real {evaluation.., n, at_equal_n {..}},
            bars {majority {evaluation.., label}, examples {evaluation.., n}}, real_similarity {n, m, top_5, cross_distance, coverage}
    cells [{id, axes, replicate, seed, folder, curation, n, shortfall, leaked_dropped, examples, label_accuracy, diversity {}, similarity {},
            student {}, cost {}, status, error}]
    summary [{axes, n, replicates, failed, measures {name: {mean, sd, low, high, n}}}], effects [{axis, from, to, measure, difference, low, high, n, p}]
    conditional_effects [effect with `within` {axis: option}], pareto [place in summary], best {axes, reason, run, commands, expected}
    regression, regression_cross {outcome, n, r2, terms [..], warnings}
    warnings, seconds
Computes nothing but sums of costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from variegate.report.curation import facts_in_words
from variegate.report.measured import finite, items, mapping, text, whole, words
from variegate.report.numbers import Mean, drawable, pair_of, read_mean, write_range, write_share, write_value
from variegate.report.page import render_template
from variegate.report.study_cells import BASIS, COSTS, Axes, cells_table, costs_table, options_of, varying
from variegate.report.study_effects import effects_section, regressions
from variegate.report.study_measures import IN_SIGHT, OUTCOME, StudyMeasure, diversity_measure, in_order, study_measure
from variegate.report.svg import clip
from variegate.report.trade_off import CROWDED, NUM_KINDS, Group, Level, shape, trade_off
from variegate.store.files import write_atomic

_MAJORITY = "majority"  # so far below the rest that a plot leaves it out
_LONGEST = 500
_GROUPS_IN_PLOT = 200


def write_study_report(study: Mapping[str, Any], path: Path) -> Path:
    """Write the study as one HTML page that needs nothing else, and return its path. Raises StoreError."""
    page = render_template("study_page.html.j2", {"study": study_context(study)})
    write_atomic(path, page.encode())
    return path


def study_context(study: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows, as `study`."""
    axes = [(words(str(axis)), [words(str(option)) for option in items(options)]) for axis, options in mapping(study.get("axes")).items()]
    cells = [mapping(cell) for cell in items(study.get("cells"))]
    failed = [cell for cell in cells if cell.get("status") == "failed" or cell.get("error")]
    groups = _groups(study)
    return {
        "name": words(study.get("name")) or "unnamed",
        "task": words(study.get("task")) or words(mapping(study.get("task")).get("name")),
        "created": words(study.get("created"))[:16].replace("T", " "),
        "variegate": words(study.get("variegate")),
        "axes": axes,
        "replicates": whole(study.get("replicates")),
        "num_cells": len(cells),
        "num_groups": len(groups),
        "failed": [_failed(cell) for cell in failed],
        "train_size": whole(mapping(study.get("train_size")).get("n")),
        "train_rule": words(mapping(study.get("train_size")).get("rule")),
        "num_test": whole(mapping(study.get("real")).get("n_test")) or whole(mapping(mapping(study.get("oracle")).get("test")).get("n")),
        "student": facts_in_words(mapping(study.get("student"))),
        "references": _references(study),
        "real_similarity": _real_similarity(mapping(study.get("real_similarity"))),
        "table": _table(groups, axes, _front(study)),
        "trade_off": _trade_off(study, groups, axes),
        "effects": effects_section(study),
        "regressions": regressions(study),
        "best": _best(study.get("best")),
        "costs": costs_table(cells, axes),
        "cells": cells_table(cells, axes),
        "warnings": [clip(text(each), _LONGEST) for each in items(study.get("warnings")) if isinstance(each, str)],
        "seconds": finite(study.get("seconds")),
    }


def _failed(cell: Mapping[str, Any]) -> dict[str, str]:
    return {"cell": words(cell.get("id")) or options_in_words(cell), "error": clip(text(cell.get("error")), _LONGEST) or "no reason given"}


def options_in_words(cell: Mapping[str, Any]) -> str:
    """`temperature 0.7, suppression off`"""
    return ", ".join(f"{axis} {option}" for axis, option in options_of(cell).items()) or "the run itself"


# -- groups: the cells of one combination ----------------------------------------------------------------------


def _groups(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """In the order of `summary`, which is what `pareto` counts in. number: what the table and the plot call it."""
    groups = []
    for number, each in enumerate(map(mapping, items(study.get("summary"))), 1):
        measures = {str(name): mean for name, value in mapping(each.get("measures")).items() if (mean := read_mean(value)) is not None}
        replicates = whole(each.get("replicates"))
        if replicates is None:
            replicates = max((mean.n for mean in measures.values() if mean.n is not None), default=None)
        about = {"number": number, "options": options_of(each), "words": options_in_words(each), "measures": measures}
        groups.append({**about, "texts": whole(each.get("n")), "n": replicates, "failed": whole(each.get("failed")) or 0})
    return groups


def _front(study: Mapping[str, Any]) -> set[int]:
    """Places in `summary`."""
    return {place for each in items(study.get("pareto")) if (place := whole(each)) is not None}


def _table(groups: list[dict[str, Any]], axes: Axes, front: set[int]) -> dict[str, Any] | None:
    """Two tables of the same rows: the measures to look at first with what they cost, and all others."""
    if not groups:
        return None
    names = in_order(name for group in groups for name in group["measures"])
    best = {}
    for name in names:
        means = [group["measures"][name].mean for group in groups if name in group["measures"]]
        best[name] = max(means) if means and study_measure(name).name in (OUTCOME, "label_accuracy") else None

    def part(chosen: list[str]) -> dict[str, Any]:
        rows = [
            {
                **group,
                "cells": [_cell(group["measures"].get(name), study_measure(name), best[name]) for name in chosen],
                "front": place in front,
            }
            for place, group in enumerate(groups)
        ]
        measures = [study_measure(name) for name in chosen]
        columns = [{"title": each.title, "says": each.says, "cost": each.name in COSTS} for each in measures]
        return {"columns": columns, "axes": [axis for axis, _ in varying(axes)], "rows": rows}

    first = [name for name in names if study_measure(name).name in IN_SIGHT]
    others = [name for name in names if name not in first and study_measure(name).name not in (*COSTS, *BASIS)]
    return {**part(first), "others": part(others) if others else None}


def _cell(mean: Mean | None, measure: StudyMeasure, best: float | None) -> dict[str, Any] | None:
    if mean is None:
        return None
    kind = measure.kind
    return {
        "value": write_value(mean.mean, kind),
        "interval": write_range(mean.low, mean.high, kind) if measure.name not in COSTS else "",
        "n": mean.n,
        "best": best is not None and mean.mean == best,
    }


def _trade_off(study: Mapping[str, Any], groups: list[dict[str, Any]], axes: Axes) -> dict[str, Any] | None:
    """None where no group has both an accuracy and a diversity."""
    diversity = diversity_measure(study)
    across, up = (
        next((n for group in groups for n in group["measures"] if study_measure(n).name == name), "") for name in (diversity.name, OUTCOME)
    )
    front = _front(study)
    shown = [(place, group) for place, group in enumerate(groups) if across in group["measures"] and up in group["measures"]]
    if not shown:
        return None
    axis, options = _coloured(axes)
    drawn = []
    for place, group in shown[:_GROUPS_IN_PLOT]:
        x, y = group["measures"][across], group["measures"][up]
        option = group["options"].get(axis, "")
        said = f"{group['words']}: accuracy {write_share(y.mean)}, {diversity.title} {write_value(x.mean, 'score')}"
        kind = options.index(option) if option in options else 0
        drawn.append(Group(str(group["number"]), said, x.mean, y.mean, _ends(x), _ends(y), kind, place in front))
    levels = [Level(f"{each['short']} {each['accuracy']}", each["share"]) for each in _references(study) if each["short"] != _MAJORITY]
    plot = trade_off(
        "Student accuracy against diversity",
        drawn,
        levels,
        x_label=f"{diversity.title} of the training texts: more diverse to the right",
        y_label="student accuracy",
        write_x=lambda value: f"{value:.4g}",
        write_y=lambda value: f"{100 * value:.4g} %",
    )
    legend = [{"option": option, "kind": kind, "shape": shape(kind)} for kind, option in enumerate(options)] if len(options) > 1 else []
    best = [{"number": group["number"], "words": group["words"]} for place, group in shown if place in front]
    return {
        "plot": plot,
        "axis": axis,
        "legend": legend,
        "front": best,
        "crowded": len(drawn) > CROWDED,
        "left_out": len(groups) - min(len(shown), _GROUPS_IN_PLOT),
    }


def _coloured(axes: Axes) -> tuple[str, list[str]]:
    """The axis that shape and colour stand for: curation where it varies, else the first that does and is short enough."""
    short = [(axis, options) for axis, options in axes if 1 < len(options) <= NUM_KINDS]
    return next((each for each in short if each[0] == "curation"), short[0] if short else ("", []))


def _ends(mean: Mean) -> tuple[float, float] | None:
    return None if mean.low is None or mean.high is None else (mean.low, mean.high)


def _references(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the accuracies are to be compared with: the oracle, and the same student trained on real texts."""
    real, oracle = mapping(study.get("real")), mapping(mapping(study.get("oracle")).get("test"))
    equal, bars = mapping(real.get("at_equal_n")), mapping(study.get("bars"))
    examples = mapping(bars.get("examples"))
    judge = ("The oracle", "oracle")
    if mapping(study.get("oracle")).get("doubt"):
        judge = ("In place of an oracle, a student of few real texts", "real")
    found = []
    for name, short, evaluation, n in (
        (*judge, oracle, oracle.get("n_train")),
        ("The same student, trained on all real texts", "real", {**real, **mapping(real.get("evaluation"))}, real.get("n")),
        ("The same student, trained on as many real texts", "real", equal, equal.get("n")),
        ("The same student, trained on the real examples alone", "examples", examples, examples.get("n")),
        ("The majority class", _MAJORITY, mapping(bars.get("majority")), None),
    ):
        share, texts = drawable(evaluation.get("accuracy")), whole(n)
        if share is not None:
            interval = pair_of(evaluation.get("accuracy_ci95"))
            number = f" ({texts:,})" if texts is not None else ""
            written = {"accuracy": write_share(share), "interval": write_range(*interval, "share") if interval else ""}
            found.append({"name": name + number, "short": short + number, "share": share, **written})
    return found


def _real_similarity(found: Mapping[str, Any]) -> str:
    """What the cells' similarity to real texts is to be compared with, in words; empty where it was not measured."""
    known = {name: value for name in ("top_5", "cross_distance", "coverage") if (value := drawable(found.get(name))) is not None}
    n, m = whole(found.get("n")), whole(found.get("m"))
    if not known or n is None or m is None:
        return ""
    said = ", ".join(f"{study_measure(name).title.lower()} {write_value(value, study_measure(name).kind)}" for name, value in known.items())
    return f"{n:,} real texts against {m:,} other real texts: {said}."


def _best(value: Any) -> dict[str, Any] | None:
    best = mapping(value)
    if not best:
        return None
    expected = []
    stated = mapping(best.get("expected"))
    for name in in_order(str(name) for name in stated):
        each, measure = stated.get(name), study_measure(name)
        if measure.name not in IN_SIGHT:
            continue  # it stands in the tables
        mean = read_mean(each)
        number = finite(each) if mean is None else mean.mean
        if number is not None:
            said = write_value(number, measure.kind)
            interval = write_range(mean.low, mean.high, measure.kind) if mean else ""
            expected.append((measure.title, said, interval, mean.n if mean else None))
    return {
        "words": options_in_words(best),
        "reason": clip(text(best.get("reason")), _LONGEST),
        "commands": [clip(text(each), 400) for each in items(best.get("commands")) if text(each)]
        or [f"variegate generate {clip(text(best.get('run')), 300)}" for _ in range(1) if text(best.get("run"))],
        "expected": expected,
    }
