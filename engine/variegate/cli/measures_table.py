"""A measurement as tables in the terminal. Computes nothing; the measurement says everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_PAIRS_SHOWN = 5
_LABELS_SHOWN = 20
_LABEL_COLUMNS = (
    ("remote_clique", "set"),
    ("remote_clique", "reference"),
    ("chamfer", "set"),
    ("chamfer", "reference"),
    ("top_k_similarity", "pair"),
)


def print_measurement(measurement: Mapping[str, Any], *, wide: bool) -> None:
    """wide: for a pipe, where lines are not folded."""
    from rich.console import Console

    from variegate.report.visible import visible

    console = Console(highlight=False, width=200 if wide else None)
    for name in ("set", "reference"):
        if (source := measurement[name]) is not None:
            labels = f", {len(source['labels'])} labels" if source["labels"] else ""
            line = f"{name}: {visible(source['source'])}: {source['n']:,} records{labels}, {source['num_unique']:,} distinct"
            console.print(line, markup=False)
    encoder = measurement["encoder"]
    console.print(f"encoder: {encoder['name']}, {encoder['width']} dimensions, {encoder.get('precision', 'as given')}", markup=False)
    _print_pooled(console, measurement)
    _print_labels(console, measurement)
    _print_pairs(console, measurement)
    for warning in measurement["warnings"]:
        console.print(f"note: {visible(warning)}", markup=False, style="yellow")


def _print_pooled(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Whole sets", title_justify="left")
    for column in ("measure", "set", "reference", "set against reference"):
        table.add_column(column, justify="left" if column == "measure" else "right")
    table.add_column("how")
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for side in ("set", "reference", "pair"):
        for value in measurement["pooled"][side]:
            rows.setdefault(title(value), {})[side] = value
    order = list(dict.fromkeys(name.split(" (")[0] for name in rows))
    for name in sorted(rows, key=lambda name: order.index(name.split(" (")[0])):  # a value at equal size beside that of the whole set
        sides = rows[name]
        table.add_row(name, *(shown(sides.get(side)) for side in ("set", "reference", "pair")), how(list(sides.values())))
    console.print(table)


def _print_labels(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    from variegate.report.visible import visible

    labels = measurement["labels"]
    if len(labels) < 2:
        return
    values = {label: {(value["metric"], side): value for side in sides for value in sides[side]} for label, sides in labels.items()}
    shown_metrics = [(metric, side) for metric, side in _LABEL_COLUMNS if any((metric, side) in each for each in values.values())]
    table = Table(title=f"By label{', at equal size' if measurement['reference'] else ''}", title_justify="left")
    table.add_column("label")
    for metric, side in shown_metrics:
        table.add_column(metric if side == "pair" else f"{metric} {side}", justify="right")
    for label in list(labels)[:_LABELS_SHOWN]:
        table.add_row(visible(label), *(shown(values[label].get(column)) for column in shown_metrics))
    console.print(table)
    if len(labels) > _LABELS_SHOWN:
        console.print(f"{len(labels) - _LABELS_SHOWN} more labels: see --json or the report", style="dim")


def _print_pairs(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    from variegate.report.visible import visible

    if not measurement["nearest_pairs"]:
        return
    table = Table(title="Nearest to the reference", title_justify="left")
    for column in ("cosine", "kind", "text", "reference"):
        table.add_column(column)
    for pair in measurement["nearest_pairs"][:_PAIRS_SHOWN]:
        table.add_row(f"{pair['similarity']:.3f}", pair["kind"], visible(pair["text"]), visible(pair["reference_text"]))
    console.print(table)


def title(value: Mapping[str, Any]) -> str:
    """The measure with what tells it from its likes: `vendi_score (q = 2)`, `chamfer (equal size)`."""
    details = value["details"]
    about = []
    if value["metric"] == "vendi_score":
        about.append(f"q = {details['q']:g}" if isinstance(details["q"], int | float) else f"q = {details['q']}")
    if value["k"] is not None:
        about.append(f"k = {value['k']}")
    if "drawn_from" in details:
        about.append("equal size")
    return value["metric"] + (f" ({', '.join(about)})" if about else "")


def shown(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    number = f"{value['value']:,.0f}" if abs(value["value"]) >= 1000 else f"{value['value']:.4f}"
    if value["interval"] is not None:
        return f"{number} [{value['interval'][0]:.4f}, {value['interval'][1]:.4f}]"
    return number


def how(values: Sequence[Mapping[str, Any]]) -> str:
    """Distance, self rule and implementation of values of one measure."""
    first = values[0]
    parts = [first["distance"], " / ".join(dict.fromkeys(value["implementation"] for value in values))]
    if first["include_self"]:
        parts.append("self counted")
    for name in ("radius", "threshold"):
        if name in first["details"]:
            parts.append(f"{name} {first['details'][name]:.3g}")
    return ", ".join(part for part in parts if part)
