from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from variegate.folding import fold
from variegate.kinds.text import as_one, comparable, folded, parts_of, shown, text_of

words = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@given(st.lists(words, min_size=1, max_size=3), st.lists(words, min_size=1, max_size=3))
def test_two_count_as_the_same_where_each_text_does(first: list[str], second: list[str]) -> None:
    same = [fold(each) for each in first] == [fold(each) for each in second]
    assert (folded(text_of(first)) == folded(text_of(second))) == same


def test_where_the_border_is_matters() -> None:
    assert folded(("a b", "c")) != folded(("a", "b c"))
    assert folded(("A  b", "C")) == folded(("a b ", " c"))
    assert folded(("a", "b")) != folded(("b", "a"))
    assert folded("a b") != folded(("a", "b"))


def test_forms() -> None:
    assert text_of(["x"]) == "x"
    assert text_of(["x", "y"]) == ("x", "y")
    assert parts_of("x") == ("x",)
    assert parts_of(("x", "y")) == ("x", "y")
    assert as_one("x\ny") == comparable("x\ny") == shown("x\ny", ["premise"]) == "x\ny"
    assert as_one(("x", "y")) == shown(("x", "y")) == "x\ny"
    assert shown(("x", "y"), ["premise", "hypothesis"]) == "premise: x\nhypothesis: y"
