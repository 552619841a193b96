"""A row as stored gives back the completion and the record it was made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import StoreError
from variegate.store.rows import Row, dump_lines, parse_line, stored_completion, stored_record

# What breaks readers of line files: every character that some language takes for a line end, and astral characters.
NASTY = "a\nb\rc\r\nd\x0be\x0cf\x1cg\x85h\u2028i\u2029j\x00k\x1b[31ml😀\ufeff"


def through_json(row: Row) -> dict[str, object]:
    return parse_line(dump_lines([row.to_json()]), "test")


def test_round_trip(row: Callable[..., Row]) -> None:
    made = row(slot=3)
    stored = through_json(made)
    assert stored_record(stored) == made.to_record()
    assert stored_completion(stored) == made.completion


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_survives_as_one_line(text: str) -> None:
    data = dump_lines([{"text": text}, {"text": text}])
    lines = data.splitlines()  # as RunFolder reads them
    assert [parse_line(line, "test")["text"] for line in lines] == [text, text]


def test_nasty_text_survives(row: Callable[..., Row]) -> None:
    assert stored_record(through_json(row(text=NASTY))).text == NASTY


def test_origin_holds_every_field(row: Callable[..., Row]) -> None:
    origin = row(slot=1).to_record().origin
    assert set(origin) == {
        "strategy", "form", "model", "suppression", "round", "slot", "seed", "parents", "alpha", "temperature",
        "finish_reason", "num_prompt_tokens", "num_tokens", "logprob",
    }  # fmt: skip
    assert origin["parents"] == ["0123456789abcdef"]
    assert origin["num_tokens"] == 9  # I am so full of joy today, number 1


def test_an_engine_error_has_no_text(row: Callable[..., Row]) -> None:
    made = row(outcome="engine_error")
    stored = through_json(made)
    assert not made.kept
    assert stored["error"] == "the engine stopped"
    assert stored_completion(stored).text == ""


def test_logprob_survives_to_the_last_bit(row: Callable[..., Row]) -> None:
    made = row()
    made = replace(made, completion=replace(made.completion, logprob=-0.1 - 0.2))
    assert stored_completion(through_json(made)).logprob == -0.1 - 0.2


def test_a_damaged_line_names_file_and_line() -> None:
    with pytest.raises(StoreError, match=r"rounds/000001/completions\.jsonl:7: not valid JSON"):
        parse_line(b'{"key": "abc', "rounds/000001/completions.jsonl:7")


def test_a_lone_surrogate_is_no_json() -> None:
    with pytest.raises(orjson.JSONEncodeError):  # engines decode to valid Unicode; this would be a bug of ours
        dump_lines([{"text": "\ud800"}])
