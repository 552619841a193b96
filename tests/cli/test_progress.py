from __future__ import annotations

import pytest

from variegate.cli.progress import PlainProgress, TerminalProgress, make_progress


def play(progress: PlainProgress | TerminalProgress) -> None:
    """Two rounds of 3 kept and 1 dropped out of a target of 6; 200 tokens in 2 seconds each."""
    progress.note("starting [bold] ...")
    progress.start(6)
    for _ in range(2):
        progress.completions(2)
        progress.completions(2)
        progress.round_done(kept=3, dropped=1, tokens=200, seconds=2.0)
    progress.stop()


def test_plain_lines_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    play(PlainProgress(every_s=0))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "starting [bold] ...",
        "kept 3/6, dropped 1, 100 tokens/s, about 2 s left",
        "kept 6/6, dropped 2, 100 tokens/s",
    ]


def test_plain_lines_come_seldom_but_the_last_one_always(capsys: pytest.CaptureFixture[str]) -> None:
    progress = PlainProgress(every_s=3600)
    progress.start(100)
    for _ in range(100):
        progress.round_done(kept=1, dropped=0, tokens=0, seconds=0.0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 2
    assert lines[-1] == "kept 100/100, dropped 0, from disk"


def test_a_terminal_gets_one_line_with_the_same_numbers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    play(TerminalProgress())
    out, err = capsys.readouterr()
    assert out == ""
    assert "starting [bold] ..." in err
    assert "6/6 kept 2 dropped 0 in this round 100 tokens/s" in " ".join(err.split())


def test_a_terminal_that_stops_before_it_started_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    TerminalProgress().stop()
    assert capsys.readouterr().out == ""


def test_which_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, kind in ((True, TerminalProgress), (False, PlainProgress)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal, raising=False)
        assert isinstance(make_progress(), kind)
