"""Keys pressed on a terminal, one at a time, with names for those that are no character. Knows nothing of what they are for."""

from __future__ import annotations

import codecs
import os
import select
import signal
import sys
import termios
import tty
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

ENTER, BACKSPACE, ESCAPE, UP, DOWN, END = "<enter>", "<backspace>", "<escape>", "<up>", "<down>", "<end>"  # END: no more keys

_CONTROL = {"\r": ENTER, "\n": ENTER, "\x7f": BACKSPACE, "\b": BACKSPACE, "\x15": ESCAPE, "\x04": END}  # ^U clears as Escape does
_SEQUENCES = {"[A": UP, "OA": UP, "[B": DOWN, "OB": DOWN}
_SEQUENCE_S = 0.05  # what follows an escape character this soon is one key with it


class TerminalKeys:
    """A context in which standard input gives keys as they are pressed, unechoed. What was typed before it is discarded.

    Ctrl-C raises KeyboardInterrupt, as ever. However the context ends, but for kill -9, the terminal is as it was.
    on_continue: called when the process was stopped (Ctrl-Z) and goes on.
    """

    def __init__(self, on_continue: Callable[[], None]) -> None:
        self._fd = sys.stdin.fileno()
        self._on_continue = on_continue
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._typed: deque[str] = deque()

    def __enter__(self) -> TerminalKeys:
        self._before = termios.tcgetattr(self._fd)
        self._handlers: dict[int, Any] = {
            signal.SIGCONT: signal.signal(signal.SIGCONT, self._go_on),
            signal.SIGTERM: signal.signal(signal.SIGTERM, self._stop),
        }
        tty.setcbreak(self._fd)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        with suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def _go_on(self, number: int, frame: FrameType | None) -> None:
        with suppress(termios.error):
            tty.setcbreak(self._fd)
        self._on_continue()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    def read(self) -> str:
        """The next key: a printable character, or one of the names above. Keys that are neither are passed over."""
        while True:
            char = self._next()
            if char is None:
                return END
            plain = char if char.isprintable() else None
            key = self._sequence() if char == "\x1b" else _CONTROL.get(char, plain)
            if key is not None:
                return key

    def _next(self, wait_s: float | None = None) -> str | None:
        """The next character; None at the end of input, or when none came within `wait_s`."""
        while not self._typed:
            if wait_s is not None and not select.select([self._fd], [], [], wait_s)[0]:
                return None
            try:
                data = os.read(self._fd, 1024)
            except OSError:  # the terminal is gone
                return None
            if not data:
                return None
            self._typed.extend(self._decoder.decode(data))
        return self._typed.popleft()

    def _sequence(self) -> str | None:
        """The key of an escape sequence, None for one without a meaning here, ESCAPE when nothing follows."""
        char = self._next(_SEQUENCE_S)
        if char is None:
            return ESCAPE
        if char not in "[O":
            return None  # Alt with a character
        sequence = char
        while (char := self._next(_SEQUENCE_S)) is not None:
            sequence += char
            if char not in "0123456789;<=>?":  # of "[", parameters come before the letter that ends it
                break
        return _SEQUENCES.get(sequence)
