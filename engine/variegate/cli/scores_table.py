"""Scores of students as tables in the terminal. Computes nothing; the scores say everything."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

_CLASSES_SHOWN = 20


def print_training(scores: Mapping[str, Any], name: str) -> None:
    """The content of scores.json."""
    from variegate.report.visible import visible

    console = _console()
    train, dev, test = scores["train"], scores["dev"], scores["test"]
    console.print(f"student: {visible(name)} ({scores['config']['kind']})")
    console.print(f"training data: {visible(train['source'])}: {train['n']:,} texts, {len(train['labels'])} labels{_dropped(train)}")
    if dev is not None:
        console.print(f"dev data: {visible(dev['source'])}: {dev['n']:,} texts{_dropped(dev)}")
    console.print(f"test data: {visible(test['source'])}: {test['n']:,} texts")
    _print_seeds(console, [(f"seed {each['seed']}", each) for each in scores["seeds"]], scores["summary"])
    _print_classes(console, [each["evaluation"] for each in scores["seeds"]])
    print_worth(scores)


def print_worth(scores: Mapping[str, Any]) -> None:
    """What the set stands beside, and the verdict."""
    console = _console()
    _print_beside(console, scores["beside"])
    _print_warnings(console, scores["warnings"])
    _print_verdict(console, scores["verdict"])


def print_evaluation(found: Mapping[str, Any]) -> None:
    """What `pipeline.evaluate.evaluate_saved` found."""
    from variegate.report.visible import visible

    console = _console()
    console.print(
        f"test data: {visible(found['test']['source'])}: {found['test']['n']:,} texts{_dropped(found['test'], 'were trained on')}"
    )
    for each in found["students"]:
        console.print(f"student: {visible(each['student'])}")
        _print_seeds(console, [(visible(seed["folder"]), seed) for seed in each["seeds"]], each["summary"])
    if len(found["students"]) == 1:
        _print_classes(console, [seed["evaluation"] for seed in found["students"][0]["seeds"]])
    if (compared := found["comparison"]) is not None:
        low, high = compared["ci95"]
        console.print(
            f"{visible(compared['of'])} less {visible(compared['against'])}: accuracy {compared['difference']:+.4f} [{low:+.4f}, {high:+.4f}],"
            f" p = {compared['p']:.4f} (paired bootstrap, {compared['n']:,} texts)"
        )
    _print_warnings(console, found["warnings"])


def _console() -> Any:
    from rich.console import Console

    # Labels are never markup, and a pipe gets whole lines.
    return Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 1_000_000)


def _dropped(about: Mapping[str, Any], why: str = "stand in another set too") -> str:
    number = about["overlap_dropped"]
    return f" ({number:,} more were left out: they {why})" if number else ""


def _print_seeds(console: Any, seeds: Sequence[tuple[str, Mapping[str, Any]]], summary: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Scores on the test data", title_justify="left")
    table.add_column("student", overflow="fold")
    for column in ("accuracy", "macro-F1", "epochs", "seconds"):
        table.add_column(column, justify="right", overflow="fold")
    for name, each in seeds:
        found, facts = each["evaluation"], each["facts"]
        scores = [_share(found[score], found[f"{score}_ci95"]) for score in ("accuracy", "macro_f1")]
        table.add_row(name, *scores, str(facts.get("epochs_run", "")), str(facts.get("seconds", "")))
    if len(seeds) > 1:
        table.add_row(
            "mean ± sd", *(f"{summary[score]['mean']:.4f} ± {summary[score]['sd']:.4f}" for score in ("accuracy", "macro_f1")), "", ""
        )
    console.print(table)


def _print_beside(console: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    from variegate.cli.measures_table import one_line
    from variegate.pipeline.training.beside import EXAMPLES, MAJORITY

    if not rows:
        return
    bar, title = (EXAMPLES, "less the examples") if any(row["name"] == EXAMPLES for row in rows) else (MAJORITY, "less the majority class")
    table = Table(title="What the same student learns from", title_justify="left")
    table.add_column("training texts", overflow="fold")
    for column in ("texts", "accuracy", "macro-F1", f"accuracy {title}"):
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        name = f"none: {row['texts']}, {one_line(row['source'])}" if row["name"] == MAJORITY else row["texts"]
        scores = [_share(row[score], row[f"{score}_ci95"]) for score in ("accuracy", "macro_f1")]
        less = row["less"].get(bar)
        difference = "" if less is None else f"{less['difference']:+.4f} [{less['ci95'][0]:+.4f}, {less['ci95'][1]:+.4f}]"
        table.add_row(name, "" if row["n"] is None else f"{row['n']:,}", *scores, difference)
    console.print(table)


def _print_verdict(console: Any, verdict: Mapping[str, Any]) -> None:
    from variegate.report.visible import visible

    console.print(visible(verdict["sentence"]), style="bold")
    if verdict["held_back"]:
        console.print(visible(f"What may hold it back: {'; '.join(verdict['held_back'])}."))
    elif verdict["measured"]:
        console.print(visible(f"Measured, and not the cause: {'; '.join(verdict['measured'])}."))
    if verdict["next"] is not None:
        console.print(visible(f"Try next: {verdict['next']}."))


def _share(value: float, interval: Sequence[float]) -> str:
    return f"{value:.4f} [{interval[0]:.4f}, {interval[1]:.4f}]"


def _print_classes(console: Any, evaluations: Sequence[Mapping[str, Any]]) -> None:
    """Means over the seeds, the worst classes first."""
    from rich.table import Table

    from variegate.cli.measures_table import one_line

    count = len(evaluations)
    classes = {
        label: {name: sum(each["per_class"][label][name] for each in evaluations) / count for name in ("precision", "recall", "f1")}
        for label in evaluations[0]["per_class"]
    }
    support = {label: row["support"] for label, row in evaluations[0]["per_class"].items()}
    tested = sorted((label for label in classes if support[label]), key=lambda label: (classes[label]["f1"], label))
    table = Table(title="By label, the lowest F1 first" + (f" (means over {count} seeds)" if count > 1 else ""), title_justify="left")
    table.add_column("label", overflow="fold")
    for column in ("precision", "recall", "F1", "test texts"):
        table.add_column(column, justify="right")
    table.add_column("most often taken for", overflow="fold")
    for label in tested[:_CLASSES_SHOWN]:
        values = (f"{classes[label][name]:.4f}" for name in ("precision", "recall", "f1"))
        table.add_row(one_line(label), *values, f"{support[label]:,}", one_line(_taken_for(evaluations, label)))
    console.print(table)
    if len(tested) > _CLASSES_SHOWN:
        console.print(f"{len(tested) - _CLASSES_SHOWN} more labels: see --json", style="dim")


def _taken_for(evaluations: Sequence[Mapping[str, Any]], label: str) -> str:
    """The wrong label it got most often, and in what share of its texts."""
    labels = evaluations[0]["confusion"]["labels"]
    place = labels.index(label)
    rows = [each["confusion"]["matrix"][place] for each in evaluations]
    counts = [sum(row[column] for row in rows) for column in range(len(labels))]
    whole, counts[place] = sum(counts), 0
    most = max(counts)
    return f"{labels[counts.index(most)]} ({most / whole:.0%})" if most else ""


def _print_warnings(console: Any, warnings: Sequence[str]) -> None:
    from variegate.report.visible import visible

    for warning in warnings:
        console.print(f"note: {visible(warning)}", style="yellow")
