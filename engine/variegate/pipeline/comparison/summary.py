"""What a study's cells come to: means over replicates, what each option changed, the Pareto front, the regression, the best recipe.

Takes the cells as study.json holds them and gives plain JSON data. Knows no folders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from variegate.config.study import SHARING, BudgetConfig
from variegate.config.study_cells import named
from variegate.errors import UsageError
from variegate.metrics.pareto import pareto_front
from variegate.metrics.regression import regress
from variegate.metrics.replicates import EVERYWHERE, mean_of_replicates, paired_difference

OUTCOME, DIVERSITY = "student_accuracy", "remote_clique"
QUALITIES = ("label_accuracy", "student_accuracy", "student_macro_f1")
COSTS = ("prompt_tokens", "generated_tokens", "generate_seconds", "curate_seconds", "train_seconds")
# What a measure can be: an interval goes no farther. Shares, and means of cosines and of cosine distances.
RANGES = dict.fromkeys((*QUALITIES, "coverage", "distinct_2"), (0.0, 1.0)) | {"top_5": (-1.0, 1.0)}
RANGES |= dict.fromkeys(("remote_clique", "remote_clique_within_labels", "chamfer", "cross_distance"), (0.0, 2.0))
RANGES |= dict.fromkeys((*COSTS, "self_repetition"), (0.0, EVERYWHERE[1]))
Cell = Mapping[str, Any]
Axes = Mapping[str, Sequence[str]]
Key = tuple[tuple[str, str], ...]  # (axis, option) pairs


def measures_of(cell: Cell) -> dict[str, float]:
    """Name -> value of everything that was measured of a cell; costs too."""
    student = cell["student"] or {}
    found = {
        "label_accuracy": cell["label_accuracy"],
        "student_accuracy": student.get("accuracy"),
        "student_macro_f1": student.get("macro_f1"),
        **(cell["diversity"] or {}),
        **(cell["similarity"] or {}),
        **{name: (cell["cost"] or {}).get(name) for name in COSTS},
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def summarise_cells(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One entry for each combination of options, in the cells' order, over its replicates that were measured."""
    groups: dict[Key, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(tuple(cell["axes"].items()), []).append(cell)
    summary = []
    for key, group in groups.items():
        done = [cell for cell in group if cell["status"] == "done"]
        values: dict[str, list[float]] = {}
        for cell in done:
            for name, value in measures_of(cell).items():
                values.setdefault(name, []).append(value)
        summary.append(
            {
                "axes": dict(key),
                "n": done[0]["n"] if done else None,
                "replicates": len(done),
                "failed": len(group) - len(done),
                "measures": {
                    name: mean_of_replicates(each, within=RANGES.get(name, EVERYWHERE)).to_json() for name, each in values.items()
                },
            }
        )
    return summary


# -- effects ---------------------------------------------------------------------------------------------------


def effects_of(axes: Axes, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """For each axis and two of its options: paired differences over cells that agree in all else, with 95 % t intervals.

    Cells that differ in curation and examples alone share their texts, so they are no independent pairs: for the other axes
    their differences are averaged first, and n counts generated data sets.
    """
    return [
        {"axis": axis, "from": first, "to": second, "measure": measure, **found}
        for axis, first, second in _changes(axes)
        for measure, found in _paired(cells, axis, first, second)
    ]


def conditional_effects_of(axes: Axes, cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """As `effects_of`, for each combination of the other options by itself (`within`), over the replicates."""
    out = []
    for axis, first, second in _changes(axes):
        within: dict[Key, list[Cell]] = {}
        for cell in cells:
            within.setdefault(_others(cell, axis), []).append(cell)
        if len(within) < 2:
            continue
        for key, group in within.items():
            for measure, found in _paired(group, axis, first, second):
                out.append({"axis": axis, "from": first, "to": second, "within": dict(key), "measure": measure, **found})
    return out


def _changes(axes: Axes) -> Iterable[tuple[str, str, str]]:
    return ((axis, first, second) for axis, options in axes.items() for first, second in combinations(options, 2))


def _others(cell: Cell, *left_out: str) -> Key:
    return tuple((name, option) for name, option in cell["axes"].items() if name not in left_out)


def _paired(cells: Sequence[Cell], axis: str, first: str, second: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """(measure, difference) of everything but costs that both sides of a pair have."""
    sides: dict[str, dict[tuple[Key, int], dict[str, float]]] = {first: {}, second: {}}
    for cell in cells:
        if cell["status"] == "done" and cell["axes"].get(axis) in sides:
            sides[cell["axes"][axis]][_others(cell, axis), cell["replicate"]] = measures_of(cell)
    both = [place for place in sides[first] if place in sides[second]]
    measures = dict.fromkeys(name for place in both for name in sides[first][place] if name not in COSTS)
    for measure in measures:
        pairs: dict[tuple[Key, int], list[tuple[float, float]]] = {}
        for place in both:
            values = sides[first][place].get(measure), sides[second][place].get(measure)
            if values[0] is not None and values[1] is not None:
                others, replicate = place
                unit = tuple(each for each in others if each[0] not in SHARING)
                pairs.setdefault((unit, replicate), []).append((values[0], values[1]))
        if pairs:
            means = [[sum(values) / len(values) for values in zip(*each, strict=True)] for each in pairs.values()]
            first_ones, second_ones = ([each[side] for each in means] for side in (0, 1))
            yield measure, paired_difference(first_ones, second_ones, within=RANGES.get(measure, EVERYWHERE)).to_json()


# -- front and regression --------------------------------------------------------------------------------------


def front_of(summary: Sequence[Mapping[str, Any]], diversity: str = DIVERSITY) -> list[int]:
    """Places in `summary` that no other beats in both mean student accuracy and mean diversity."""
    places = [place for place, each in enumerate(summary) if OUTCOME in each["measures"] and diversity in each["measures"]]
    points = [(summary[place]["measures"][OUTCOME]["mean"], summary[place]["measures"][diversity]["mean"]) for place in places]
    return [places[each] for each in pareto_front(points)]


def regression_of(cells: Sequence[Cell], similarity: str, diversity: str = DIVERSITY) -> tuple[dict[str, Any] | None, list[str]]:
    """(OLS of student accuracy on label accuracy, a diversity and a similarity, one row a cell; why there is none).

    similarity: `top_5`, or `cross_similarity` = 1 - cross_distance, the mean cosine between the sets (Chung et al.'s measure,
    with the sign that its name promises).
    """
    rows = []
    for cell in cells:
        found = measures_of(cell) if cell["status"] == "done" else {}
        if "cross_distance" in found:
            found["cross_similarity"] = 1 - found["cross_distance"]
        if all(name in found for name in (OUTCOME, "label_accuracy", diversity, similarity)):
            rows.append(found)
    names = ("label_accuracy", diversity, similarity)
    if not rows:
        return None, []
    try:
        regression = regress(OUTCOME, [row[OUTCOME] for row in rows], {name: [row[name] for row in rows] for name in names})
    except UsageError as error:
        return None, [str(error)]
    return regression.to_json(), []


# -- the best recipe -------------------------------------------------------------------------------------------


def best_of(
    summary: Sequence[Mapping[str, Any]],
    budget: BudgetConfig,
    diversity: str = DIVERSITY,
    bars: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[int | None, str]:
    """(place in `summary` of the best mean student accuracy whose mean cost fits the budget, the reason in a sentence).

    bars: see `Scorer.bars`; a combination below one of them is worse than what was there before, and is no recipe.

    Ties go to the larger diversity, then to the cheaper. None, and why, where there is none.
    """
    scored = [place for place, each in enumerate(summary) if OUTCOME in each["measures"]]
    if not scored:
        return None, "no combination has a student accuracy to choose by"
    limits: list[tuple[str, float, Callable[[Mapping[str, Any]], float]]] = []
    if budget.generated_tokens is not None:
        limits.append(("generated tokens", budget.generated_tokens, lambda each: _mean(each, "generated_tokens")))
    if budget.seconds is not None:
        limits.append(("seconds", budget.seconds, _seconds))
    fitting = [place for place in scored if all(cost(summary[place]) <= limit for _, limit, cost in limits)]
    within = " and ".join(f"{limit:,.10g} {name}" for name, limit, _ in limits)
    if not fitting:
        least = ", ".join(f"{min(cost(summary[place]) for place in scored):,.0f} {name}" for name, _, cost in limits)
        return None, f"no combination fits the budget of {within}: the cheapest needs {least}"

    def rank(place: int) -> tuple[float, float, float]:
        each = summary[place]
        return _mean(each, OUTCOME), _mean(each, diversity), -_mean(each, "generated_tokens")

    order = sorted(fitting, key=rank, reverse=True)
    mean, options = _mean(summary[order[0]], OUTCOME), named(summary[order[0]]["axes"])
    above = " and of ".join(_bar_in_words(bar) for bar in (bars or {}).values() if bar["accuracy"] > mean)
    if above:
        return None, f"nothing helps yet: the highest mean student accuracy is {mean:.3f} ({options}), that of {above}"
    best = summary[order[0]]["measures"][OUTCOME]
    interval = f" (95 % interval {best['low']:.3f} to {best['high']:.3f})" if best["low"] is not None else ""
    reason = f"the highest mean student accuracy, {best['mean']:.3f}{interval}, of {len(fitting)} combinations"
    reason += f" within the budget of {within}" if within else ""
    if len(order) > 1:
        second = summary[order[1]]
        reason += f"; next is {named(second['axes'])} with {second['measures'][OUTCOME]['mean']:.3f}"
    return order[0], reason


def _bar_in_words(bar: Mapping[str, Any]) -> str:
    what = f"the majority class, {bar['label']!r}," if "label" in bar else f"the {bar['n']:,} real examples alone"
    return f"{what} {bar['accuracy']:.3f}"


def _mean(each: Mapping[str, Any], name: str) -> float:
    return float(each["measures"][name]["mean"]) if name in each["measures"] else 0.0


def _seconds(each: Mapping[str, Any]) -> float:
    return _mean(each, "generate_seconds") + _mean(each, "curate_seconds")
