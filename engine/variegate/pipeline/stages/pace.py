"""Progress that also says once, in a line that stays, how long a stage will take: logs keep lines, and no bar."""

from __future__ import annotations

import time

from variegate.progress import Pace, Progress, spelt

AFTER_S = 10.0  # of a part of a stage: a short one needs no word
AFTER_SHARE = 0.2  # of what it has to do: before that a rate says little, since an engine works on many answers at once


class Paced:
    """Passes everything on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._head = ""
        self._pace: Pace | None = None
        self._told: set[str] = set()

    def begin(self, head: str) -> None:
        """Another stage, which is called so in the line."""
        self._head, self._pace = head, None
        self._told.clear()

    def note(self, text: str) -> None:
        self._progress.note(text)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._progress.update(stage, done, whole, asked=asked, detail=detail)
        self._pace = Pace(stage, done, whole, asked, detail).after(self._pace)
        self._tell(self._pace)

    def advance(self, count: int) -> None:
        self._progress.advance(count)
        if self._pace is not None:
            self._pace.answered += count
            self._tell(self._pace)

    def _tell(self, pace: Pace) -> None:
        left, done = pace.left(), pace.done + pace.answered
        if left is None or pace.name in self._told or time.monotonic() - pace.began < AFTER_S:
            return
        if done - pace.before >= AFTER_SHARE * (pace.whole - pace.before):
            self._told.add(pace.name)
            self._progress.note(f"{self._head}: {pace.name} {done:,} of {pace.whole:,}, at most about {spelt(left)} left")
