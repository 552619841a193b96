"""The session as a state machine: an undo is the inverse of what came before it, and where a session was broken off never shows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.pipeline.inspection.session import Session, Step, Tally, tally
from variegate.store.inspected import Inspected

DRAW = tuple("abcdefgh")


class Person:
    """Plays sessions on a list of lines, as the command plays them on a file."""

    def __init__(self, *, again: bool = False) -> None:
        self.lines: list[tuple[str, str | None]] = []  # (id, label), or (id, "undone")
        self.again = again
        self.session: Session | None = None

    def history(self) -> list[str]:
        found: list[str] = []
        for id, label in self.lines:
            if label == "undone":
                found.reverse()
                found.remove(id)
                found.reverse()
            else:
                found.append(id)
        return found

    def open(self) -> bool:
        try:
            self.session = Session.start(DRAW, self.history(), again=self.again)
        except UsageError:
            self.session = None
        return self.session is not None

    def do(self, key: str) -> None:
        session = self.session
        assert session is not None
        if key == "undo":
            if session.last is not None:
                if not session.last.skipped:
                    self.lines.append((session.last.id, "undone"))
                self.session = session.undone()
        elif session.current is not None and key == "skip":
            self.session = session.skipped()
        elif session.current is not None:
            self.lines.append((session.current, key))
            self.session = session.judged()


KEYS = st.lists(st.sampled_from(["x", "y", "undo", "skip"]), max_size=30)


def test_a_session_worked_by_hand() -> None:
    session = Session.start("abc", "b")
    assert (session.current, session.place, session.waiting) == ("a", 1, ("a", "c"))
    session = session.judged()
    assert (session.current, session.place, session.history) == ("c", 3, ("b", "a"))
    session = session.skipped()
    assert (session.current, session.place, session.last) == (None, None, Step("c", skipped=True))
    session = session.undone()
    assert (session.current, session.last, session.history) == ("c", Step("a"), ("b", "a"))
    session = session.undone().undone()
    assert (session.waiting, session.history, session.last, session.taken_back) == (("b", "a", "c"), (), None, 1)


def test_nothing_is_left() -> None:
    with pytest.raises(UsageError, match=r"all 2 items of this draw are judged already: .* --number.* --seed.* --again"):
        Session.start("ab", "ba")
    assert Session.start("ab", "ba", again=True).waiting == ("a", "b")


def test_an_item_of_another_draw_can_be_taken_back() -> None:
    session = Session.start("ab", "z").undone()
    assert (session.current, session.place, session.waiting) == ("z", None, ("z", "a", "b"))
    assert session.judged().waiting == ("a", "b")


@given(KEYS, st.sampled_from(["x", "skip"]), st.booleans())
def test_undo_is_the_inverse_of_a_step(keys: list[str], key: str, again: bool) -> None:
    person = Person(again=again)
    person.open()
    for each in keys:
        person.do(each)
    before, standing = person.session, person.history()
    assert before is not None
    if before.current is not None:
        person.do(key)
        assert person.session != before
        person.do("undo")
        assert person.session == before
        assert person.history() == standing


@given(KEYS, st.booleans())
def test_undoing_everything_leads_back_to_the_start(keys: list[str], again: bool) -> None:
    person = Person(again=again)
    person.open()
    start = person.session
    for each in keys:
        person.do(each)
    while person.session is not None and person.session.last is not None:
        person.do("undo")
    assert person.session == start
    assert person.history() == []


@given(st.lists(st.sampled_from(["x", "y", "undo"]), max_size=30), st.sets(st.integers(0, 30)))
def test_where_a_session_is_broken_off_does_not_show(keys: list[str], breaks: set[int]) -> None:
    """The lines that are stored are the same as of one long session. (A skip is of its session alone.)"""
    whole, parts = Person(), Person()
    whole.open()
    assert parts.open()
    for number, key in enumerate(keys):
        if number in breaks and not parts.open():
            break  # all is judged: a new session says so
        whole.do(key)
        parts.do(key)
    assert parts.lines == whole.lines


@given(KEYS, KEYS, st.booleans())
def test_what_is_shown_is_each_item_once(first: list[str], second: list[str], again: bool) -> None:
    person = Person(again=again)
    for keys in (first, second):
        if person.open():
            for key in keys:
                person.do(key)
                session = person.session
                assert session is not None
                assert len(set(session.waiting)) == len(session.waiting)
                assert session.history == tuple(person.history())
                if not again:
                    assert not set(session.waiting) & set(session.history)
                    passed_over = {step.id for step in session.steps if step.skipped}
                    assert set(session.waiting) | set(session.history) | passed_over == set(DRAW)


def test_a_tally_worked_by_hand() -> None:
    judged = {
        id: Inspected(id, label, label is not None, "")
        for id, label in [("a", "x"), ("b", "y"), ("c", None), ("d", "x"), ("e", None), ("f", "y")]
    }
    given = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "y", "f": "y", "g": "y"}
    assert tally(judged, given) == Tally(judged=6, agree=2, changed=2, out_of_scope=2)
