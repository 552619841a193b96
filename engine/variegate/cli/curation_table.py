"""What a curation came to, on the terminal: a table of its stages, the largest changes of label, where the files are."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

_MOST_FLIPS = 8


def print_curation(summary: Mapping[str, Any], folder: Path, report: Path) -> None:
    """Numbers to standard output, warnings to standard error."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from variegate.report.visible import visible

    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    table = Table(box=None, pad_edge=False)
    for name in ("stage", "in", "kept", "dropped", "labels changed", "unjudged", "seconds"):
        table.add_column(name, justify="left" if name in ("stage", "dropped") else "right", overflow="fold")
    for stage in summary["stages"]:
        counts = stage["counts"]
        again = " (reused)" if stage["index"] in summary["reused"] else ""
        numbers = (counts["in"], counts["kept"], _dropped(counts["dropped"]), counts["changed"], counts["unjudged"])
        table.add_row(f"{stage['index']} {stage['kind']}{again}", *map(_cell, numbers), f"{stage['seconds']:.1f}")
    console.print(table)
    click.echo(
        f"Kept {summary['kept']:,} of {summary['records']:,} records; {summary['changed']:,} have another label than they were generated for."
    )
    flips = sorted(
        ((number, given, final) for given, finals in summary["flips"].items() for final, number in finals.items()),
        key=lambda each: (-each[0], each[1:]),
    )
    for number, given, final in flips[:_MOST_FLIPS]:
        console.print(Text(f"  {number:>6,}  {visible(given)} -> {visible(final)}"))
    if len(flips) > _MOST_FLIPS:
        click.echo(f"  and {len(flips) - _MOST_FLIPS} other pairs of labels")
    _print_accuracy(summary["accuracy"])
    click.echo(f"Records: {folder / 'curated.jsonl'}")
    click.echo(f"Report:  {report}")
    for stage in summary["stages"]:
        for warning in stage["warnings"]:
            click.echo(f"note: stage {stage['index']} ({stage['kind']}): {visible(warning)}", err=True)
    for warning in summary["warnings"]:
        click.echo(f"note: {visible(warning)}", err=True)


def _cell(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _dropped(reasons: Mapping[str, int]) -> str:
    most = sorted(reasons.items(), key=lambda each: (-each[1], each[0]))
    return ", ".join(f"{number:,} {reason}" for reason, number in most) or "0"


def _print_accuracy(accuracy: Mapping[str, Any] | None) -> None:
    if accuracy is None:
        return
    shares = {name: accuracy[name]["accuracy"] for name in ("given", "given_kept", "final")}
    click.echo(
        f"Labels that {'the oracle' if accuracy['doubt'] is None else 'a student of few real texts'} gives too: {shares['given']:.1%} of all as generated; of those kept {shares['given_kept']:.1%} before and"
        f" {shares['final']:.1%} after."
    )
    if accuracy["oracle_test"] is not None:
        who = "The oracle" if accuracy["doubt"] is None else "That student"
        click.echo(f"{who} is right on {accuracy['oracle_test']['accuracy']:.1%} of the task's test data.")
    if accuracy["note"]:
        click.echo(f"note: {accuracy['note']}", err=True)
