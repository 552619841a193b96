"""Progress in stages: one live line on a terminal, nothing elsewhere, and nothing obeyed that a file name holds."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

import pytest

from variegate.cli.stages import SilentStages, TerminalStages, make_stages


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Terminal]:
    """Call it in the test, and stderr is a terminal: pytest sets its own between fixtures and test."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")

    def start() -> Terminal:
        place = Terminal()
        monkeypatch.setattr(sys, "stderr", place)
        return place

    return start


def plain(text: str) -> str:
    """What stands on the terminal, without the sequences that put it there."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_terminal_sees_the_stage_and_how_far_it_is(terminal: Callable[[], Terminal], capsys: pytest.CaptureFixture[str]) -> None:
    screen = terminal()
    stages = make_stages()
    assert isinstance(stages, TerminalStages)
    stages.update("embedding", 37, 200)
    stages.update("measuring labels", 3, 7)
    stages.stop()
    shown = plain(screen.getvalue())
    assert "measuring labels" in shown
    assert re.search(r"3/7\b", shown)
    assert capsys.readouterr().out == ""


def test_the_line_is_gone_at_the_end(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    stages = make_stages()
    stages.update("embedding", 1, 2)
    stages.stop()
    # erased in place, the cursor shown again
    assert screen.getvalue().rstrip().endswith(("\x1b[2K", "\x1b[?25h"))
    assert "\x1b[2K" in screen.getvalue()
    assert screen.getvalue().count("\x1b[?25l") == screen.getvalue().count("\x1b[?25h") == 1


def test_a_file_name_is_shown_and_not_obeyed(terminal: Callable[[], Terminal]) -> None:
    screen = terminal()
    stages = make_stages()
    stages.update("reading [red]a[/red] [/nothing] :smile: \x1b]0;title\x07", 0, 1)
    stages.stop()
    assert "reading [red]a[/red] [/nothing] :smile: ␛]0;title␇" in plain(screen.getvalue())
    assert "\x1b]0" not in screen.getvalue()


@pytest.mark.parametrize("columns", [1, 5, 20])
def test_a_narrow_terminal(terminal: Callable[[], Terminal], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    screen = terminal()
    stages = make_stages()
    stages.update("measuring labels", 3, 7)
    stages.stop()
    assert "\x1b[2K" in screen.getvalue()


def test_elsewhere_nothing_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    stages = make_stages()
    assert isinstance(stages, SilentStages)
    stages.update("embedding", 1, 2)
    stages.stop()
    assert capsys.readouterr() == ("", "")
