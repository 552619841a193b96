"""Questions with answers that are spans of their context: SQuAD's forms in and out, and what is no such record."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from variegate.kinds import kind_of
from variegate.kinds.extractive_qa import ExtractiveQaTask, find_span, record_of
from variegate.records import Target

CONTEXT = "The mill at Ambleford was built in 1742. It ground flour until 1931."
TASK = ExtractiveQaTask.model_validate(
    {"kind": "extractive_qa", "name": "q", "text_type": "question", "context": "c", "data": {"train": "t.jsonl"}}
)
KIND = kind_of(TASK)


def record(question: str, answer: str, start: int) -> dict[str, Any]:
    return {"context": CONTEXT, "question": question, "answers": {"text": [answer], "answer_start": [start]}}


def test_an_answer_is_assembled_into_a_record_with_its_place() -> None:
    made = KIND.assemble(Target((), {"context": CONTEXT}), "Question: When was it built?\nAnswer: in 1742")
    assert made == record("When was it built?", "in 1742", 32)
    assert KIND.assemble(KIND.target(made), KIND.said(made)) == made  # type: ignore[arg-type]
    assert KIND.gold(made) == ["in 1742"]  # type: ignore[arg-type]
    assert KIND.texts(made) == (CONTEXT, "When was it built?")  # type: ignore[arg-type]
    assert KIND.show(made) == f"context: {CONTEXT}\nquestion: When was it built?\nanswer: in 1742"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Question: Who built it?\nAnswer: John Smith", "answer_not_in_context"),
        ("Question: What is it?\nAnswer: ill", "answer_not_in_context"),  # a part of a word
        ("Question: When was it built?", "part_missing"),
        ("It was built in 1742.", "part_missing"),
    ],
)
def test_what_is_no_question_with_an_answer_is_refused_by_name(said: str, reason: str) -> None:
    assert KIND.assemble(Target((), {"context": CONTEXT}), said) == reason


@pytest.mark.parametrize(
    ("answer", "span"),
    [("1742", "1742"), ('"Ambleford"', "Ambleford"), ("1742.", "1742."), ("the mill", "The mill"), ("1931.", "1931."), ("flour.", "flour"), ("", None), ('"', None)],
)  # fmt: skip
def test_a_span_is_taken_as_the_context_spells_it(answer: str, span: str | None) -> None:
    found = find_span(CONTEXT, answer)
    assert (None if found is None else CONTEXT[slice(*found)]) == span


@given(st.text(max_size=40), st.text(max_size=10))
def test_what_is_found_is_a_span(context: str, answer: str) -> None:
    found = find_span(context, answer)
    if found is not None:
        assert context[slice(*found)].casefold() in context.casefold()
        assert found[0] < found[1] <= len(context)


def test_squads_nested_form_out_and_in() -> None:
    first, second = record("When was it built?", "1742", 35), record("What did it grind?", "flour", 51)
    other = {**record("Where?", "Sea", 4), "context": "The Sea."}
    rows = [{"id": f"r{n}", **each} for n, each in enumerate((first, second, other))]
    document = json.loads(b"".join(KIND.document("squad", rows, "mills")))
    assert document["version"] == "1.1"
    (article,) = document["data"]
    assert article["title"] == "mills"
    assert [[each["id"] for each in paragraph["qas"]] for paragraph in article["paragraphs"]] == [["r0", "r1"], ["r2"]]
    assert article["paragraphs"][0]["qas"][1]["answers"] == [{"text": "flour", "answer_start": 51}]
    assert [found for _, found in KIND.read_rows(document)] == [first, second, other]
    assert json.loads(b"".join(KIND.document("squad", [], "none"))) == {"version": "1.1", "data": [{"title": "none", "paragraphs": []}]}


def test_the_hubs_flat_form_in() -> None:
    row = {"id": "1", "title": "Mills", **record("When?", "1742", 35)}
    assert record_of(row) == record("When?", "1742", 35)
    several = {**row, "answers": {"text": ["1742", "in 1742"], "answer_start": [35, 32]}}
    assert KIND.gold(record_of(several)) == ["1742", "in 1742"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "wrong"),
    [
        (3, "expected an object"),
        ({"context": CONTEXT}, "field 'question': expected text, got None"),
        ({**record("When?", "1742", 35), "context": " "}, "field 'context'"),
        ({**record("When?", "1742", 35), "answers": {"text": [], "answer_start": []}}, "the question has no answer"),
        (record("When?", "1742", 34), "'1742' does not stand in the context at 34"),
        (record("When?", "1743", 35), "'1743' does not stand in the context at 35"),
        ({**record("When?", "1742", 35), "answers": {"text": ["1742"], "answer_start": []}}, "as many `text` as `answer_start`"),
        ({**record("When?", "1742", 35), "answers": "1742"}, "expected SQuAD's"),
    ],
)
def test_a_bad_row_is_said_to_be_bad(row: Any, wrong: str) -> None:
    assert wrong in str(record_of(row))


def test_a_file_of_another_form_has_no_records() -> None:
    assert [found for _, found in KIND.read_rows({"rows": []})] == ["field 'context': expected text, got None"]


def test_a_question_has_no_label() -> None:
    with pytest.raises(ValidationError, match="at most 0 items"):
        ExtractiveQaTask.model_validate({**TASK.model_dump(), "labels": {"a": {"phrase": "a", "description": "a"}}})
    assert KIND.target(record("When?", "1742", 35)).name == "all"
