from __future__ import annotations

import time

import pytest

from tests.support.progress import Heard
from variegate.pipeline.stages.pace import Paced


def test_a_long_stage_says_once_how_long_it_will_take(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    heard = Heard()
    paced = Paced(heard)
    paced.begin("[1/6] generate")
    paced.update("generating", 0, 100, asked=100)
    now[0] = 20
    paced.advance(19)
    assert heard.notes == []  # too few to say
    paced.advance(1)
    assert heard.notes == ["[1/6] generate: generating 20 of 100, at most about 80 s left"]
    paced.advance(10)
    assert len(heard.notes) == 1
    paced.begin("[2/6] curate")
    paced.update("relabelling", 0, 10, asked=10)
    now[0] += 9
    paced.advance(5)
    assert len(heard.notes) == 1  # it will soon be over
    assert (heard.answered, len(heard.updates)) == (35, 2)
