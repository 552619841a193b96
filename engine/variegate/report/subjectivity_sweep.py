"""Accuracy over agreement, laid out: the curve, the table behind it, and how students differ. Layout only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.curves import Curve, CurvePoint, curves
from variegate.report.measured import finite, items, mapping, whole, words
from variegate.report.numbers import write_change, write_range, write_share

_KINDS = {"synthetic": "k-synthetic", "real": "k-real"}
_OTHERS = 6  # classes k-0 to k-5


def sweep_section(measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    sweep = mapping(measurement.get("sweep"))
    points = [(gamma, mapping(each)) for each in items(sweep.get("points")) if (gamma := finite(mapping(each).get("gamma"))) is not None]
    names = [words(str(name)) for name in mapping(points[0][1].get("accuracy"))] if points else []
    if not names:
        return None
    keys = list(mapping(points[0][1].get("accuracy")))
    kinds = _kinds(names)
    shown = [each for place, each in enumerate(points) if place or len(points) == 1 or _n(each) != _n(points[1])]  # 0 where it says no more
    stops = [(gamma, f"{gamma:.3g}", f"n = {_n((gamma, point)):,}") for gamma, point in shown]
    drawn = [Curve(name, kinds[name], _curve(shown, "accuracy", key)) for name, key in zip(names, keys, strict=True)]
    pairs = [(words(each.get("first")), words(each.get("second"))) for each in map(mapping, items(points[0][1].get("differences")))]
    differences = [Curve(f"{a} less {b}", f"k-{place % _OTHERS}", _differences(shown, place)) for place, (a, b) in enumerate(pairs)]
    x_label = "gamma: accuracy on items with at least this agreement"
    return {
        "n": whole(sweep.get("n")),
        "names": [(name, kinds[name]) for name in names],
        "curve": curves("Accuracy over agreement", drawn, stops, x_label=x_label, y_label="accuracy, with 95 % intervals", written=_percent),
        "difference_curve": curves(
            "Differences in accuracy over agreement", differences, stops, x_label=x_label, y_label="points of accuracy, with 95 % intervals",
            written=_points, zero=True, height=240,
        ) if differences else "",
        "pairs": [f"{a} less {b}" for a, b in pairs],
        "rows": [_row(gamma, point, keys, len(pairs)) for gamma, point in points],
        "slopes": _slopes(sweep, names, keys),
    }  # fmt: skip


def _kinds(names: list[str]) -> dict[str, str]:
    others = [name for name in names if name not in _KINDS]
    return {name: _KINDS.get(name) or f"k-{others.index(name) % _OTHERS}" for name in names}


def _n(each: tuple[float, Mapping[str, Any]]) -> int:
    return whole(each[1].get("n")) or 0


def _percent(value: float) -> str:
    return f"{100 * value:.4g} %"


def _points(value: float) -> str:
    return f"{100 * value:.4g}".replace("-", "−")


def _curve(points: list[tuple[float, Mapping[str, Any]]], part: str, key: str) -> list[CurvePoint]:
    return [found for gamma, point in points if (found := _read(gamma, mapping(point.get(part)).get(key))) is not None]


def _differences(points: list[tuple[float, Mapping[str, Any]]], place: int) -> list[CurvePoint]:
    out = []
    for gamma, point in points:
        given = items(point.get("differences"))
        found = _read(gamma, given[place]) if place < len(given) else None
        if found is not None:
            out.append(found)
    return out


def _read(gamma: float, data: Any) -> CurvePoint | None:
    found = mapping(data)
    value = finite(found.get("value"))
    return None if value is None else CurvePoint(gamma, value, finite(found.get("low")), finite(found.get("high")))


def _row(gamma: float, point: Mapping[str, Any], keys: list[Any], num_pairs: int) -> dict[str, Any]:
    accuracy = mapping(point.get("accuracy"))
    given = items(point.get("differences"))
    return {
        "gamma": f"{gamma:.3f}",
        "n": _n((gamma, point)),
        "cells": [_cell(accuracy.get(key)) for key in keys],
        "differences": [_cell(given[place] if place < len(given) else None, change=True) for place in range(num_pairs)],
    }


def _cell(data: Any, *, change: bool = False) -> dict[str, str] | None:
    found = mapping(data)
    value = finite(found.get("value"))
    if value is None:
        return None
    written = write_change(value, "share") if change else write_share(value)
    return {"value": written, "range": write_range(finite(found.get("low")), finite(found.get("high")), "share", change=change)}


def _slopes(sweep: Mapping[str, Any], names: list[str], keys: list[Any]) -> list[dict[str, str]]:
    """Rise of accuracy for each 0.1 of agreement, in points."""
    given = [(name, mapping(sweep.get("slopes")).get(key)) for name, key in zip(names, keys, strict=True)]
    given += [
        (f"{words(each.get('first'))} less {words(each.get('second'))}", each)
        for each in map(mapping, items(sweep.get("slope_differences")))
    ]
    out = []
    for name, data in given:
        found = mapping(data)
        value, low, high = (finite(found.get(part)) for part in ("value", "low", "high"))
        if value is not None:
            tenth = [None if end is None else end / 10 for end in (low, high)]
            out.append(
                {"name": name, "value": write_change(value / 10, "share"), "range": write_range(tenth[0], tenth[1], "share", change=True)}
            )
    return out
