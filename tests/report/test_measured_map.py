"""The map of a measurement: which dots in which group, and what is said of them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from variegate.report.measured_map import dot_map


def groups(plot: str) -> dict[str, list[int]]:
    """title -> the number of dots of each group so named"""
    found: dict[str, list[int]] = {}
    for group in ET.fromstring(plot).iter("g"):
        found.setdefault(str(group.findtext("title")), []).append(len(list(group.iter("circle"))))
    return found


def many(number: int, labels: list[int] | None = None) -> dict[str, Any]:
    return {"x": [index % 61 for index in range(number)], "y": [index % 47 for index in range(number)], "label": labels}


def test_few_labels_are_told_apart_by_colour_and_by_name(measurement: dict[str, Any]) -> None:
    drawn = dot_map(measurement)
    assert drawn is not None
    assert groups(drawn["plot"]) == {"set: awe": [1], "set: joy": [1], "set: fear": [1], "reference: joy": [1], "reference: fear": [1]}
    assert [each.text for each in ET.fromstring(drawn["plot"]).iter("text")] == ["awe", "fear", "joy"]
    assert drawn["labels"] == ["awe", "fear", "joy"]
    assert drawn["shown"] == {"set": {"drawn": 3, "of": 1200}, "reference": {"drawn": 2, "of": 300}}
    assert (drawn["method"], drawn["explained"]) == ("principal components", [0.0839, 0.0324])


def test_many_labels_are_not(measurement: dict[str, Any]) -> None:
    measurement["map"] |= {"labels": [f"label {index}" for index in range(11)], "set": many(40, list(range(10)) * 4), "reference": many(3)}
    drawn = dot_map(measurement)
    assert drawn is not None
    found = groups(drawn["plot"])
    assert {title: sum(numbers) for title, numbers in found.items()} == {"set": 40, "reference": 3}
    assert drawn["labels"] == []


def test_the_sets_take_turns(measurement: dict[str, Any]) -> None:
    """Neither set lies wholly above the other."""
    measurement["map"] |= {"labels": [], "set": many(400), "reference": many(400)}
    drawn = dot_map(measurement)
    assert drawn is not None
    titles = [group.findtext("title") for group in ET.fromstring(drawn["plot"]).iter("g")]
    assert titles == ["set", "reference"] * 8


def test_too_many_dots_are_thinned_and_it_says_so(measurement: dict[str, Any]) -> None:
    measurement["map"]["set"] = many(6000)
    measurement["set"]["n"] = 6000
    drawn = dot_map(measurement)
    assert drawn is not None
    assert drawn["shown"]["set"] == {"drawn": 2000, "of": 6000}


def test_gaps_leave_gaps(measurement: dict[str, Any]) -> None:
    for gap in (None, {}, 3, {"set": None}, {"set": {"x": [1], "y": None}}, {"set": {"x": [None, 1e300], "y": [1, 1]}}):
        assert dot_map({**measurement, "map": gap}) is None
    measurement["map"] |= {"set": {"x": [1, "x", 3], "y": [1, 2, 3, 4], "label": [9, 0]}, "reference": None, "explained": None}
    drawn = dot_map(measurement)
    assert drawn is not None
    assert groups(drawn["plot"]) == {"set": [1, 1]}
    assert drawn["explained"] == []
