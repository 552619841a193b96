from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.records import Completion, Message, Request, Sampling
from variegate.strategies.reading import one_text, strip_quotes

BLOCK = 'Write a tweet that covers the element below.\nElement: joy\nTweet: "'


def judge(text: str, reason: str = "stop", *, prompt: str = BLOCK, keep: bool = False) -> tuple[str, str]:
    request = Request((Message("user", "An earlier message of the chat."), Message("user", prompt)), Sampling())
    piece = one_text(request, Completion("k", text, (), reason, 3), keep_unfinished=keep)
    return piece.text, piece.reason


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (" I am\n so\tglad ", "I am so glad"),
        ('"I am glad"', "I am glad"),
        ("“I am glad.”", "I am glad."),
        ("'tis good, isn't it'", "'tis good, isn't it'"),
        ('"Go" and "stop"', '"Go" and "stop"'),
        ('" glad "', "glad"),
        ("42", "42"),
        ("好", "好"),
        ("Element: joy", "Element: joy"),  # two words: no whole line of the instruction
    ],
)
def test_kept(raw: str, text: str) -> None:
    assert judge(raw) == (text, "")


@pytest.mark.parametrize("raw", ["", "  \n", '""', "...", '"!"', "🙂"])
def test_nothing_but_marks_is_empty(raw: str) -> None:
    assert judge(raw) == (raw, "empty")


def test_unfinished_texts_are_kept_only_on_demand() -> None:
    assert judge("I am", "length") == ("I am", "unfinished")
    assert judge("I am", "length", keep=True) == ("I am", "")


def test_an_echo_of_the_instruction_is_dropped_but_not_of_an_example() -> None:
    assert judge("Sure! write A tweet that covers the element below. Here:")[1] == "echo"
    example = 'Write a tweet for the category "joy".\n- joy: I am so very glad today\nImitate the examples, but do not edit them.\nTweet: "'
    assert judge("joy: I am so very glad today", prompt=example)[1] == ""
    assert judge("Imitate the examples, but do not edit them.", prompt=example)[1] == "echo"
    assert judge("An earlier message of the chat.")[1] == ""


@given(st.text(max_size=20))
def test_stripping_quotes_only_ever_takes_from_the_ends(text: str) -> None:
    out = strip_quotes(text)
    assert out in text
    assert len(text) - len(out) in (0, *range(2, len(text) + 1))
