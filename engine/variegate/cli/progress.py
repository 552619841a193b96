"""Progress of a long job, on stderr: one live line on a terminal; elsewhere, for logs and pipes, its notes and a line a minute."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Self, TextIO

import click

from variegate.progress import Pace, spelt


class _Live:
    """What both have. With `with`, it stops at the end."""

    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


class TerminalProgress(_Live):
    """Two bars would flicker; one line with the numbers that a person watches is enough. It is gone at the end."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),  # it may hold a file name
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
            console=Console(stderr=True) if (own := _own_stderr()) is None else Console(file=own),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, more="", left="")
        self._stage: Pace | None = None

    def note(self, text: str) -> None:
        from variegate.report.visible import visible

        self._bar.console.print(visible(text), markup=False, highlight=False)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._stage = Pace(stage, done, whole, asked, detail).after(self._stage)
        self._show(self._stage)
        self._bar.start()

    def advance(self, count: int) -> None:
        if self._stage is not None:
            self._stage.answered += count
            self._show(self._stage)

    def _show(self, stage: Pace) -> None:
        from variegate.report.visible import visible

        seconds = stage.left()
        left = "" if seconds is None else f"left: {spelt(seconds)}"
        more = ", ".join(stage.more())
        self._bar.update(
            self._task, description=visible(stage.name), completed=stage.done, total=stage.whole, more=visible(more), left=left
        )

    def stop(self) -> None:
        self._bar.stop()


class PlainProgress(_Live):
    """Notes as they come, and every `every_s` seconds a line that says where the job is, also where nothing moves for long."""

    def __init__(self, every_s: float = 60.0) -> None:
        self._every_s, self._start = every_s, time.monotonic()
        self._file = _own_stderr()
        self._stage: Pace | None = None
        self._stopped = threading.Event()
        self._ticker: threading.Thread | None = None

    def note(self, text: str) -> None:
        from variegate.report.visible import visible

        click.echo(visible(text), err=True, file=self._file)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._stage = Pace(stage, done, whole, asked, detail).after(self._stage)
        if self._ticker is None:
            self._ticker = threading.Thread(target=self._tick, daemon=True)
            self._ticker.start()

    def advance(self, count: int) -> None:
        if self._stage is not None:
            self._stage.answered += count

    def _tick(self) -> None:
        while not self._stopped.wait(self._every_s):
            if self._stage is not None:
                self.note(self._line(self._stage))

    def _line(self, stage: Pace) -> str:
        seconds = stage.left()
        left = [] if seconds is None else [f"about {spelt(seconds)} left"]
        where = f"{stage.name} {stage.done:,} of {stage.whole:,}" if stage.whole > 1 else stage.name
        return f"after {spelt(time.monotonic() - self._start)}: {', '.join([where, *stage.more(), *left])}"

    def stop(self) -> None:
        self._stopped.set()
        if self._ticker is not None:
            self._ticker.join()


def _own_stderr() -> TextIO | None:
    """Standard error, as a file of its own: while an engine starts in this process, what is written to descriptor 2 is hidden. None where
    sys.stderr is something else, as in tests."""
    try:
        if sys.stderr.fileno() != 2:
            return None
        copy = os.dup(2)
    except (OSError, ValueError, AttributeError):
        return None
    return os.fdopen(copy, "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")


def make_progress() -> TerminalProgress | PlainProgress:
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
