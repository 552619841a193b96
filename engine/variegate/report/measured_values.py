"""Pooled values side by side: cards of the headline measures, rows of the others, and everything that was said of each.

Layout only: which value stands where, in words. Two values belong together when they have one title.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from variegate.report.measured import Measured, written, written_interval
from variegate.report.readings import HEADLINE, READINGS, detail, details_in_words, order, reading, self_rule

SIDES = ("set", "reference", "pair")
Pooled = Mapping[str, list[Measured]]  # side -> values


def cards(metrics: Iterable[str], pooled: Pooled) -> list[dict[str, Any]]:
    """A card for each title: whole sets, and below them the values at equal size."""
    found = []
    for each in _firsts(metrics, pooled):
        about = reading(each)
        sides = [side for side in SIDES if any(reading(other).title == about.title for other in pooled[side])]
        whole_sets = _cells(about.title, pooled, sides, drawn=False)
        drawn = _cells(about.title, pooled, sides, drawn=True)
        sizes = {cell["n"] for cell in drawn if cell}
        at_equal_size = [  # the smaller set was not drawn from: its own value stands beside the drawn one
            cell or (other if other and other["n"] in sizes else None) for cell, other in zip(drawn, whole_sets, strict=True)
        ]
        found.append(
            {
                "title": about.title,
                "says": about.says,
                "facts": ", ".join(filter(None, (each.distance and f"{each.distance} distance", self_rule(each)))),
                "sides": sides,
                "rows": [{"name": "whole", "cells": whole_sets}, *([{"name": "equal n", "cells": at_equal_size}] if sizes else [])],
            }
        )
    return found


def wording_rows(metrics: Iterable[str], pooled: Pooled) -> list[dict[str, Any]]:
    """A row for each title: the values of the whole sets, and those at equal size where there are some."""
    rows = []
    for each in _firsts(metrics, pooled):
        about = reading(each)
        drawn = _cells(about.title, pooled, SIDES, drawn=True)
        rows.append(
            {
                "title": about.title,
                "says": about.says,
                "cells": dict(zip(SIDES, _cells(about.title, pooled, SIDES, drawn=False), strict=True)),
                "drawn": dict(zip(SIDES, drawn, strict=True)) if any(drawn) else None,
            }
        )
    return rows


def pair_measures(pooled: Pooled) -> list[dict[str, Any]]:
    """Coverage, leakage and overlap, each with what only it has in words."""
    rows = []
    order_of = list(READINGS)
    named = [each for each in pooled["pair"] if each.metric in READINGS and each.metric not in HEADLINE]
    for each in sorted(named, key=lambda each: order_of.index(each.metric)):
        about = reading(each)
        radius, rule, leaked = detail(each, "radius"), detail(each, "rule"), detail(each, "num_leaked")
        unit = "of the map's spread" if each.metric == "coverage_tsne" else f"in {each.distance or 'an unnamed'} distance"
        notes = [f"radius {radius} {unit}{f' ({rule})' if rule else ''}"] if radius else []
        notes += [f"{leaked} of {each.n:,} records"] if leaked and each.n is not None else []
        notes += [f"of {each.m:,} references"] if each.metric.startswith("coverage") and each.m is not None else []
        notes += [f"{each.n:,} records drawn from {each.drawn_from:,}"] if each.drawn_from is not None and each.n is not None else []
        rows.append({"title": about.title, "says": about.says, "notes": notes, **_cell(each)})
    return rows


def vendi_rows(pooled: Pooled) -> dict[str, Any] | None:
    """The orders as columns, the sets as rows. None where there is no score."""
    found = {
        side: {order(each): each for each in pooled[side] if each.metric == "vendi_score" and each.drawn_from is None}
        for side in ("set", "reference")
    }
    orders = list(dict.fromkeys(q for values in found.values() for q in values))
    rows = []
    for side, values in found.items():
        if values:
            most = next(iter(values.values()))
            cells = [written(values[q], reading(values[q]).kind) if q in values else None for q in orders]
            rows.append({"side": side, "cells": cells, "n": most.n, "most": detail(most, "max")})
    return {"orders": orders, "rows": rows} if rows else None


def whole_story(each: Measured, side: str) -> dict[str, Any]:
    """A value with everything that was said of it."""
    return {
        **_cell(each),
        "title": reading(each).title,
        "side": side,
        "distance": each.distance,
        "self": {None: "", True: "counted", False: "left out"}[each.include_self],
        "num_duplicates": each.num_duplicates,
        "precision": each.precision,
        "encoder": each.encoder,
        "details": details_in_words(each),
    }


def _firsts(metrics: Iterable[str], pooled: Pooled) -> list[Measured]:
    """One value of each title, in the order of `metrics`."""
    found: dict[str, Measured] = {}
    for metric in metrics:
        for side in SIDES:
            for each in pooled[side]:
                if each.metric == metric:
                    found.setdefault(reading(each).title, each)
    return list(found.values())


def _cells(title: str, pooled: Pooled, sides: Iterable[str], *, drawn: bool) -> list[dict[str, Any] | None]:
    found = []
    for side in sides:
        same = [each for each in pooled[side] if reading(each).title == title]
        chosen = [each for each in same if (each.drawn_from is not None) == drawn]
        whole_sets = [each for each in same if each.drawn_from is None]
        cell = _cell(chosen[0]) if chosen else None
        if cell and drawn and whole_sets and side == "pair" and whole_sets[0].n == chosen[0].n:  # then the references were drawn from
            cell |= {"drawn_from": None, "m_drawn_from": chosen[0].drawn_from}
        found.append(cell)
    return found


def _cell(each: Measured) -> dict[str, Any]:
    kind = reading(each).kind
    return {
        "value": written(each, kind),
        "interval": written_interval(each, kind),
        "n": each.n,
        "m": each.m,
        "drawn_from": each.drawn_from,
        "m_drawn_from": None,
        "how": each.implementation,
        "spread": _spread(each),
    }


def _spread(each: Measured) -> str:
    """`median 8, 90 % within 4 to 16`, of a distribution."""
    median, low, high = (detail(each, name) for name in ("median", "q05", "q95"))
    return ", ".join([*([f"median {median}"] if median else []), *([f"90 % within {low} to {high}"] if low and high else [])])
