from __future__ import annotations

import time

import pytest

from tests.support.progress import Heard
from variegate.progress import Named, Pace, Progress, Silent, spelt


def tell(progress: Progress) -> None:
    progress.note("started")
    progress.update("reading", 0, 1)
    progress.update("generating", 3, 9, asked=6, detail="1 dropped")
    progress.advance(2)


def test_a_part_is_told_under_its_name_and_the_rest_as_it_is() -> None:
    heard = Heard()
    tell(Named(heard, "cell 1: "))
    assert heard.said == ["started", ("cell 1: reading", 0, 1, 0, ""), ("cell 1: generating", 3, 9, 6, "1 dropped"), 2]


def test_nobody_need_listen() -> None:
    tell(Silent())
    tell(Named(Silent(), "x"))


def test_what_is_answered_counts_as_done_until_more_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace("generating", 0, 100, 50, "").after(None)
    assert pace.left() is None
    now[0] += 10
    pace.answered += 20
    assert pace.left() == 40  # 80 more at 2 a second
    pace = Pace("generating", 40, 100, 0, "").after(pace)
    now[0] += 10
    assert pace.left() == 30


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (99, "99 s"), (100, "2 min"), (5900, "98 min"), (11100, "3 h 05 min")])
def test_times_in_words(seconds: float, words: str) -> None:
    assert spelt(seconds) == words
