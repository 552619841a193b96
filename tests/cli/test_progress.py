"""Progress: one live line on a terminal; elsewhere notes and a line now and then; nothing obeyed that a file name holds."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from variegate.cli import progress as module
from variegate.cli.progress import PlainProgress, TerminalProgress, make_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Call it in the test, and stderr is a terminal: pytest sets its own between fixtures and test."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "160")

    def start() -> Terminal:
        place = Terminal()
        monkeypatch.setattr(sys, "stderr", place)
        return place

    return start


class Clock:
    """In place of `time.monotonic`: what it is set to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


def plain(text: str) -> str:
    """What stands on the terminal, without the sequences that put it there."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def line_of(progress: PlainProgress) -> str:
    """The line that it would print now."""
    assert progress._stage is not None
    return progress._line(progress._stage)


# -- where there is no terminal --------------------------------------------------------------------------------


def test_notes_come_at_once_and_the_rest_now_and_then(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress() as progress:
        progress.note("starting [bold] \x1b[2J ...")
        progress.update("generating", 0, 100, asked=50)
        progress.advance(10)
    assert capsys.readouterr() == ("", "starting [bold] ␛[2J ...\n")


def test_a_line_comes_also_where_nothing_moves(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(every_s=0.05) as progress:
        progress.update("starting vllm on nano-llama", 0, 1)
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 6
    assert set(lines) == {"after 0 s: starting vllm on nano-llama"}
    time.sleep(0.1)
    assert capsys.readouterr().err == ""  # stopped is stopped


def test_before_the_first_stage_there_is_nothing_to_tell(capsys: pytest.CaptureFixture[str]) -> None:
    with PlainProgress(every_s=0.01):
        time.sleep(0.05)
    assert capsys.readouterr() == ("", "")


def test_a_line_says_how_far_it_is_inside_a_round(clock: Clock) -> None:
    with PlainProgress() as progress:
        progress.update("generating", 0, 2000, asked=1024, detail="0 dropped")
        progress.advance(300)
        progress.advance(12)
        clock.now += 65
        assert line_of(progress) == "after 65 s: generating 0 of 2,000, 312 of 1,024 answered, 0 dropped, about 6 min left"
        progress.update("generating", 1000, 2000, detail="24 dropped, 900 tokens/s")
        clock.now += 65
        assert line_of(progress) == "after 2 min: generating 1,000 of 2,000, 24 dropped, 900 tokens/s, about 2 min left"


def test_what_came_from_disk_says_nothing_of_the_time_left(clock: Clock) -> None:
    """1,000 of 2,000 are there at once; 100 are then made in 10 s."""
    with PlainProgress() as progress:
        for done in range(0, 1001, 100):
            progress.update("generating", done, 2000)
        progress.update("generating", 1000, 2000, asked=100)
        clock.now += 10
        for _ in range(2):
            progress.update("generating", 1100, 2000)  # the round is done
            assert line_of(progress).endswith("about 90 s left")
            progress.update("generating", 1100, 2000, asked=100)  # the next one is asked for


def test_another_stage_has_a_time_of_its_own(clock: Clock) -> None:
    with PlainProgress() as progress:
        progress.update("generating", 0, 10)
        clock.now += 100
        progress.update("embedding", 5, 10)
        clock.now += 1
        progress.update("embedding", 6, 10)
        assert line_of(progress) == "after 2 min: embedding 6 of 10, about 4 s left"
        progress.update("embedding", 10, 10)
        assert line_of(progress) == "after 2 min: embedding 10 of 10"


# -- on a terminal ---------------------------------------------------------------------------------------------


def test_a_terminal_sees_the_stage_and_how_far_it_is(terminal: Callable[[], Terminal], capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal()
    with make_progress() as progress:
        assert isinstance(progress, TerminalProgress)
        progress.update("embedding", 37, 200)
        progress.update("generating", 3, 7, asked=40, detail="2 dropped, 100 tokens/s")
        progress.advance(12)
        progress.note("a [bold] note")
    shown = plain(screen.getvalue())
    assert "a [bold] note" in shown
    assert re.search(r"generating .*3/7 +12 of 40 answered, 2 dropped, 100 tokens/s", shown)
    assert capsys.readouterr().out == ""


def test_the_line_is_gone_at_the_end(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with make_progress() as progress:
        progress.update("embedding", 1, 2)
    # erased in place, the cursor shown again
    assert screen.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h"))
    assert "\x1b[2K" in screen.getvalue()
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1


def test_one_that_has_nothing_to_tell_shows_nothing(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with make_progress():
        pass
    assert plain(screen.getvalue()).strip() == ""


def test_a_file_name_is_shown_and_not_obeyed(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    with make_progress() as progress:
        progress.update("reading [red]a[/red] [/nothing] :smile: \x1b]0;title\x07", 0, 1, detail="[b]x[/b]")
    assert "reading [red]a[/red] [/nothing] :smile: ␛]0;title␇" in plain(screen.getvalue())
    assert "[b]x[/b]" in plain(screen.getvalue())
    assert "\x1b]0" not in screen.getvalue()


@pytest.mark.parametrize("columns", [1, 5, 20])
def test_a_narrow_terminal(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = terminal()
    with make_progress() as progress:
        progress.update("measuring labels", 3, 7)
    assert "\x1b[2K" in screen.getvalue()


def test_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, kind in ((True, TerminalProgress), (False, PlainProgress)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal, raising=False)
        assert isinstance(make_progress(), kind)


def test_it_is_seen_while_an_engines_output_is_hidden() -> None:
    """An engine that starts in this process has descriptor 2 hidden, for minutes."""
    script = (
        "import os\n"
        "from variegate.cli.progress import make_progress\n"
        "from variegate.inference.engine_output import EngineOutput\n"
        "progress = make_progress()\n"
        "with EngineOutput().hidden():\n"
        "    os.write(2, b'noise\\n')\n"
        "    progress.update('starting vllm: compiling', 0, 1)\n"
        "    progress.note('60 s so far')\n"
        "progress.stop()\n"
        "progress.note('started')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert done.stderr == "60 s so far\nstarted\n"
