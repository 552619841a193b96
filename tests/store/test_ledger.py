"""requested = kept + dropped, by label and in all."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from variegate.store.ledger import REASONS, Ledger

OUTCOMES = st.sampled_from(["kept", *REASONS])


def test_a_hand_worked_ledger() -> None:
    rows = [("b", "kept"), ("a", "kept"), ("a", "duplicate"), ("a", "kept"), ("b", "empty")]
    ledger = Ledger.of({"label": label, "outcome": outcome} for label, outcome in rows)
    assert ledger.to_json() == {
        "requested": 5,
        "kept": 3,
        "dropped": {"duplicate": 1, "empty": 1},
        "labels": {"a": {"duplicate": 1, "kept": 2}, "b": {"empty": 1, "kept": 1}},
    }
    assert (ledger.requested("a"), ledger.kept("a"), ledger.requested("unseen"), ledger.kept("unseen")) == (3, 2, 0, 0)


def test_an_empty_ledger() -> None:
    assert Ledger().to_json() == {"requested": 0, "kept": 0, "dropped": {}, "labels": {}}


@given(st.lists(st.tuples(st.sampled_from("abc"), OUTCOMES)))
def test_sums_hold_whatever_came(rows: list[tuple[str, str]]) -> None:
    value = Ledger.of({"label": label, "outcome": outcome} for label, outcome in rows).to_json()
    assert value["requested"] == len(rows) == value["kept"] + sum(value["dropped"].values())
    assert sum(sum(counts.values()) for counts in value["labels"].values()) == len(rows)
    assert Counter(outcome for _, outcome in rows) == Counter(value["dropped"]) + Counter(kept=value["kept"])


def test_every_reason_is_explained() -> None:
    assert all(len(meaning) > 20 for meaning in REASONS.values())
