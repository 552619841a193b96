"""A run's measures as generated and after a curation, side by side. Computes nothing but the difference of two numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.report.measured import Measured, mapping, measured, words, written, written_interval
from variegate.report.numbers import write_change
from variegate.report.readings import HEADLINE, WORDING, reading

_METRICS = (*HEADLINE, "coverage", "leakage_near", *WORDING)
_WITH_N = {  # what a measure does as a set of one kind grows
    **dict.fromkeys(("chamfer", "distinct_1", "distinct_2", "distinct_3"), "falls"),
    **dict.fromkeys(("top_k_similarity", "coverage", "self_repetition", "compression_ratio", "vocabulary_size"), "rises"),
}
_SIDES = ("set", "pair")
_Same = tuple[str, str, str, bool | None, str]  # what must agree for two numbers to be comparable


def before_after(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """A row for each measure that one of the two has, of whole sets. None where there is none.

    Two numbers are subtracted only where distance, encoder and self rule agree and, against a reference, the reference does.
    """
    values = [{side: _by_title(measurement, side) for side in _SIDES} for measurement in (before, after)]
    first, second = (mapping(measurement.get("reference")) for measurement in (before, after))
    same_reference = words(first.get("source")) == words(second.get("source")) and first.get("n") == second.get("n")
    rows = []
    for metric in _METRICS:
        for side in _SIDES:
            titles = dict.fromkeys(title for each in values for title, value in each[side].items() if value.metric == metric)
            for title in titles:
                pair = [each[side].get(title) for each in values]
                rows.append(_row(title, pair, side == "set" or same_reference))
    if not rows:
        return None
    return {"rows": rows, "same_reference": same_reference, "reference": words(first.get("source"))}


def _by_title(measurement: Mapping[str, Any], side: str) -> dict[str, Measured]:
    pooled = measured(mapping(measurement.get("pooled")).get(side))
    return {reading(each).title: each for each in pooled if each.drawn_from is None and each.metric in _METRICS}


def _row(title: str, pair: list[Measured | None], comparable: bool) -> dict[str, Any]:
    before, after = pair
    about = reading(next(each for each in pair if each is not None))
    top = max((each.value for each in pair if each is not None), default=0.0)
    change = ""
    if before is not None and after is not None and comparable and _rules(before) == _rules(after):
        difference = after.value - before.value
        if about.kind in ("share", "count"):
            change = write_change(difference, about.kind) + (" points" if about.kind == "share" else "")
        else:
            change = f"{difference:+.{2 if about.kind == 'number' else 4}f}".replace("-", "−")
    cells: list[dict[str, Any] | None] = []
    for each in pair:
        if each is None:
            cells.append(None)
            continue
        cells.append(
            {
                "value": written(each, about.kind),
                "interval": written_interval(each, about.kind),
                "n": each.n,
                "share": max(each.value, 0.0) / top if top > 0 else 0.0,
            }
        )
    metric = next(each.metric for each in pair if each is not None)
    return {"title": title, "with_n": _WITH_N.get(metric, "stays"), "cells": cells, "change": change}


def _rules(each: Measured) -> _Same:
    return each.distance, each.encoder, str(each.k), each.include_self, each.metric
