"""Every cell of a study, one row each, and what they cost. Computes nothing but sums of costs.

Keys read: those of `cells` (see `report/study`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.measured import finite, mapping, text, whole, words
from variegate.report.numbers import write_value
from variegate.report.study_measures import in_order, study_measure
from variegate.report.svg import clip

COSTS = ("prompt_tokens", "generated_tokens", "generate_seconds", "curate_seconds", "train_seconds")
BASIS = ("n", "shortfall", "leaked_dropped")
_OF_RUN = ("prompt_tokens", "generated_tokens", "generate_seconds")  # a cell's hold those of its run, which its curations share
_ROWS_IN_PAGE = 2_000
Axes = list[tuple[str, list[str]]]  # (axis, its options), as words


def varying(axes: Axes) -> Axes:
    """Axes with more than one option, which tell cells apart; all where none has."""
    return [(axis, options) for axis, options in axes if len(options) > 1] or axes


def options_of(cell: Mapping[str, Any]) -> dict[str, str]:
    return {words(str(axis)): words(str(option)) for axis, option in mapping(cell.get("axes")).items()}


def costs_table(cells: list[Mapping[str, Any]], axes: Axes) -> dict[str, Any] | None:
    """Sums over the replicates of a combination, and the totals; a run that several curations share counts once in the totals."""
    names = [axis for axis, _ in varying(axes)]
    rows: dict[tuple[str, ...], list[dict[str, float]]] = {}
    runs: dict[str, list[tuple[bool, dict[str, float]]]] = {}
    for number, cell in enumerate(cells):
        cost = {name: value for name in COSTS if (value := finite(mapping(cell.get("cost")).get(name))) is not None}
        options = options_of(cell)
        rows.setdefault(tuple(options.get(axis, "") for axis in names), []).append(cost)
        runs.setdefault(text(cell.get("folder")) or f"cell {number}", []).append((cell.get("curation") is None, cost))
    totals = _summed([_of_run(own) for own in runs.values()])
    if not totals:
        return None
    return {
        "axes": names,
        "columns": [study_measure(name).title for name in COSTS],
        "rows": [{"options": key, "num_cells": len(own), "values": _written(_summed(own))} for key, own in rows.items()],
        "totals": _written(totals),
        "num_cells": len(cells),
        "num_runs": len(runs),
        "shared": len(runs) < len(cells),
    }


def _of_run(cells: list[tuple[bool, dict[str, float]]]) -> dict[str, float]:
    """Of one run with all its curations: what the run itself cost, and what each of them cost more.

    cells: (is not curated, costs). The run's own cost is that of the cell without curation, else the least.
    """
    whole = _summed([cost for _, cost in cells])
    for name in _OF_RUN:
        values = [cost[name] for _, cost in cells if name in cost]
        if values:
            base = next((cost[name] for plain, cost in cells if plain and name in cost), min(values))
            whole[name] = base + sum(max(value - base, 0.0) for value in values)
    return whole


def _summed(costs: list[dict[str, float]]) -> dict[str, float]:
    return {name: sum(each.get(name, 0.0) for each in costs) for name in COSTS if any(name in each for each in costs)}


def _written(row: Mapping[str, float]) -> list[str | None]:
    return [write_value(row[name], study_measure(name).kind) if name in row else None for name in COSTS]


def cells_table(cells: list[Mapping[str, Any]], axes: Axes) -> dict[str, Any] | None:
    """What each cell was trained on and what came out; None where there is no cell."""
    if not cells:
        return None
    numbers = [_numbers(cell) for cell in cells]
    names = in_order(name for each in numbers for name in each)
    rows = []
    for cell, own in list(zip(cells, numbers, strict=True))[:_ROWS_IN_PAGE]:
        options = options_of(cell)
        rows.append(
            {
                "options": [options.get(axis, "") for axis, _ in varying(axes)],
                "replicate": whole(cell.get("replicate")),
                "seed": whole(cell.get("seed")),
                "basis": [whole(cell.get(name)) for name in BASIS],
                "values": [write_value(own[name], study_measure(name).kind) if name in own else None for name in names],
                "status": words(cell.get("status")),
                "folder": clip(text(cell.get("folder")), 200),
            }
        )
    return {
        "axes": [axis for axis, _ in varying(axes)],
        "basis": [study_measure(name).title for name in BASIS],
        "columns": [study_measure(name).title for name in names],
        "rows": rows,
        "left_out": len(cells) - len(rows),
    }


def _numbers(cell: Mapping[str, Any]) -> dict[str, float]:
    """measure -> value"""
    student, label = mapping(cell.get("student")), cell.get("label_accuracy")
    found: dict[str, Any] = {
        "student_accuracy": student.get("accuracy"),
        "student_macro_f1": student.get("macro_f1"),
        "label_accuracy": mapping(label).get("accuracy") if isinstance(label, Mapping) else label,
    }
    for part in ("diversity", "similarity"):
        found |= {str(name): value for name, value in mapping(cell.get(part)).items()}
    return {name: number for name, value in found.items() if (number := finite(value)) is not None}
