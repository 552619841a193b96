"""A row as stored gives back the completion and the record it was made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import StoreError
from variegate.records import Fault, Record, Target
from variegate.store.rows import Row, StoredItem, dump_lines, parse_line, stored_completion, stored_items

# What breaks readers of line files: every character that some language takes for a line end, and astral characters.
NASTY = "a\nb\rc\r\nd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\x00k\x1b[31ml😀\ufeff"


def through_json(row: Row) -> dict[str, Any]:
    return parse_line(dump_lines([row.to_json()]), "test")


def only(row: Mapping[str, Any]) -> StoredItem:
    (item,) = stored_items(row)
    return item


def test_round_trip(row: Callable[..., Row]) -> None:
    made = row(slot=3)
    stored = through_json(made)
    record = only(stored).to_record()
    assert record.to_json() == {
        "id": made.request.key,
        "text": "I am so full of joy today, number 3",
        "label": "joy",
        "origin": stored["origin"],
    }
    assert Record.from_json(record.to_json()) == record
    assert stored_completion(stored) == made.completion
    assert Target.from_json(stored["target"]) == made.request.target


def test_several_items_of_one_answer(row: Callable[..., Row]) -> None:
    made = row()
    (item,) = made.items
    second = replace(item, id=f"{item.id}.1", outcome="duplicate", fields={"text": "again"})
    note = replace(item, id=f"{item.id}.2", outcome="note", fields={"text": "because"})
    stored = through_json(replace(made, items=(item, second, note), request=replace(made.request, facts={"alpha": 0.75})))
    found = list(stored_items(stored))
    assert [(each.id, each.outcome, each.text) for each in found][1:] == [(second.id, "duplicate", "again"), (note.id, "note", "because")]
    assert {each.name for each in found} == {"joy"}
    assert found[0].origin["facts"] == {"alpha": 0.75}
    assert found[1].dropped() == {"id": second.id, "label": "joy", "reason": "duplicate", "text": "again", "error": None}


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_as_one_line(text: str) -> None:
    data = dump_lines([{"text": text}, {"text": text}])
    lines = data.splitlines()  # as RunFolder reads them
    assert [parse_line(line, "test")["text"] for line in lines] == [text, text]


def test_nasty_text_survives(row: Callable[..., Row]) -> None:
    assert only(through_json(row(text=NASTY))).fields["text"] == NASTY


def test_origin_holds_every_field(row: Callable[..., Row]) -> None:
    origin = only(through_json(row(slot=1))).origin
    assert set(origin) == {
        "strategy", "form", "model", "suppression", "bias", "round", "block", "slot", "seed", "parents", "temperature",
        "finish_reason", "num_prompt_tokens", "num_tokens", "logprob",
    }  # fmt: skip
    assert origin["parents"] == ["0123456789abcdef"]
    assert origin["num_tokens"] == 9  # I am so full of joy today, number 1


def test_suppression_is_named_where_a_bias_was_in_force_and_only_there(row: Callable[..., Row]) -> None:
    made = row()
    assert (only(through_json(made)).origin["suppression"], only(through_json(made)).origin["bias"]) == (None, None)
    under = replace(made, request=replace(made.request, bias="ab"))
    assert (only(through_json(under)).origin["suppression"], only(through_json(under)).origin["bias"]) == ("run", "ab")


def test_a_fault_is_kept_with_its_kind_and_has_no_text(row: Callable[..., Row]) -> None:
    stored = through_json(row(outcome="engine_error"))
    assert stored["error"] == {"kind": "engine_error", "message": "no text: engine_error"}
    assert stored_completion(stored).error == Fault("engine_error", "no text: engine_error")
    item = only(stored)
    assert (item.outcome, item.error, item.text, item.id) == ("engine_error", "no text: engine_error", "", stored["key"])


def test_logprob_survives_to_the_last_bit(row: Callable[..., Row]) -> None:
    made = row()
    made = replace(made, completion=replace(made.completion, logprob=-0.1 - 0.2))
    assert stored_completion(through_json(made)).logprob == -0.1 - 0.2


def test_a_damaged_line_names_file_and_line() -> None:
    with pytest.raises(StoreError, match=r"rounds/000001/rows\.jsonl:7: not valid JSON"):
        parse_line(b'{"key": "abc', "rounds/000001/rows.jsonl:7")


def test_a_lone_surrogate_is_no_json() -> None:
    with pytest.raises(orjson.JSONEncodeError):  # engines decode to valid Unicode; this would be a bug of ours
        dump_lines([{"text": "\ud800"}])
