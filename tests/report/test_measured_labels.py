"""Bars by label: in proportion, in their places, and gaps that say why."""

from __future__ import annotations

from typing import Any

import pytest

from variegate.report.measured_labels import label_bars


def rows(about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["label"]: row for row in about["in_sight"] + about["folded"]}


def cell(about: dict[str, Any], label: str, title: str) -> dict[str, tuple[str | None, float]]:
    """side -> (value as written, length of the bar)"""
    place = [column["title"] for column in about["columns"]].index(title)
    return {bar["side"]: (bar["value"], pytest.approx(bar["share"])) for bar in rows(about)[label]["cells"][place]}


def test_bars_by_hand(measurement: dict[str, Any]) -> None:
    about = label_bars(measurement)
    assert about is not None
    assert [column["title"] for column in about["columns"]] == ["Remote-Clique", "Chamfer", "Top-5 similarity", "Distinct-2"]
    assert cell(about, "joy", "Remote-Clique") == {"set": ("0.800", 1.0), "reference": ("0.600", 0.75)}
    assert cell(about, "joy", "Chamfer") == {"set": ("0.200", 2 / 3), "reference": ("0.100", 1 / 3)}  # fear's 0.3 is the longest
    assert cell(about, "awe", "Chamfer") == {"set": ("0.050", 1 / 6), "reference": (None, 0)}
    assert cell(about, "joy", "Top-5 similarity") == {"pair": ("0.900", 1.0)}
    assert about["drawn"]


def test_sizes_and_what_is_lacking(measurement: dict[str, Any]) -> None:
    about = label_bars(measurement)
    assert about is not None
    by_label = rows(about)
    assert [(size["n"], size["drawn_from"]) for size in by_label["joy"]["sizes"]] == [(250, 700), (250, None)]
    assert [size["n"] for size in by_label["fear"]["sizes"]] == [1, 50]
    assert {label: row["lacks"] for label, row in by_label.items()} == {
        "joy": [],
        "awe": ["no record in the reference: too few"],
        "fear": ["one record in the set: too few"],
    }


def test_without_a_reference_nothing_is_said_of_one(measurement: dict[str, Any]) -> None:
    about = label_bars({**measurement, "reference": None, "labels": {"joy": {"set": measurement["labels"]["joy"]["set"]}}})
    assert about is not None
    assert [column["sides"] for column in about["columns"]] == [["set"]] * 3
    assert rows(about)["joy"]["lacks"] == []
    assert len(rows(about)["joy"]["sizes"]) == 1


def test_25_labels_are_in_sight_and_the_rest_is_folded(measurement: dict[str, Any]) -> None:
    labels = {f"label {index:02}": measurement["labels"]["joy"] for index in range(77)}
    about = label_bars({**measurement, "labels": labels})
    assert about is not None
    assert [row["label"] for row in about["in_sight"] + about["folded"]] == sorted(labels)
    assert (len(about["in_sight"]), len(about["folded"])) == (25, 52)


def test_negative_values_have_no_bar(measurement: dict[str, Any]) -> None:
    measurement["labels"]["awe"]["pair"] = [{**measurement["labels"]["joy"]["pair"][0], "value": -0.25}]
    about = label_bars(measurement)
    assert about is not None
    assert cell(about, "awe", "Top-5 similarity") == {"pair": ("-0.250", 0)}
    assert cell(about, "joy", "Top-5 similarity") == {"pair": ("0.900", 1)}


def test_values_at_equal_size_go_before_those_of_whole_labels(measurement: dict[str, Any]) -> None:
    drawn = measurement["labels"]["joy"]["set"][0]
    for order in ([{**drawn, "value": 0.1, "details": {}}, drawn], [drawn, {**drawn, "value": 0.1, "details": {}}]):
        about = label_bars({**measurement, "labels": {"joy": {"set": order}}})
        assert about is not None
        assert cell(about, "joy", "Remote-Clique")["set"] == ("0.800", 1)


@pytest.mark.parametrize("labels", [None, {}, [], 3, {"joy": None}, {"joy": {"set": []}}, {"joy": {"set": [{"metric": "chamfer"}]}}])
def test_no_values_no_table(measurement: dict[str, Any], labels: Any) -> None:
    assert label_bars({**measurement, "labels": labels}) is None
