"""Requests and items add up, by name and in all."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import FAULTS, make_row
from variegate.store.ledger import REASONS, Ledger, meaning

OUTCOMES = st.sampled_from(["kept", *REASONS])


def test_a_hand_worked_ledger() -> None:
    outcomes = [("b", "kept"), ("a", "kept"), ("a", "duplicate"), ("a", "kept"), ("b", "empty"), ("b", "engine_error")]
    ledger = Ledger.of(make_row(label, slot, outcome=outcome).to_json() for slot, (label, outcome) in enumerate(outcomes))
    assert ledger.to_json() == {
        "requested": 6,
        "answered": 5,
        "items": 5,
        "kept": 3,
        "notes": 0,
        "dropped": {"duplicate": 1, "empty": 1, "engine_error": 1},
        "labels": {
            "a": {"requested": 3, "outcomes": {"duplicate": 1, "kept": 2}},
            "b": {"requested": 3, "outcomes": {"empty": 1, "engine_error": 1, "kept": 1}},
        },
    }
    assert (ledger.requested("a"), ledger.kept("a"), ledger.requested("unseen"), ledger.kept("unseen")) == (3, 2, 0, 0)


def test_answers_of_many_items_of_none_and_notes() -> None:
    ledger = Ledger()
    ledger.count("a", ["kept", "kept", "not_in_list"])
    ledger.count("a", [])
    ledger.count("a", ["note", "empty"], note=True)
    found = ledger.to_json()
    assert [found[name] for name in ("requested", "answered", "items", "kept", "notes")] == [3, 3, 5, 2, 1]
    assert found["dropped"] == {"empty": 1, "not_in_list": 1}
    assert (ledger.requested("a"), ledger.kept("a")) == (2, 2)  # a note is no request of its name
    assert found["for_notes"] == {"requested": 1, "outcomes": {"empty": 1, "note": 1}}


def test_a_label_may_be_called_note() -> None:
    ledger = Ledger()
    for name in ("note", "kept", "a"):
        ledger.count(name, ["kept"])
        ledger.count(name, ["note"], note=True)
    assert [(ledger.requested(name), ledger.kept(name)) for name in ("note", "kept", "a")] == [(1, 1)] * 3
    found = ledger.to_json()
    assert {name: each["requested"] for name, each in found["labels"].items()} == {"note": 1, "kept": 1, "a": 1}
    assert (found["requested"], found["kept"], found["notes"]) == (6, 3, 3)


def test_an_empty_ledger() -> None:
    assert Ledger().to_json() == {"requested": 0, "answered": 0, "items": 0, "kept": 0, "notes": 0, "dropped": {}, "labels": {}}


@given(st.lists(st.tuples(st.sampled_from("abc"), OUTCOMES)))
def test_sums_hold_whatever_came(outcomes: list[tuple[str, str]]) -> None:
    rows = [make_row(label, slot, outcome=outcome).to_json() for slot, (label, outcome) in enumerate(outcomes)]
    value = Ledger.of(rows).to_json()
    faults = sum(outcome in FAULTS for _, outcome in outcomes)
    assert value["requested"] == len(outcomes) == value["kept"] + sum(value["dropped"].values()) == value["answered"] + faults
    assert value["items"] == value["answered"]  # one text an answer
    assert sum(each["requested"] for each in value["labels"].values()) == len(outcomes)
    assert Counter(outcome for _, outcome in outcomes) == Counter(value["dropped"]) + Counter(kept=value["kept"])


def test_every_reason_is_explained() -> None:
    assert all(len(words) > 20 for words in REASONS.values())
    assert meaning("empty") == REASONS["empty"]
    assert meaning("entity_missing") == "entity missing"
