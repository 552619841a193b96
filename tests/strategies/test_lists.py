from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.strategies.lists import Lists

LISTS = Lists(("question from a quiz", "question"))
THREE = ("Who is it?", "Where is it?", "When was it?")


def found(answer: str, number: int = 3) -> tuple[str, ...]:
    return LISTS.find(answer, number=number).texts


@pytest.mark.parametrize(
    "mark",
    ["{}. ", "{}) ", "({}) ", "[{}] ", "{}: ", "{} - ", "{}.", "Example {}: ", "example {}. ", "Question {}: ", "Item #{}: ", "Text {} - ", "**{}.** ",
     "**Example {}:** ", "## {}. ", "- {}. ", "* Example {}: ", "Example {} (80% location, 20% number): ", "No. {}: ", "- ", "* ", "• ", "– ", "+ ", ""],
)  # fmt: skip
def test_the_usual_forms_of_a_list(mark: str) -> None:
    lines = [mark.format(place) + text for place, text in enumerate(THREE, 1)]
    for between in ("\n", "\n\n", "\r\n"):
        assert found(between.join(lines)) == THREE
        assert found(f"Sure! Here are three questions:\n\n{between.join(lines)}\n\nI hope this helps!") == THREE
        assert found(f"Here are 3 questions that mix two categories:\n{between.join(lines)}\nLet me know if you need more.") == THREE


def test_words_count_too() -> None:
    assert found("Example one: Who is it?\nExample two: Where is it?") == THREE[:2]


def test_a_mark_that_stands_alone_marks_what_follows() -> None:
    assert found("1.\nWho is it?\n\n2.\nWhere is it?") == THREE[:2]
    assert found("Example 1:\n\nWho is it?\n\nExample 2:\n\nWhere is it?") == THREE[:2]


def test_one_line_of_counted_texts() -> None:
    assert found("1. Who is it? 2. Where is it? 3. When was it?") == THREE
    assert found("Here are three questions: 1) Who is it? 2) Where is it? 3) When was it?") == THREE
    assert found("1. Who came in 3. place?") == ("Who came in 3. place?",)


def test_remarks_between_texts_are_none_of_them() -> None:
    assert found("1. Who is it?\n   - This is 80% human.\n2. Where is it?\n   - This is 60% location.") == THREE[:2]
    assert found("1. Who is it?\n\nThis one is about a person.\n\n2. Where is it?") == THREE[:2]
    assert found("Human:\n1. Who is it?\n\nLocation:\n2. Where is it?") == THREE[:2]


def test_a_text_of_several_lines_goes_on_to_the_next_mark() -> None:
    assert found("1. Hi John,\nhow are you?\n2. Bye.") == ("Hi John,\nhow are you?", "Bye.")


@pytest.mark.parametrize(
    "answer",
    ["", "  \n", "Sure, here are three questions:", "Who is it?", "I cannot help with that.", "One.\nTwo.\nThree.\nFour.", "One.\nTwo."],
)
def test_what_is_no_list(answer: str) -> None:
    assert found(answer) == ()


def test_numbers_that_begin_a_text_are_no_marks() -> None:
    assert found("3.5 million people live where?\n1984 was written by whom?", number=2) == (
        "3.5 million people live where?",
        "1984 was written by whom?",
    )


def test_one_text_asked_for_needs_no_mark() -> None:
    assert found("Who is it?", number=1) == ("Who is it?",)
    assert found("1. Who is it?", number=1) == ("Who is it?",)
    assert found("", number=1) == ()


@pytest.mark.parametrize(
    ("answer", "open_end"),
    [("1. Who is it?\n2. Where is", True), ("1. Who is it?\n2. Where is it?\n\nI hope th", False), ("Who is it?\nWhere is it?\nWhen", True),
     ("1. Who is it? 2. Where is", True), ("- Who is it?\n- Where is it?\nLet me know if", False)],
)  # fmt: skip
def test_whether_a_cut_off_answer_has_cut_off_its_last_text(answer: str, open_end: bool) -> None:
    assert LISTS.find(answer, number=3).open == open_end


@given(st.text(alphabet=st.sampled_from('12. )-*•\n"“:aExample%( \r#')), st.integers(1, 5))
def test_any_answer_is_read_and_no_text_is_made_up(answer: str, number: int) -> None:
    kept = "".join(char for char in answer if not char.isspace() and char != "*")
    for text in found(answer, number):
        assert "".join(char for char in text if not char.isspace() and char != "*") in kept or "```" in answer


@pytest.mark.parametrize("piece", ["1. ", "1. a ", "Example ", "- ", "(", "\n", " ", "here are :", "1.\n", "Example 1 ("])
def test_time_in_proportion_to_the_length(piece: str) -> None:
    start = time.perf_counter()
    LISTS.find(piece * (100_000 // len(piece)), number=3)
    assert time.perf_counter() - start < 5
