"""The measures of each label, laid out as a table of small bars: a row a label, a column a measure. Computes no measure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.measured import Measured, items, mapping, measured, whole, words, written, written_interval
from variegate.report.measured_values import SIDES
from variegate.report.readings import reading, self_rule

_IN_SIGHT = 25
_FORMER = ("remote_clique", "chamfer", "top_k_similarity", "cross_distance")  # the columns that come first
_DECIMALS = 3
_NEEDS = 2  # records, for a distance to another


def label_bars(measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where no label was measured. Bars start at 0; a column has one scale, its longest bar is its largest value."""
    values = {words(str(label)): _by_column(sides) for label, sides in mapping(measurement.get("labels")).items()}
    found = {title: (each, side) for row in values.values() for (title, side), each in row.items()}
    if not found:
        return None
    titles = sorted(found, key=lambda title: (_place(found[title][0].metric), title))
    columns = []
    for title in titles:
        each = found[title][0]
        column = {key: value for row in values.values() for key, value in row.items() if key[0] == title}
        numbers = [row[title, side].value for row in values.values() for side in SIDES if (title, side) in row]
        columns.append(
            {
                "title": title,
                "sides": [side for side in SIDES if (title, side) in column],
                "top": max(0.0, *numbers),
                "rule": ", ".join(filter(None, (each.distance and f"{each.distance} distance", self_rule(each)))),
            }
        )
    counts = {side: {words(str(label)): whole(n) for label, n in _labels_of(measurement, side)} for side in SIDES[:2]}
    compared = measurement.get("reference") is not None
    rows = [_row(label, row, columns, {side: counts[side].get(label) for side in counts}, compared) for label, row in values.items()]
    return {
        "columns": [{**column, "top": f"{column['top']:.3g}"} for column in columns],
        "in_sight": rows[:_IN_SIGHT],
        "folded": rows[_IN_SIGHT:],
        "drawn": any(each.drawn_from is not None for row in values.values() for each in row.values()),
        "compared": compared,
    }


def _labels_of(measurement: Mapping[str, Any], side: str) -> list[tuple[Any, Any]]:
    return list(mapping(mapping(measurement.get(side)).get("labels")).items())


def _by_column(sides: Any) -> dict[tuple[str, str], Measured]:
    """(title, side) -> value; of a whole label and a drawn part of it, the part, which is of equal size."""
    found: dict[tuple[str, str], Measured] = {}
    for side in SIDES:
        for each in sorted(measured(items(mapping(sides).get(side))), key=lambda each: each.drawn_from is not None):
            found[reading(each).title, side] = each
    return found


def _place(metric: str) -> int:
    return _FORMER.index(metric) if metric in _FORMER else len(_FORMER)


def _row(
    label: str, values: Mapping[tuple[str, str], Measured], columns: list[dict[str, Any]], counts: Mapping[str, int | None], compared: bool
) -> dict[str, Any]:
    cells = []
    for column in columns:
        bars = []
        for side in column["sides"]:
            each = values.get((column["title"], side))
            if each is None:
                bars.append({"side": side, "value": None, "share": 0.0, "interval": ""})
                continue
            kind = reading(each).kind
            share = max(each.value, 0.0) / column["top"] if column["top"] else 0.0
            bars.append(
                {
                    "side": side,
                    "value": written(each, kind, decimals=_DECIMALS),
                    "share": share,
                    "interval": written_interval(each, kind, decimals=_DECIMALS),
                }
            )
        cells.append(bars)
    sizes = []
    for side in ("set", "reference") if compared else ("set",):
        each = next((each for (_, own), each in values.items() if own == side), None)
        sizes.append({"side": side, "n": counts[side] if each is None else each.n, "drawn_from": each.drawn_from if each else None})
    return {"label": label, "cells": cells, "sizes": sizes, "lacks": _lacks(values, counts, compared)}


def _lacks(values: Mapping[tuple[str, str], Measured], counts: Mapping[str, int | None], compared: bool) -> list[str]:
    """Why a side of a label has no value, where the number of its records says so."""
    notes = []
    for side in ("set", "reference") if compared else ("set",):
        number = counts[side] or 0
        if number < _NEEDS and not any(own == side for _, own in values):
            notes.append(f"{'no' if number == 0 else 'one'} record in the {side}: too few")
    return notes
