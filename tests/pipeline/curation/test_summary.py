"""What a curation comes to: for any verdicts, the numbers add up, and a judgement that breaks its promise is caught."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.rows import FAULTS, make_record
from variegate.curation.judging import Items, Judgement
from variegate.pipeline.curation.summary import History, after, check_judgement, curated_rows, emptied, many_flips, summarise
from variegate.records import Record, Verdict
from variegate.store.entry import Entry
from variegate.store.ledger import REASONS, UNREAD, Ledger
from variegate.store.verdicts import CHANGING, DROPPING, StoredStage, count_verdicts

LABELS = ("anger", "fear", "joy")
OUTCOMES = ("kept", *REASONS)


def stage_of(index: int, facts: dict[str, Any]) -> StoredStage:
    return StoredStage(index, "denoise", Entry(f"{index:03d}-denoise", "k", facts, Path(), 0))


def items_of(records: list[Record]) -> Items:
    columns = zip(*((record.id, record.fields["text"], record.label, ()) for record in records), strict=True)
    return Items(*columns) if records else Items((), (), (), ())


@st.composite
def histories(draw: st.DrawFn) -> tuple[Ledger, list[Record], list[list[Verdict]]]:
    """A ledger, its kept records, and the verdicts of some stages in a row."""
    outcomes = draw(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(OUTCOMES)), max_size=40))
    ledger = Ledger()
    for label, outcome in outcomes:
        fault = outcome in FAULTS
        ledger.count(label, [] if fault else [outcome], outcome if fault else None)
    for outcome in draw(st.lists(st.sampled_from(("note", "empty")), max_size=3)):
        ledger.count("joy", [outcome], note=True)
    records = [make_record(str(place), f"text {place}", label) for place, (label, outcome) in enumerate(outcomes) if outcome == "kept"]
    items, stages = items_of(records), []
    for _ in range(draw(st.integers(1, 4))):
        verdicts = []
        for id, label in zip(items.ids, items.labels, strict=True):
            if draw(st.booleans()):
                new = draw(st.sampled_from(LABELS))
                reason = draw(st.sampled_from(sorted(CHANGING))) if new != label else ""
                verdicts.append(Verdict(id, new, reason=reason, confidence=draw(st.none() | st.floats(0, 1))))
            else:
                verdicts.append(Verdict(id, label, keep=False, reason=draw(st.sampled_from(sorted(DROPPING)))))
        stages.append(verdicts)
        items = after(items, verdicts)
    return ledger, records, stages


@given(histories())
def test_the_ledger_holds_from_request_to_final_label(history: tuple[Ledger, list[Record], list[list[Verdict]]]) -> None:
    """requested >= parsed >= records = kept + dropped; each stage's `in` is the `kept` before it; flips and labels are those of the records."""
    ledger, records, stages = history
    items, stored, said = items_of(records), [], {}
    for index, verdicts in enumerate(stages):
        check_judgement(items, Judgement(tuple(verdicts)), dict.fromkeys(LABELS))
        stored.append(stage_of(index, count_verdicts(items.labels, verdicts)))
        for verdict in verdicts:
            said.setdefault(verdict.id, History()).add("relabel", verdict)
        items = after(items, verdicts)
    found = summarise(records, items, stored, ledger, dict.fromkeys(LABELS))

    assert found["requested"] == sum(ledger.requested(label) for label in LABELS)  # those for notes ask for no record
    assert found["requested"] >= found["parsed"] >= found["records"] == found["kept_generated"] == len(records)
    assert found["requested"] - found["parsed"] == sum(
        ledger.counts[label][outcome] for label in LABELS for outcome in UNREAD if label in ledger.counts
    )
    assert found["records"] == found["kept"] + sum(found["dropped"].values())
    expected_in = len(records)
    for stage in found["stages"]:
        assert stage["counts"]["in"] == expected_in
        expected_in = stage["counts"]["kept"]
    assert expected_in == found["kept"]

    last = {verdict.id: verdict for verdicts in stages for verdict in verdicts}
    assert dict(zip(items.ids, items.labels, strict=True)) == {id: each.label for id, each in last.items() if each.keep}
    rows = list(curated_rows(records, items, said))
    assert [row["id"] for row in rows] == list(items.ids) == [record.id for record in records if record.id in items.ids]
    flips = Counter((row["given_label"], row["label"]) for row in rows if row["given_label"] != row["label"])
    assert {(old, new): number for old, news in found["flips"].items() for new, number in news.items()} == flips
    assert found["changed"] == flips.total()
    assert {label: each["final"] for label, each in found["labels"].items()} == {
        label: sum(row["label"] == label for row in rows) for label in LABELS
    }
    assert sum(each["given"] for each in found["labels"].values()) == len(records)
    absent = [label for label in LABELS if not any(row["label"] == label for row in rows)]
    assert bool(absent) == bool(found["warnings"])
    assert all(label in found["warnings"][0] for label in absent)


ITEMS = Items(("a", "b"), ("x", "y"), ("joy", "fear"), ((), ()))
GOOD = Verdict("b", "fear")


@pytest.mark.parametrize(
    "verdicts",
    [
        [GOOD],
        [GOOD, Verdict("a", "joy")],
        [Verdict("a", "joyy", reason="replaced"), GOOD],
        [Verdict("a", "joy", reason="mood"), GOOD],
        [Verdict("a", "joy", keep=False), GOOD],
        [Verdict("a", "joy", keep=False, reason="relabelled"), GOOD],
        [Verdict("a", "fear"), GOOD],
        [Verdict("a", "fear", reason="unjudged"), GOOD],
        [Verdict("a", "joy", confidence=1.5), GOOD],
        [Verdict("a", "joy", confidence=float("nan")), GOOD],
    ],
)
def test_a_judgement_that_breaks_its_promise_is_caught(verdicts: list[Verdict]) -> None:
    check_judgement(ITEMS, Judgement((Verdict("a", "joy"), GOOD)), dict.fromkeys(LABELS))
    with pytest.raises(AssertionError):
        check_judgement(ITEMS, Judgement(tuple(verdicts)), dict.fromkeys(LABELS))


def test_confidence_and_reasons_are_those_of_the_stages_in_order() -> None:
    said = History()
    for kind, verdict in (
        ("duplicates", Verdict("a", "joy")),
        ("relabel", Verdict("a", "fear", reason="relabelled", confidence=0.6)),
        ("label_replacement", Verdict("a", "anger", reason="replaced", confidence=0.7)),
        ("scope", Verdict("a", "anger", confidence=0.99)),
        ("denoise", Verdict("a", "anger")),
    ):
        said.add(kind, verdict)
    (row,) = curated_rows([make_record("a", "x", "joy", {"round": 1})], Items(("a",), ("x",), ("anger",), ((),)), {"a": said})
    assert row == {
        "id": "a", "text": "x", "label": "anger", "given_label": "joy", "confidence": 0.7, "reasons": ["relabelled", "replaced"], "origin": {"round": 1},
    }  # fmt: skip


def test_emptied_classes_are_named() -> None:
    before: Any = Items(tuple("abc"), tuple("xyz"), ("joy", "fear", "fear"), ((), (), ()))
    assert emptied(before, before.take([1])) == ["no record is left of 1 class: joy"]
    assert emptied(before, before.take([0, 2])) == []
    assert emptied(before, before.take([])) == []  # an error of its own


def test_of_many_changed_labels_ten_are_shown() -> None:
    texts = [f"text {place}" for place in range(60)]
    items = Items(tuple(map(str, range(60))), (*texts[:59], "x" * 200), ("joy",) * 60, ((),) * 60)

    def verdicts(changed: range) -> list[Verdict]:
        return [Verdict(id, "fear" if place in changed else "joy") for place, id in enumerate(items.ids)]

    assert many_flips(items, verdicts(range(20))) == []  # a third, not more
    head, *shown = many_flips(items, verdicts(range(20, 60)))
    assert head.startswith("40 of 60 labels were changed (67%), more than a third")
    assert shown == [f'joy -> fear: "text {place}"' for place in range(20, 60, 4)]  # spread over all
    _, last = many_flips(items.take([59]), verdicts(range(59, 60))[59:])
    assert last == f'joy -> fear: "{"x" * 117}..."'
    assert many_flips(items, [Verdict(each.id, "joy", keep=False, reason="duplicate") for each in verdicts(range(60))]) == []
