"""A study as tables in the terminal. Computes nothing; study.json says everything."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

_MEASURES = (
    ("student_accuracy", "student accuracy"),
    ("label_accuracy", "label accuracy"),
    ("remote_clique", "Remote-Clique"),
    ("chamfer", "Chamfer"),
    ("distinct_2", "distinct-2"),
    ("top_5", "top-5 similarity"),
)
_EFFECTS = ("student_accuracy", "label_accuracy", "remote_clique", "top_5")


def print_study(study: Mapping[str, Any]) -> None:
    console = _console()
    axes = [axis for axis, options in study["axes"].items() if len(options) > 1] or list(study["axes"])
    _print_summary(console, study, axes)
    _print_references(console, study)
    _print_effects(console, study)
    _print_regression(console, study)
    best = study["best"]
    if best is not None:
        console.print(f"Best recipe: {_options(best['axes'])}: {best['reason']}.")
        for command in best["commands"]:
            console.print(f"  {command}")
    for warning in study["warnings"]:
        console.print(f"note: {_visible(warning)}", style="yellow")


def print_cells(name: str, output: str, rows: Sequence[Mapping[str, Any]], size: Mapping[str, Any], notes: Sequence[str]) -> None:
    """What `--dry-run` shows. size, notes: see `sizes.expected_size`."""
    from rich.table import Table

    console = _console()
    runs = {row["folder"]: row["run"] for row in rows}
    there = sum(state == "generated" for state in runs.values())
    table = Table(title=f"Study {name}: {len(rows)} cells, {len(runs)} runs to generate, {there} of them there, in {output}", title_justify="left")  # fmt: skip
    axes = list(rows[0]["axes"])
    for column in (*axes, "replicate", "seed", "run", "curated", "scored", "texts, at most"):
        table.add_column(column, overflow="fold")
    for row in rows:
        curated = "" if row["curated"] is None else "there" if row["curated"] else "new"
        options = [row["axes"][axis] for axis in axes]
        scored = "there" if row["scored"] else "new"
        table.add_row(*options, str(row["replicate"]), str(row["seed"]), row["run"], curated, scored, f"{row['texts']:,}")
    console.print(table)
    console.print("What is there is used again as far as its configuration, its texts and the real data are unchanged.")
    most = "" if size["rule"] == "as asked" else "at most "
    console.print(f"Cells will be compared on {most}{size['n']:,} texts each, {size['rule']}.")
    for note in notes:
        console.print(f"note: {_visible(note)}", style="yellow")


def _print_summary(console: Any, study: Mapping[str, Any], axes: Sequence[str]) -> None:
    from rich.table import Table

    size = study["train_size"]
    title = f"Study {study['name']}: means over replicates with 95 % intervals, on {size['n']:,} texts each, {size['rule']}"
    table = Table(title=title, title_justify="left")
    for axis in axes:
        table.add_column(axis, overflow="fold")
    shown = [(name, title) for name, title in _MEASURES if any(name in group["measures"] for group in study["summary"])]
    for _, title in shown:
        table.add_column(title, justify="right", overflow="fold")
    for column in ("tokens", "seconds", "front"):
        table.add_column(column, justify="right", overflow="fold")
    for place, group in enumerate(study["summary"]):
        measures = group["measures"]
        values = [_mean(measures.get(name)) for name, _ in shown]
        seconds = sum(measures[name]["mean"] for name in ("generate_seconds", "curate_seconds") if name in measures)
        tokens = measures.get("generated_tokens")
        cost = ["" if tokens is None else f"{tokens['mean']:,.0f}", f"{seconds:,.1f}" if measures else f"{group['failed']} failed"]
        table.add_row(*(group["axes"][axis] for axis in axes), *values, *cost, "*" if place in study["pareto"] else "")
    console.print(table)


def _print_references(console: Any, study: Mapping[str, Any]) -> None:
    real, oracle = study["real"], study["oracle"]["test"]
    if real is not None:
        equal = real.get("at_equal_n")
        beside = f"; on {equal['n']:,} of them {_share(equal['accuracy'])}" if equal else ""
        console.print(f"The same student trained on all {real['n']:,} real texts: accuracy {_share(real['accuracy'])}{beside}.")
    similar = study["real_similarity"]
    if similar is not None:
        known = (("top_5", "top-5 similarity"), ("coverage", "coverage"))
        said = ", ".join(f"{name} {similar[each]:.3f}" for each, name in known if similar[each] is not None)
        console.print(f"{similar['n']:,} real texts against {similar['m']:,} other real ones: {said}.")
    bars = study["bars"]
    if bars:
        names = {
            name: f"the same student on the {bar['n']:,} real examples" if "n_test" in bar else "the majority class"
            for name, bar in bars.items()
        }
        found = ", ".join(f"{names[name]} {_share(bar['accuracy'])}" for name, bar in bars.items())
        console.print(f"Accuracy without generated texts: {found}.")
    if oracle is not None:
        name = "Oracle" if study["oracle"]["doubt"] is None else "In place of an oracle"
        console.print(
            f"{name} ({study['oracle']['config']['kind']}, {oracle['n_train']:,} real texts): accuracy {_share(oracle['accuracy'])}."
        )


def _print_effects(console: Any, study: Mapping[str, Any]) -> None:
    from rich.table import Table

    rows: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for effect in study["effects"]:
        if effect["measure"] in _EFFECTS:
            rows.setdefault((effect["axis"], effect["from"], effect["to"]), {})[effect["measure"]] = effect
    if not rows:
        return
    table = Table(title="What each option changed: paired differences with 95 % intervals", title_justify="left")
    table.add_column("axis", overflow="fold")
    table.add_column("options", overflow="fold")
    names = [name for name in _EFFECTS if any(name in each for each in rows.values())]
    for name in names:
        table.add_column(dict(_MEASURES)[name], justify="right", overflow="fold")
    table.add_column("pairs", justify="right")
    for (axis, first, second), each in rows.items():
        count = str(max(effect["n"] for effect in each.values()))
        table.add_row(axis, f"{first} -> {second}", *(_difference(each.get(name)) for name in names), count)
    console.print(table)


def _print_regression(console: Any, study: Mapping[str, Any]) -> None:
    from rich.table import Table

    found = study["regression"]
    if found is None:
        return
    table = Table(title=f"Student accuracy by least squares over {found['n']} cells, R2 = {found['r2']:.3f}", title_justify="left")
    for column in ("term", "coefficient", "95 % interval", "standardised", "p"):
        table.add_column(column, justify="left" if column == "term" else "right")
    for term in found["terms"]:
        standard = "" if term["standardised"] is None else f"{term['standardised']:+.3f}"
        interval = f"{term['low']:+.3f} to {term['high']:+.3f}"
        table.add_row(term["name"], f"{term['coefficient']:+.3f}", interval, standard, f"{term['p']:.3g}")
    console.print(table)
    for warning in found["warnings"]:
        console.print(f"note: {warning}", style="yellow")


def _console() -> Any:
    from rich.console import Console

    # Names are never markup, and a pipe gets whole lines.
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 1_000_000)


def _mean(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return f"{value['mean']:.3f}" + (f" [{value['low']:.3f}, {value['high']:.3f}]" if value["low"] is not None else "")


def _difference(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return f"{value['difference']:+.3f}" + (f" [{value['low']:+.3f}, {value['high']:+.3f}]" if value["low"] is not None else "")


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _options(axes: Mapping[str, str]) -> str:
    return ", ".join(f"{axis} {option}" for axis, option in axes.items()) or "the run itself"


def _visible(text: str) -> str:
    from variegate.report.visible import visible

    return visible(text)
