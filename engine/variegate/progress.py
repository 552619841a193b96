"""What a long job tells while it goes: the one protocol. Knows nobody who listens: the command line draws it, tests count it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

Report = Callable[[str, int, int], None]  # stage, done, whole: `Progress.update` to one who tells no more


class Progress(Protocol):
    """A job goes through named stages, one after the other, and each has a whole, in units of its own (records, questions)."""

    def note(self, text: str) -> None:
        """Something that a log should keep."""
        ...

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        """Where the job is now: `done` of `whole`. A whole of 1 is a stage without parts.

        asked: questions that an engine is about to answer, none of which is counted in `done` yet; see `advance`.
        detail: a few words on what is done, such as `12 dropped, 900 tokens/s`.
        """
        ...

    def advance(self, count: int) -> None:
        """`count` more of what was asked were answered, in no order."""
        ...


def to_stderr(text: str) -> None:
    """A line for whoever sits there, from where no job reports yet."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Silent:
    """Nobody listens."""

    def note(self, text: str) -> None:
        pass

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        pass

    def advance(self, count: int) -> None:
        pass


class Named:
    """Tells of one part of a larger job: `prefix` stands before its stages."""

    def __init__(self, progress: Progress, prefix: str) -> None:
        self._progress, self._prefix = progress, prefix
        self.note, self.advance = progress.note, progress.advance

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._progress.update(f"{self._prefix}{stage}", done, whole, asked=asked, detail=detail)
