"""What a long job tells while it goes: the one protocol. Knows nobody who listens: the command line draws it, tests count it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass(slots=True)
class Pace:
    """Where a job is, and how fast it goes. began: when it came to this stage, or to the first questions that it asked in it; before:
    what was done then, and took no time."""

    name: str
    done: int
    whole: int
    asked: int
    detail: str
    answered: int = 0
    asks: bool = False
    began: float = 0.0
    before: int = 0

    def after(self, other: Pace | None) -> Pace:
        """Itself, as it comes after the other one."""
        self.asks, self.began, self.before = self.asked > 0, time.monotonic(), self.done
        if other is not None and other.name == self.name and (other.asks or not self.asks):
            self.asks, self.began, self.before = other.asks, other.began, other.before
        return self

    def more(self) -> list[str]:
        """In words, what a bar does not show."""
        answered = f"{self.answered:,} of {self.asked:,} answered" if self.asked else ""
        return [part for part in (answered, self.detail) if part]

    def left(self) -> float | None:
        """Seconds, if it goes on as it went so far, and nothing of what was answered is dropped; None where nothing says so."""
        done = self.done + self.answered
        if not self.before < done < self.whole:
            return None
        return (time.monotonic() - self.began) * (self.whole - done) / (done - self.before)


def spelt(seconds: float) -> str:
    """`80 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"
