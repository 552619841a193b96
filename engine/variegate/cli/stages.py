"""Progress of a job in named stages, on stderr: one live line on a terminal, nothing elsewhere."""

from __future__ import annotations

import sys

import click


class TerminalStages:
    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}", markup=False),  # it may hold a file name
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("starting", total=None)
        self._bar.start()

    def update(self, stage: str, done: int, whole: int) -> None:
        from variegate.report.visible import visible

        self._bar.update(self._task, description=visible(stage), completed=done, total=whole)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._bar.console.print(text, markup=False, highlight=False)

    def stop(self) -> None:
        self._bar.stop()


class SilentStages:
    def update(self, stage: str, done: int, whole: int) -> None:
        """Shows nothing: a log wants the result, not the way."""

    def note(self, text: str) -> None:
        click.echo(text, err=True)

    def stop(self) -> None:
        """Nothing was started."""


def make_stages() -> TerminalStages | SilentStages:
    return TerminalStages() if sys.stderr.isatty() else SilentStages()
