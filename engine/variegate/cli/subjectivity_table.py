"""A measurement of subjectivity as tables in the terminal. Computes nothing; the measurement says everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from variegate.cli.measures_table import one_line

_CONTESTED_SHOWN = 5


def print_subjectivity(measurement: Mapping[str, Any], *, wide: bool) -> None:
    """wide: for a pipe, where lines are not folded."""
    from rich.console import Console

    from variegate.report.visible import visible

    # Texts are never markup, and a pipe gets whole lines.
    console = Console(highlight=False, markup=False, emoji=False, width=1_000_000 if wide else None)
    if measurement["instances"] is not None:
        _print_instances(console, measurement["instances"])
    if measurement["sweep"] is not None:
        _print_sweep(console, measurement["sweep"])
    if measurement["instances"] is not None:
        _print_contested(console, measurement["instances"])
    if measurement["tasks"] is not None:
        _print_tasks(console, measurement["tasks"])
    if (answer := measurement["answer"]) is not None:
        console.print(f"\n{answer['headline']}", style="bold")
        for sign in answer["signs"]:
            console.print(f"- {_WAYS[sign['points_to']]}: {visible(sign['says'])}")
        for each in answer["unknown"]:
            console.print(f"- not known: {visible(each)}")
    for warning in measurement["warnings"]:
        console.print(f"note: {visible(warning)}", style="yellow")


_WAYS = {"higher": "higher risk", "lower": "lower risk", "neither": "neither way"}


def _print_instances(console: Any, found: Mapping[str, Any]) -> None:
    from variegate.report.visible import visible

    source, agreement = found["source"], found["agreement"]
    by = (
        f"{source['votes']} votes of {source['model']} at temperature {source['temperature']:g}"
        if source["kind"] == "model"
        else "annotators"
    )
    per_item = (
        ", ".join(f"{n:,} with {k}" for k, n in found["labels_per_item"].items()) if len(found["labels_per_item"]) <= 6 else "various"
    )
    console.print(f"{visible(source['name'])}: {found['n']:,} items, labelled by {visible(by)} (items by their labels: {per_item})")
    console.print(
        f"agreement: {_interval(agreement['mean'], agreement['low'], agreement['high'])} on average, {agreement['chance']:.3f} by chance;"
        f" unanimous {100 * agreement['unanimous']:.1f} %; {agreement['tied']:,} items without a majority"
    )
    alpha, kappa, right = found["alpha"], found["kappa"], found["majority_right"]
    if right:
        console.print(
            f"the majority's label is the true one on {_interval(right['value'], right['low'], right['high'])} of {right['n']:,} items"
        )
    said = [f"Krippendorff's alpha {_interval(alpha['value'], alpha['low'], alpha['high'])}"] if alpha else []
    said += [f"Fleiss' kappa {kappa:.3f}"] if kappa is not None else []
    if said:
        console.print(", ".join(said))


def _print_sweep(console: Any, sweep: Mapping[str, Any]) -> None:
    from rich.table import Table

    names = list(sweep["slopes"])
    pairs = [(each["first"], each["second"]) for each in sweep["points"][0]["differences"]]
    table = Table(title="Accuracy on items with agreement >= gamma, with 95 % intervals", title_justify="left")
    for column in ("gamma", "n", *map(one_line, names), *(one_line(f"{a} less {b}") for a, b in pairs)):
        table.add_column(column, justify="right", overflow="fold")
    for point in sweep["points"]:
        cells = [_interval(each["value"], each["low"], each["high"]) for name in names if (each := point["accuracy"].get(name))]
        cells += [_interval(each["value"], each["low"], each["high"], sign="+") for each in point["differences"]]
        table.add_row(f"{point['gamma']:.3f}", f"{point['n']:,}", *(cells or ["–"] * (len(names) + len(pairs))))
    console.print(table)


def _print_contested(console: Any, found: Mapping[str, Any]) -> None:
    from rich.table import Table

    if not found["contested"]:
        return
    table = Table(title="Least agreed on", title_justify="left")
    for column in ("share", "labels", "item"):
        table.add_column(column, overflow="fold")
    for each in found["contested"][:_CONTESTED_SHOWN]:
        labels = ", ".join(f"{one_line(label)} {n}" for label, n in each["labels"].items())
        table.add_row(f"{each['share']:.3f}", labels, one_line(each["text"] or each["id"]))
    console.print(table)


def _print_tasks(console: Any, tasks: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(
        title=f"Tasks, the most objective first ({tasks['num_votes']:,} votes, Bradley-Terry, 95 % intervals)", title_justify="left"
    )
    for column in ("rank", "task", "strength", "won", "lost", "above the next"):
        table.add_column(column, justify="left" if column == "task" else "right", overflow="fold")
    for place, each in enumerate(tasks["ranking"]):
        rank = f"{each['rank']} [{each['rank_low']}, {each['rank_high']}]"
        above = f"{100 * tasks['above'][place][place + 1]:.0f} %" if place + 1 < len(tasks["ranking"]) else ""
        strength = _interval(each["strength"], each["low"], each["high"], sign="+")
        table.add_row(rank, one_line(each["task"]), strength, f"{each['wins']:,}", f"{each['losses']:,}", above)
    console.print(table)
    bias = tasks["source"].get("position_bias")
    if bias:
        console.print(
            f"the judge gives the letter A a probability of {bias['p_a']:.2f} on average, and contradicts itself when the order is turned in"
            f" {100 * bias['contradictions']:.0f} % of the comparisons"
        )


def _interval(value: float, low: float | None, high: float | None, *, sign: str = "") -> str:
    written = f"{value:{sign}.3f}"
    return written if low is None or high is None else f"{written} [{low:{sign}.3f}, {high:{sign}.3f}]"
