"""A run's progress on stderr: a live line with tokens/s, kept, dropped and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time

import click


class TerminalProgress:
    """Two bars would flicker; one line with the numbers a person watches is enough."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} kept"),
            TextColumn("{task.fields[dropped]} dropped"),
            TextColumn("{task.fields[running]} in this round"),
            TextColumn("{task.fields[speed]} tokens/s"),
            TimeElapsedColumn(),
            TextColumn("left:"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self._console,
        )
        self._tokens, self._seconds, self._dropped, self._running = 0, 0.0, 0, 0

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)

    def start(self, target: int) -> None:
        self._task = self._bar.add_task("generating", total=target, dropped=0, running=0, speed="-")
        self._bar.start()

    def completions(self, count: int) -> None:
        self._running += count
        self._bar.update(self._task, running=self._running)

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None:
        self._tokens, self._seconds = self._tokens + tokens, self._seconds + seconds
        self._dropped, self._running = self._dropped + dropped, 0
        speed = f"{self._tokens / self._seconds:,.0f}" if self._seconds else "-"
        self._bar.update(self._task, advance=kept, dropped=self._dropped, running=0, speed=speed)

    def stop(self) -> None:
        self._bar.stop()


class PlainProgress:
    """A line at most every `every_s` seconds, for logs and pipes."""

    def __init__(self, every_s: float = 10.0) -> None:
        self._every_s = every_s
        self._last = 0.0
        self._kept = self._dropped = self._tokens = self._target = 0
        self._seconds = 0.0

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def start(self, target: int) -> None:
        self._target = target

    def completions(self, count: int) -> None:
        pass

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None:
        self._kept, self._dropped = self._kept + kept, self._dropped + dropped
        self._tokens, self._seconds = self._tokens + tokens, self._seconds + seconds
        now = time.monotonic()
        if now - self._last < self._every_s and self._kept < self._target:
            return
        self._last = now
        speed = f"{self._tokens / self._seconds:,.0f} tokens/s" if self._seconds else "from disk"
        rate = self._kept / self._seconds if self._seconds else 0
        left = f", about {(self._target - self._kept) / rate:.0f} s left" if rate and self._kept < self._target else ""
        click.echo(f"kept {self._kept}/{self._target}, dropped {self._dropped}, {speed}{left}", err=True)

    def stop(self) -> None:
        pass


def make_progress() -> TerminalProgress | PlainProgress:
    return TerminalProgress() if sys.stderr.isatty() else PlainProgress()
