"""`variegate preview RUN.yaml`: a few texts of a run, before it is made."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from variegate.cli.generate import read_run, run_file_argument, seed_option, set_option

if TYPE_CHECKING:
    from variegate.config import RunConfig
    from variegate.store.rows import Row

_ANSWER = 500  # characters that are shown of one that was dropped


@click.command()
@run_file_argument
@set_option
@seed_option
@click.option("-n", "number", type=click.IntRange(min=1), default=5, show_default=True, help="Texts to show.")
def command(run_file: Path, overrides: tuple[str, ...], seed: int | None, number: int) -> None:
    """Generate a few texts as RUN.yaml says, and show them with what was dropped and why. Nothing is stored.

    They are the texts that the run itself begins with. Exits with 1 when none is kept.
    """
    from variegate.cli.progress import make_progress
    from variegate.pipeline.preview import preview

    config = read_run(run_file, overrides, None, None, seed)
    with make_progress() as progress:
        rows = preview(config, number, progress=progress)
    print_rows(config, rows)


def print_rows(config: RunConfig, rows: list[Row]) -> None:
    """Kept texts by label, then the answers that were dropped, by reason."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from variegate.kinds import kind_of
    from variegate.records import KEPT, NOTE
    from variegate.report.visible import visible
    from variegate.store.ledger import meaning

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1_000_000)
    kind = kind_of(config.task)
    groups: dict[str, list[tuple[str, str]]] = {}
    dropped: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        name = row.request.target.name
        for item in row.items:
            if item.outcome == KEPT:
                groups.setdefault(name, []).append(("", kind.show(item.fields)))
            elif item.outcome != NOTE:
                dropped.setdefault(item.outcome, []).append((f"{name}: ", row.completion.text))
        if row.completion.error:
            dropped.setdefault(row.completion.error.kind, []).append((f"{name}: ", row.completion.error.message))

    def show(title: Text, texts: list[tuple[str, str]]) -> None:
        console.print(title)
        for before, text in texts:
            shown = visible(text if len(text) <= _ANSWER or not before else f"{text[:_ANSWER]}…") or "(nothing)"
            console.print(Padding(Text.assemble((visible(before), "cyan"), shown), (0, 0, 0, 2), expand=False))
        console.print()

    for name in sorted(groups):
        show(Text(visible(name), "bold cyan"), groups[name])
    for reason, texts in dropped.items():
        show(Text.assemble((f"dropped: {reason}", "bold"), "  ", (meaning(reason), "dim")), texts)
    click.echo(f"{sum(map(len, groups.values()))} kept, {sum(map(len, dropped.values()))} dropped of {len(rows)} answers.")
