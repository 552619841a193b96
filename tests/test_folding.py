"""When two texts count as the same, on hand-picked pairs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.folding import fold


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        ("Where is my CARD?", "  where is\tmy card?\n", True),
        ("ﬁne １２３", "fine 123", True),  # ligature, full-width digits
        ("STRASSE", "straße", True),
        ("cafe\u0301", "café", True),
        ("card", "card?", False),
        ("cafe", "café", False),
    ],
)
def test_fold(a: str, b: str, equal: bool) -> None:
    assert (fold(a) == fold(b)) is equal


@given(st.text(max_size=30))
def test_folding_twice_is_folding_once_for_plain_text(text: str) -> None:
    plain = text.encode("ascii", "ignore").decode()
    assert fold(fold(plain)) == fold(plain) == " ".join(plain.lower().split())


def test_characters_that_no_reader_sees_are_left_out() -> None:
    for unseen in ("\ufeff", "\u200b", "\u00ad", "\u2060", "\u200e"):
        assert fold(f"{unseen}Block my{unseen} card") == "block my card"
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"  # a joiner that changes what is read
    assert "\u200c" in fold(persian)
