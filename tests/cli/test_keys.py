"""Keys out of a pseudo-terminal: characters, special keys, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import pty
import select
import signal
import termios
from collections.abc import Iterator

import pytest

from variegate.cli.keys import BACKSPACE, DOWN, END, ENTER, ESCAPE, UP, TerminalKeys


class Stdin:
    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """(the person's end, the program's end), the latter as standard input."""
    person, program = pty.openpty()
    monkeypatch.setattr("sys.stdin", Stdin(program))
    yield person, program
    for each in (person, program):
        os.close(each)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        (b"a1?/", ["a", "1", "?", "/"]),
        (b"\r\n", [ENTER, ENTER]),
        (b"\x7f\x08", [BACKSPACE, BACKSPACE]),
        (b"\x1b[A\x1b[B\x1bOA\x1bOB", [UP, DOWN, UP, DOWN]),
        (b"\x1b[1;5C\x1b[3~\x1b[Hx", ["x"]),  # Ctrl-Right, Delete, Home mean nothing
        (b"\x1bqx", ["x"]),  # nor does Alt-q, which is not q
        (b"\x15\x1b", [ESCAPE, ESCAPE]),
        (b"\x01\x02\tx", ["x"]),
        ("é中😀".encode(), ["é", "中", "😀"]),
        (b"\xff", ["�"]),
        (b"\x04", [END]),
    ],
)
def test_keys(terminal: tuple[int, int], typed: bytes, keys: list[str]) -> None:
    with TerminalKeys(lambda: None) as read:
        os.write(terminal[0], typed)
        assert [read.read() for _ in keys] == keys


def test_a_character_that_comes_in_two_parts(terminal: tuple[int, int]) -> None:
    with TerminalKeys(lambda: None) as read:
        os.write(terminal[0], "é".encode()[:1])
        signal.signal(signal.SIGALRM, lambda *_: os.write(terminal[0], "é".encode()[1:]) and None)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        try:
            assert read.read() == "é"
        finally:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_what_was_typed_before_is_discarded_and_the_terminal_comes_back(terminal: tuple[int, int]) -> None:
    before, handlers = termios.tcgetattr(terminal[1]), [signal.getsignal(each) for each in (signal.SIGCONT, signal.SIGTERM)]
    os.write(terminal[0], b"early\n")
    assert select.select([terminal[1]], [], [], 10)[0]  # it has come through
    with TerminalKeys(lambda: None) as read:
        assert not termios.tcgetattr(terminal[1])[3] & (termios.ECHO | termios.ICANON)
        os.write(terminal[0], b"x")
        assert read.read() == "x"
    assert termios.tcgetattr(terminal[1]) == before
    assert [signal.getsignal(each) for each in (signal.SIGCONT, signal.SIGTERM)] == handlers


def test_going_on_after_a_stop(terminal: tuple[int, int]) -> None:
    """The shell has set the terminal its own way meanwhile."""
    called = []
    before = termios.tcgetattr(terminal[1])
    with TerminalKeys(lambda: called.append(1)):
        termios.tcsetattr(terminal[1], termios.TCSANOW, before)
        os.kill(os.getpid(), signal.SIGCONT)
        assert called == [1]
        assert not termios.tcgetattr(terminal[1])[3] & termios.ECHO


def test_a_polite_kill_restores_the_terminal(terminal: tuple[int, int]) -> None:
    before = termios.tcgetattr(terminal[1])
    with pytest.raises(SystemExit) as caught, TerminalKeys(lambda: None):
        os.kill(os.getpid(), signal.SIGTERM)
    assert caught.value.code == 143
    assert termios.tcgetattr(terminal[1]) == before


def test_a_terminal_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    person, program = pty.openpty()
    monkeypatch.setattr("sys.stdin", Stdin(program))
    with TerminalKeys(lambda: None) as read:
        os.close(person)
        assert read.read() == END
    os.close(program)
