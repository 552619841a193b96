"""What a person answers to an item: from keys on a terminal, or from lines of standard input. Stores and shows no item."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType

from variegate.cli.inspect_screen import Screen
from variegate.cli.keys import BACKSPACE, DOWN, END, ENTER, ESCAPE, UP, TerminalKeys
from variegate.cli.label_search import COMMANDS, named, search
from variegate.errors import UsageError, nearest
from variegate.records import Record
from variegate.report.visible import visible


@dataclass(frozen=True, slots=True)
class Answer:
    command: str  # "judge" or one of COMMANDS' values
    label: str | None = None  # of "judge" and "out of scope"; None: out of scope


_QUIT = Answer("quit")


def _right(record: Record | None) -> Answer:
    """The label that the item was generated for; at the end, where there is no item, the end."""
    return Answer("judge", record.label) if record is not None else _QUIT


class TerminalAnswers:
    """Keys, while the context lasts. keys: key -> label; empty: labels are searched for by typing."""

    def __init__(self, screen: Screen, titles: Mapping[str, str], keys: Mapping[str, str]) -> None:
        self._screen, self._titles, self._labels = screen, titles, keys
        self._keys = TerminalKeys(self._go_on)

    def __enter__(self) -> TerminalAnswers:
        self._keys.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._keys.__exit__(kind, error, trace)

    def _go_on(self) -> None:
        self._screen.listed = 0  # the shell wrote below the list

    def answer(self, record: Record | None) -> Answer:
        """record: the item shown; None at the end."""
        return self._pressed(record) if self._labels or record is None else self._searched(record)

    def _pressed(self, record: Record | None) -> Answer:
        while True:
            key = self._keys.read()
            if key == END:
                return _QUIT
            if key == ENTER:
                return _right(record)
            key = key.casefold()
            if key in COMMANDS:
                return Answer(COMMANDS[key])
            if record is not None and key in self._labels:
                return Answer("judge", self._labels[key])
            if key != "/" and len(key) == 1:  # "/u" is "u", as where labels are searched for
                self._screen.say(f"no label has the key {key} (? for help)")

    def _searched(self, record: Record) -> Answer:
        typed, marked = "", 0
        while True:
            found = search(typed, self._titles) if typed not in ("", "/") else []
            self._screen.show_typed(typed, found, marked)
            key = self._keys.read()
            if key == END:
                return _QUIT
            if key == ENTER and typed == "":
                return _right(record)
            if key == ENTER and found:
                return Answer("judge", found[marked])
            if typed == "/" and key.casefold() in COMMANDS:
                return Answer(COMMANDS[key.casefold()])
            if typed == "" and key == "?":
                return Answer("help")
            if key in (UP, DOWN):
                marked = min(max(marked + (1 if key == DOWN else -1), 0), max(len(found) - 1, 0))
            elif key in (BACKSPACE, ESCAPE):
                typed, marked = ("" if key == ESCAPE else typed[:-1]), 0
            elif len(key) == 1 and typed != "/":
                typed, marked = (typed + key).lstrip(), 0


class LineAnswers:
    """Lines of standard input; its end is the session's."""

    def __init__(self, titles: Mapping[str, str], keys: Mapping[str, str]) -> None:
        self._titles, self._labels = titles, keys
        self._line = 0

    def answer(self, record: Record | None) -> Answer:
        """Raises UsageError, naming the line, where it is no answer."""
        self._line += 1
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError as error:
            raise UsageError(f"standard input:{self._line}: is not UTF-8 text ({error.reason}): save it as UTF-8") from error
        text = line.strip()
        if not line:
            return _QUIT
        if not text:
            return _right(record)
        if text.removeprefix("/") in COMMANDS:
            return Answer(COMMANDS[text.removeprefix("/")])
        label = self._labels.get(text) or named(text, self._titles)
        if label is None:
            known = [*self._titles, *self._titles.values()]
            raise UsageError(
                f"standard input:{self._line}: {visible(text)!r} is no label of the task{nearest(text, known)} Expected a label's name,"
                f" title or key, one of {', '.join(COMMANDS)}, or an empty line where the label is right"
            )
        return Answer("judge", label)
