"""Where works are done: once each, under a key of all that they follow from; and what memory is said of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.works.test_student import ANIMAL, desk
from variegate.pipeline.works import DOERS
from variegate.pipeline.works.bench import Bench, _descendants, _peak_of
from variegate.records import Work
from variegate.store.run_folder import RunFolder


class Counting:
    name = "counting"

    def __init__(self) -> None:
        self.done = 0
        self.also = "a"

    def depends_on(self, desk: Any, args: Any) -> Any:
        return self.also

    def do(self, desk: Any, args: Any) -> Any:
        self.done += 1
        return [{"number": len(args["texts"])}], {"said": "counted"}


@pytest.fixture
def doer(monkeypatch: pytest.MonkeyPatch) -> Counting:
    made = Counting()
    monkeypatch.setitem(DOERS._found, "counting", made)
    return made


def test_a_work_is_done_once_while_the_engine_rests_and_again_only_where_something_changed(tmp_path: Path, doer: Counting) -> None:
    rested: list[int] = []
    bench = Bench(RunFolder(tmp_path / "run"), desk(tmp_path, (ANIMAL, "animals")), lambda: rested.append(doer.done))
    work = Work("count", "counting", {"texts": ["x", "y"]})
    assert bench.find(work) is None
    entry = bench.do(work)
    assert entry.rows() == [{"number": 2}]
    assert entry.facts["task"] == "counting"
    assert bench.do(work).rows() == [{"number": 2}]
    found = bench.find(work)
    assert found is not None
    assert (doer.done, rested) == (1, [0])  # it rested before, and not where nothing was done
    other = Work("count", "counting", {"texts": ["x"]})
    assert bench.do(other).rows() == [{"number": 1}]
    doer.also = "b"
    bench.do(work)
    assert doer.done == 3
    doer.also = "a"
    bench.do(work)  # set aside, and back
    assert doer.done == 3


def test_the_peak_of_a_process_that_was_started_is_its_own() -> None:
    """`getrusage` would count this process's memory for it."""
    code = "import sys; held = bytearray(80 << 20); print('there', flush=True); sys.stdin.read()"
    large = bytearray(400 << 20)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "there\n"
        assert process.pid in _descendants(os.getpid())
        assert 80 << 20 < _peak_of(process.pid) < 300 << 20
        process.stdin.close()
    assert _peak_of(os.getpid()) > len(large)
    assert _peak_of(0) == 0
