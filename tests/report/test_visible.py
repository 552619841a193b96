"""Nothing that a model wrote steers a terminal or turns a line around."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from variegate.report.visible import visible


def test_by_hand() -> None:
    assert visible("naïve “text” 😀\n\ttwo") == "naïve “text” 😀\n\ttwo"
    assert visible("\x1b[2J\x07a\x00b\x7f") == "␛[2J␇a␀b␡"
    assert visible("a\r\nb\rc") == "a\nb␍c"
    assert visible("abc\u202edef\x9b1m") == "abc\ufffddef\ufffd1m"
    assert visible("👩\u200d👩\u200d👧") == "👩\u200d👩\u200d👧"  # a family stays one


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(character) != "Cc" or character in "\n\t" for character in shown)
    assert "\x1b" not in shown
    assert visible(shown) == shown
