"""What each option of a study changed, and what the student's accuracy goes along with: plots of differences with intervals.

Keys read: those of `effects`, `conditional_effects`, `regression` and `regression_cross` (see `report/study`). Computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.intervals import Heading, Point, intervals
from variegate.report.measured import items, mapping, text, whole, words
from variegate.report.numbers import drawable, write_change, write_p, write_range
from variegate.report.study_cells import options_of
from variegate.report.study_measures import OUTCOME, StudyMeasure, diversity_measure, in_order, study_measure
from variegate.report.svg import clip

_PLOTS_IN_SIGHT = 3
_MOST_EFFECTS = 2_000
_MOST_ROWS = 120  # of a plot


def effects_section(study: Mapping[str, Any]) -> dict[str, Any] | None:
    """A plot for each measure, its rows the changes of one option to another. None where there is no effect."""
    found = _effects(study.get("effects"))
    if not found:
        return None
    order = {name: place for place, name in enumerate(in_order(each["measure"] for each in found))}
    plots = [_plot(name, [each for each in found if each["measure"] == name]) for name in order]
    table = sorted(found, key=lambda each: order[each["measure"]])
    return {"in_sight": plots[:_PLOTS_IN_SIGHT], "folded": plots[_PLOTS_IN_SIGHT:], "table": table, "by_others": _by_others(study)}


def _effects(value: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for each in map(mapping, items(value)[:_MOST_EFFECTS]):
        difference = drawable(each.get("difference"))
        if difference is None:
            continue
        measure = study_measure(str(each.get("measure", "")))
        low, high = drawable(each.get("low")), drawable(each.get("high"))
        p = drawable(each.get("p"))
        found.append(
            {
                "axis": words(each.get("axis")) or "unnamed",
                "from": words(str(each.get("from", ""))),
                "to": words(str(each.get("to", ""))),
                "measure": str(each.get("measure", "")),
                "title": measure.title,
                "kind": measure.kind,
                "difference": difference,
                "low": low if high is not None and low is not None and low <= high else None,
                "high": high if high is not None and low is not None and low <= high else None,
                "written": write_change(difference, measure.kind) + (" points" if measure.kind == "share" else ""),
                "interval": write_range(low, high, measure.kind, change=True),
                "n": whole(each.get("n")),
                "p": "" if p is None else write_p(p),
                "within": {words(str(axis)): words(str(option)) for axis, option in mapping(each.get("within")).items()},
            }
        )
    return found


def _plot(name: str, effects: list[dict[str, Any]]) -> dict[str, str]:
    measure = study_measure(name)
    rows: list[Point | Heading] = []
    for axis in dict.fromkeys(each["axis"] for each in effects):
        rows.append(Heading(axis))
        rows += [_point(f"{each['from']} → {each['to']}", each) for each in effects if each["axis"] == axis]
    return {"title": measure.title, "says": measure.says, "plot": _differences(f"What each option changed: {measure.title}", rows, measure)}


def _by_others(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each axis what its options changed in the outcome, from the first one on, by the options of the others.

    The least diverse combination of those stands first.
    """
    effects = [each for each in _effects(study.get("conditional_effects")) if study_measure(each["measure"]).name == OUTCOME]
    diversity_name = diversity_measure(study).name
    diversities = {}
    for group in map(mapping, items(study.get("summary"))):
        for name, value in mapping(group.get("measures")).items():
            if study_measure(str(name)).name == diversity_name and (mean := drawable(mapping(value).get("mean"))) is not None:
                diversities[frozenset(options_of(group).items())] = mean
    plots = []
    for axis in dict.fromkeys(each["axis"] for each in effects):
        rows: list[Point | Heading] = []
        first = next((words(str(option)) for option in items(mapping(study.get("axes")).get(axis))), None)
        own = [each for each in effects if each["axis"] == axis]
        own = [each for each in own if each["from"] == first] or own
        for change in dict.fromkeys((each["from"], each["to"]) for each in own):
            rows.append(Heading(f"{change[0]} → {change[1]}"))
            within = []
            for each in own:
                if (each["from"], each["to"]) == change:
                    diversity = diversities.get(frozenset({**each["within"], axis: each["from"]}.items()))
                    name = ", ".join(f"{other} {option}" for other, option in each["within"].items())
                    said = f"{name} ({diversity:.3f})" if diversity is not None else name
                    within.append((diversity if diversity is not None else 0.0, _point(said, each)))
            rows += [point for _, point in sorted(within, key=lambda pair: pair[0])]
        plot = _differences(f"What {axis} changed, by the other options", rows[:_MOST_ROWS], study_measure(OUTCOME), label_width=390)
        plots.append({"axis": axis, "plot": plot, "left_out": max(len(rows) - _MOST_ROWS, 0)})
    return plots


def _point(name: str, each: dict[str, Any]) -> Point:
    said = each["written"] + (f" ({each['interval']})" if each["interval"] else "")
    return Point(name, each["difference"], each["low"], each["high"], words=said)


def _differences(title: str, rows: list[Point | Heading], measure: StudyMeasure, *, label_width: int = 250) -> str:
    unit = "percentage points" if measure.kind == "share" else "difference"
    return intervals(
        title,
        rows,
        axis=f"{measure.title}, {unit}",
        written=lambda value: write_change(value, measure.kind),
        zero=True,
        words_width=220,
        label_width=label_width,
    )


def regressions(study: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Those with a table; of each what its similarity is."""
    found = [regression_section(study.get(key)) for key in ("regression", "regression_cross")]
    return [each for each in found if each is not None]


def regression_section(value: Any) -> dict[str, Any] | None:
    """The table of terms, and a plot of the standardised coefficients. None where there is no regression."""
    data = mapping(value)
    rows, points = [], []
    for term in map(mapping, items(data.get("terms"))):
        coefficient = drawable(term.get("coefficient"))
        if coefficient is None:
            continue
        name = str(term.get("name", ""))
        title = "intercept" if name in ("intercept", "const") else study_measure(name).title
        low, high, p, vif = (drawable(term.get(key)) for key in ("low", "high", "p", "vif"))
        standardised = drawable(term.get("standardised"))
        ends = drawable(term.get("standardised_low")), drawable(term.get("standardised_high"))
        between = f"{_two(ends[0])} to {_two(ends[1])}" if ends[0] is not None and ends[1] is not None else ""
        rows.append(
            {
                "title": title,
                "coefficient": _signed(coefficient),
                "interval": f"{_signed(low)} to {_signed(high)}" if low is not None and high is not None else "",
                "standardised": "" if standardised is None else _two(standardised),
                "standardised_interval": between,
                "p": "" if p is None else write_p(p),
                "vif": "" if vif is None else f"{vif:.1f}",
            }
        )
        if standardised is not None:
            has_ends = ends[0] is not None and ends[1] is not None and ends[0] <= ends[1]
            said = _two(standardised) + (f" ({between})" if between else "")
            points.append(Point(title, standardised, *(ends if has_ends else (None, None)), words=said))
    if not rows:
        return None
    plot = None
    if points:
        plot = intervals(
            "Standardised coefficients",
            points,
            axis="standard deviations of the outcome for one of the measure",
            written=lambda value: _two(value),
            zero=True,
            words_width=240,
        )
    r2, adjusted, condition = (drawable(data.get(key)) for key in ("r2", "r2_adjusted", "condition_number"))
    return {
        "outcome": study_measure(str(data.get("outcome") or OUTCOME)).title,
        "n": whole(data.get("n")),
        "r2": None if r2 is None else f"{r2:.3f}",
        "r2_adjusted": None if adjusted is None else f"{adjusted:.3f}",
        "condition": None if condition is None else f"{condition:.1f}",
        "rows": rows,
        "terms": [row["title"] for row in rows if row["standardised"]],
        "plot": plot,
        "warnings": [clip(text(each), 500) for each in items(data.get("warnings")) if isinstance(each, str)],
    }


def _signed(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if value else "0"


def _two(value: float) -> str:
    written = f"{value:+.2f}"
    if value and written[1:] == "0.00":
        written = f"{value:+.1g}"  # however small, it has a sign
    return written.replace("-", "−") if value else "0"
