from __future__ import annotations

from tests.support.progress import Heard
from variegate.progress import Named, Progress, Silent


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
