"""Progress of a long job, on stderr: one live line on a terminal; elsewhere, for logs and pipes, its notes and a line a minute."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import click


@dataclass(slots=True)
class _Stage:
    """Where the job is. began: when it came to this stage, or to the first questions that it asked in it; before: what was done
    then, and took no time."""

    name: str
    done: int
    whole: int
    asked: int
    detail: str
    answered: int = 0
    asks: bool = False
    began: float = 0.0
    before: int = 0

    def after(self, other: _Stage | None) -> _Stage:
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
        """Seconds, if it goes on as it went so far; None where nothing says so."""
        if not self.before < self.done < self.whole:
            return None
        return (time.monotonic() - self.began) * (self.whole - self.done) / (self.done - self.before)


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
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None, more="", left="")
        self._stage: _Stage | None = None

    def note(self, text: str) -> None:
        from variegate.report.visible import visible

        self._bar.console.print(visible(text), markup=False, highlight=False)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._stage = _Stage(stage, done, whole, asked, detail).after(self._stage)
        self._show(self._stage)
        self._bar.start()

    def advance(self, count: int) -> None:
        if self._stage is not None:
            self._stage.answered += count
            self._show(self._stage)

    def _show(self, stage: _Stage) -> None:
        from variegate.report.visible import visible

        seconds = stage.left()
        left = "" if seconds is None else f"left: {_spelt(seconds)}"
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
        self._stage: _Stage | None = None
        self._stopped = threading.Event()
        self._ticker: threading.Thread | None = None

    def note(self, text: str) -> None:
        from variegate.report.visible import visible

        click.echo(visible(text), err=True)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self._stage = _Stage(stage, done, whole, asked, detail).after(self._stage)
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

    def _line(self, stage: _Stage) -> str:
        seconds = stage.left()
        left = [] if seconds is None else [f"about {_spelt(seconds)} left"]
        where = f"{stage.name} {stage.done:,} of {stage.whole:,}" if stage.whole > 1 else stage.name
        return f"after {_spelt(time.monotonic() - self._start)}: {', '.join([where, *stage.more(), *left])}"

    def stop(self) -> None:
        self._stopped.set()
        if self._ticker is not None:
            self._ticker.join()


def _spelt(seconds: float) -> str:
    """`80 s`, `12 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02} min"


def make_progress() -> TerminalProgress | PlainProgress:
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
