"""`variegate show`: records by label in the terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from variegate.cli.show_rows import Rows
    from variegate.store.run_folder import RunFolder

_ANY = "any"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--label", "-l", "labels", multiple=True, help="Only this label; may be given more than once.")
@click.option(
    "-n", "number", type=click.IntRange(min=1), default=3, show_default=True, help="Texts of each label (of each reason with --dropped)."
)
@click.option(
    "--dropped",
    is_flag=False,
    flag_value=_ANY,
    metavar="[REASON]",
    help="Show dropped texts instead, by reason; all reasons when none is named (then give it after FOLDER).",
)
@click.option("--curation", metavar="NAME", help="What this curation of the run keeps, by final label; with --dropped what it drops.")
@click.option("--seed", type=int, help="Pick at random by this seed. Without it, texts are picked at even distances from first to last.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(
    folder: Path, labels: tuple[str, ...], number: int, dropped: str | None, curation: str | None, seed: int | None, as_json: bool
) -> None:
    """Show texts of the run in FOLDER, by label.

    With --curation a text whose label changed shows both, and what the stages said of it.

    Control characters in a text are shown as pictures, so that nothing a model wrote can steer the terminal.
    """
    from variegate.cli.show_rows import CuratedRows, GeneratedRows
    from variegate.store.run_folder import RunFolder
    from variegate.store.verdicts import open_curation

    run = RunFolder.existing(folder)
    source = GeneratedRows(run) if curation is None else CuratedRows(open_curation(run, curation))
    _check(run, labels, dropped, source)
    groups = _pick(source, labels, number, dropped, seed)
    if as_json:
        for _, rows in groups.values():
            for row in rows:
                click.echo(source.as_json(row, dropped is not None).decode())
    else:
        _print(groups, source, dropped)


def _check(run: RunFolder, labels: tuple[str, ...], dropped: str | None, source: Rows) -> None:
    from variegate.errors import UsageError, nearest, some_of
    from variegate.store.settings import labels_of, read_settings

    known = labels_of(read_settings(run))
    for label in labels:
        if label not in known:
            raise UsageError(f"--label {label!r}: the task has no such label{nearest(label, known)} Its labels: {some_of(known, 20)}")
    if dropped not in (None, _ANY, *source.reasons):
        raise UsageError(
            f"--dropped {dropped!r}: no such reason{nearest(str(dropped), source.reasons)} Reasons: {', '.join(source.reasons)}"
        )


def _wanted(source: Rows, labels: tuple[str, ...], dropped: str | None) -> Iterator[tuple[str, Any]]:
    """(group, row) of the rows asked for: grouped by label, dropped ones by reason."""
    for label, reason, row in source.rows(dropped is not None):
        if (not labels or label in labels) and (dropped in (None, _ANY) or reason == dropped):
            yield (label if dropped is None else reason), row


def _pick(source: Rows, labels: tuple[str, ...], number: int, dropped: str | None, seed: int | None) -> dict[str, tuple[int, list[Any]]]:
    """group -> (how many there are, `number` of them in order). Reads the rows twice rather than hold all texts."""
    from variegate.seeding import derive_rng

    totals = Counter(group for group, _ in _wanted(source, labels, dropped))
    chosen: dict[str, set[int]] = {}
    for group, total in totals.items():
        size = min(number, total)
        if seed is None:
            chosen[group] = {round(index * (total - 1) / (size - 1)) for index in range(size)} if size > 1 else {0}
        else:
            chosen[group] = set(derive_rng(seed, "show", group).sample(range(total), size))
    groups: dict[str, tuple[int, list[Any]]] = {group: (totals[group], []) for group in sorted(totals)}
    positions: Counter[str] = Counter()
    for group, row in _wanted(source, labels, dropped):
        if positions[group] in chosen.get(group, ()):  # a running process may have added a round in between
            groups[group][1].append(row)
        positions[group] += 1
    return groups


def _print(groups: Mapping[str, tuple[int, list[Any]]], source: Rows, dropped: str | None) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from variegate.report.visible import visible

    # Texts go in as Text, never as markup. A pipe gets whole lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1_000_000)
    if not groups:
        click.echo("Nothing to show: no such text in the rounds.", err=True)
    for group, (total, rows) in groups.items():
        about = f"{total} dropped: {source.reasons.get(group, 'an unknown reason')}" if dropped is not None else f"{total} kept"
        console.print(Text.assemble((visible(group), "bold cyan"), "  ", (about, "dim")))
        for row in rows:
            label, text, facts = source.shown(row, dropped is not None)
            shown = Text(visible(text) or "(nothing)")
            if label:
                shown = Text.assemble((f"{visible(label)}: ", "cyan"), shown)
            shown.append(f"  {visible(facts)}", style="dim")
            console.print(Padding(shown, (0, 0, 0, 2), expand=False))
        console.print()
