"""Which pooled value stands where."""

from __future__ import annotations

from typing import Any

from variegate.report.measured import measured
from variegate.report.measured_values import SIDES, cards, pair_measures, vendi_rows, wording_rows
from variegate.report.readings import HEADLINE, WORDING


def pooled(measurement: dict[str, Any]) -> dict[str, Any]:
    return {side: measured(measurement["pooled"][side]) for side in SIDES}


def test_cards_set_whole_and_equal_sizes_side_by_side(measurement: dict[str, Any]) -> None:
    clique, chamfer, cross, top = cards(HEADLINE, pooled(measurement))
    assert [card["title"] for card in (clique, chamfer, cross, top)] == [
        "Remote-Clique",
        "Chamfer",
        "Mean cross-set distance",
        "Top-5 similarity",
    ]
    assert clique["facts"] == "cosine distance, self left out"
    whole, equal = chamfer["rows"]
    assert [(cell["value"], cell["n"], cell["drawn_from"]) for cell in whole["cells"]] == [("0.1774", 1200, None), ("0.1385", 300, None)]
    assert [(cell["value"], cell["n"], cell["drawn_from"]) for cell in equal["cells"]] == [("0.2478", 300, 1200), ("0.1385", 300, None)]
    assert [row["name"] for row in cross["rows"]] == ["whole"]
    assert cross["sides"] == ["pair"]
    (estimate,) = top["rows"][0]["cells"]
    assert (estimate["value"], estimate["interval"]) == ("0.773990", "0.773968 to 0.774012")


def test_what_was_drawn_from_is_named(measurement: dict[str, Any]) -> None:
    (cell,) = cards(["top_k_similarity"], pooled(measurement))[0]["rows"][1]["cells"]
    assert (cell["drawn_from"], cell["m_drawn_from"]) == (1200, None)
    drawn = measurement["pooled"]["pair"][-1]
    drawn |= {"n": 1200, "m": 1200, "details": {"drawn_from": 5000}}  # n as of the whole set: the references were drawn from
    (cell,) = cards(["top_k_similarity"], pooled(measurement))[0]["rows"][1]["cells"]
    assert (cell["drawn_from"], cell["m_drawn_from"]) == (None, 5000)


def test_two_k_are_two_cards(measurement: dict[str, Any]) -> None:
    measurement["pooled"]["pair"].append({**measurement["pooled"]["pair"][1], "k": 1, "value": 0.9})
    found = cards(["top_k_similarity"], pooled(measurement))
    assert [(card["title"], card["rows"][0]["cells"][0]["value"]) for card in found] == [
        ("Top-5 similarity", "0.773990"),
        ("Top-1 similarity", "0.900000"),
    ]


def test_orders_are_columns(measurement: dict[str, Any]) -> None:
    vendi = vendi_rows(pooled(measurement))
    assert vendi is not None
    assert vendi["orders"] == ["0.5", "1", "2", "∞"]
    assert [(row["side"], row["cells"], row["most"]) for row in vendi["rows"]] == [
        ("set", ["109.6", "90.9", "57.1", "4.69"], "384"),
        ("reference", ["108.1", "89.4", "55.6", "3.19"], "384"),
    ]
    assert vendi_rows({side: [] for side in SIDES}) is None


def test_wording(measurement: dict[str, Any]) -> None:
    rows = wording_rows(WORDING, pooled(measurement))
    assert [row["title"] for row in rows] == [
        "Distinct-1", "Distinct-2", "Distinct-3", "Self-repetition", "Compression ratio", "Vocabulary", "Words a text",
    ]  # fmt: skip
    assert rows[0]["cells"]["set"]["value"] == "0.2927"
    assert rows[0]["cells"]["reference"]["value"] == "0.3077"
    assert rows[-1]["cells"]["set"]["spread"] == "median 8, 90 % within 4 to 16"


def test_coverage_and_leakage_say_what_only_they_have(measurement: dict[str, Any]) -> None:
    rows = pair_measures(pooled(measurement))
    assert [(row["title"], row["value"], row["notes"]) for row in rows] == [
        ("Coverage", "46.2 %", ["radius 0.07 in cosine distance (given)", "of 300 references"]),
        ("Leakage, equal", "0.7 %", ["9 of 1,200 records"]),
        ("Leakage, equal when folded", "1.0 %", ["12 of 1,200 records"]),
        ("Leakage, cosine ≥ 0.95", "13.0 %", []),
        ("Bigram overlap", "0.2214", []),
    ]


def test_the_radius_on_a_map_has_its_own_unit(measurement: dict[str, Any]) -> None:
    measurement["pooled"]["pair"] = [{**measurement["pooled"]["pair"][3], "metric": "coverage_tsne", "details": {"radius": 0.05}}]
    (row,) = pair_measures(pooled(measurement))
    assert row["notes"] == ["radius 0.05 of the map's spread", "of 300 references"]
