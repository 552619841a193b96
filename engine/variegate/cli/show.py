"""`variegate show`: records by label in the terminal."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
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
@click.option("--seed", type=int, help="Pick at random by this seed. Without it, texts are picked at even distances from first to last.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(folder: Path, labels: tuple[str, ...], number: int, dropped: str | None, seed: int | None, as_json: bool) -> None:
    """Show texts of the run in FOLDER, by label.

    Control characters in a text are shown as pictures, so that nothing a model wrote can steer the terminal.
    """
    from variegate.store.run_folder import RunFolder

    run = RunFolder.existing(folder)
    _check(run, labels, dropped)
    groups = _pick(run, labels, number, dropped, seed)
    if as_json:
        _print_json(groups, dropped)
    else:
        _print(groups, dropped)


def _check(run: RunFolder, labels: tuple[str, ...], dropped: str | None) -> None:
    from variegate.errors import UsageError, nearest
    from variegate.store.ledger import REASONS
    from variegate.store.settings import labels_of, read_settings

    known = labels_of(read_settings(run))
    for label in labels:
        if label not in known:
            raise UsageError(f"--label {label!r}: the task has no such label{nearest(label, known)} Its labels: {_some(known)}")
    if dropped not in (None, _ANY, *REASONS):
        raise UsageError(f"--dropped {dropped!r}: no such reason{nearest(str(dropped), REASONS)} Reasons: {', '.join(REASONS)}")


def _some(names: list[str], most: int = 20) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _wanted(run: RunFolder, labels: tuple[str, ...], dropped: str | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(group, row) of the rows asked for: grouped by label, dropped ones by reason."""
    for row in run.rows():
        kept = row["outcome"] == "kept"
        if labels and row["label"] not in labels:
            continue
        if dropped is None and kept:
            yield row["label"], row
        elif dropped is not None and not kept and dropped in (_ANY, row["outcome"]):
            yield row["outcome"], row


def _pick(
    run: RunFolder, labels: tuple[str, ...], number: int, dropped: str | None, seed: int | None
) -> dict[str, tuple[int, list[Mapping[str, Any]]]]:
    """group -> (how many there are, `number` of them in order). Reads the rounds twice rather than hold all texts."""
    from variegate.seeding import derive_rng

    totals = Counter(group for group, _ in _wanted(run, labels, dropped))
    chosen: dict[str, set[int]] = {}
    for group, total in totals.items():
        size = min(number, total)
        if seed is None:
            chosen[group] = {round(index * (total - 1) / (size - 1)) for index in range(size)} if size > 1 else {0}
        else:
            chosen[group] = set(derive_rng(seed, "show", group).sample(range(total), size))
    groups: dict[str, tuple[int, list[Mapping[str, Any]]]] = {group: (totals[group], []) for group in sorted(totals)}
    positions: Counter[str] = Counter()
    for group, row in _wanted(run, labels, dropped):
        if positions[group] in chosen.get(group, ()):  # a running process may have added a round in between
            groups[group][1].append(row)
        positions[group] += 1
    return groups


def _print_json(groups: Mapping[str, tuple[int, list[Mapping[str, Any]]]], dropped: str | None) -> None:
    import orjson

    from variegate.store.rows import stored_record

    for _, rows in groups.values():
        for row in rows:
            if dropped is None:
                value = stored_record(row).to_json()
            else:
                value = {"id": row["key"], "label": row["label"], "reason": row["outcome"], "text": row["raw"], "error": row["error"]}
            click.echo(orjson.dumps(value).decode())


def _print(groups: Mapping[str, tuple[int, list[Mapping[str, Any]]]], dropped: str | None) -> None:
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    from variegate.report.visible import visible
    from variegate.store.ledger import REASONS

    # Texts go in as Text, never as markup. A pipe gets whole lines.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 1_000_000)
    if not groups:
        click.echo("Nothing to show: no such text in the rounds.", err=True)
    for group, (total, rows) in groups.items():
        about = f"{total} dropped: {REASONS.get(group, 'an unknown reason')}" if dropped is not None else f"{total} kept"
        console.print(Text.assemble((visible(group), "bold cyan"), "  ", (about, "dim")))
        for row in rows:
            origin = row["origin"]
            facts = f"round {origin.get('round')} · {origin.get('num_tokens')} tokens"
            text = Text(visible(row["text"] if dropped is None else row["raw"]) or "(nothing)")
            if dropped is not None:
                text = Text.assemble((f"{visible(row['label'])}: ", "cyan"), text)
                facts += f" · {visible(row['error'])}" if row["error"] else ""
            text.append(f"  {facts}", style="dim")
            console.print(Padding(text, (0, 0, 0, 2), expand=False))
        console.print()
