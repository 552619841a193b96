"""The ranking of tasks, laid out: strengths with intervals, and how sure each order is. Layout only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.intervals import Point, intervals
from variegate.report.measured import finite, items, mapping, whole, words

_IN_MATRIX = 16


def tasks_section(tasks: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """name: of the task in question, which is marked."""
    ranked = [each for each in map(mapping, items(tasks.get("ranking"))) if finite(each.get("strength")) is not None]
    if not ranked:
        return None
    source = mapping(tasks.get("source"))
    bias = mapping(source.get("position_bias"))
    groups = [[words(task) for task in items(group)] for group in items(tasks.get("groups"))]
    return {
        "plot": intervals(
            "Strength of each task, the most objective first",
            [_point(each, name) for each in ranked],
            axis="log-strength: further right is more objective",
            written=_number,
            zero=True,
            label_width=220,
            words_width=230,
        ),
        "matrix": _matrix(tasks, ranked) if len(ranked) <= _IN_MATRIX else None,
        "num_tasks": len(ranked),
        "num_votes": whole(tasks.get("num_votes")),
        "judges": whole(source.get("judges")),
        "model": words(source.get("name")) if words(source.get("kind")) == "model" else "",
        "comparisons": whole(source.get("comparisons")),
        "instances": whole(source.get("instances")),
        "bias": _bias(bias) if bias else None,
        "groups": groups if len(groups) > 1 else [],
        "unbeaten": [words(each) for each in items(tasks.get("unbeaten"))],
        "winless": [words(each) for each in items(tasks.get("winless"))],
        "prior": finite(tasks.get("prior")),
        "draws": whole(tasks.get("draws")),
        "resampled": words(tasks.get("resampled")),
    }


def _point(each: Mapping[str, Any], name: str) -> Point:
    task, value = words(each.get("task")), finite(each.get("strength"))
    rank, low, high, won, lost = (whole(each.get(part)) for part in ("rank", "rank_low", "rank_high", "wins", "losses"))
    said = f"rank {rank}" + (f" ({low} to {high})" if low is not None and high is not None else "")
    if won is not None and lost is not None:
        said += f", {won:,} won, {lost:,} lost"
    return Point(
        task, value or 0.0, finite(each.get("low")), finite(each.get("high")), words=said, kind="this-task" if task and task == name else ""
    )


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")


def _bias(bias: Mapping[str, Any]) -> dict[str, str]:
    found = {name: finite(bias.get(name)) for name in ("p_a", "a_preferred", "contradictions")}
    return {name: "–" if value is None else f"{100 * value:.0f} %" for name, value in found.items()}


def _matrix(tasks: Mapping[str, Any], ranked: list[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Share of the resamples in which the row's task stands above the column's."""
    given = [items(row) for row in items(tasks.get("above"))]
    if len(given) != len(ranked) or any(len(row) != len(ranked) for row in given):
        return None
    rows = []
    for index, (each, row) in enumerate(zip(ranked, given, strict=True)):
        cells = []
        for place, value in enumerate(row):
            share = None if place == index else finite(value)
            cells.append(None if share is None else {"share": min(max(share, 0.0), 1.0), "written": f"{100 * share:.0f}"})
        rows.append({"task": words(each.get("task")), "rank": whole(each.get("rank")), "cells": cells})
    return {"rows": rows}
