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
    """wide: for a pipe, where lines are not folded. In a narrow terminal cells are folded, never cut: their ends tell them apart."""
    from rich.console import Console

    from variegate.report.visible import visible

    # Texts are never markup, and a pipe gets whole lines.
    console = Console(highlight=False, markup=False, emoji=False, width=1_000_000 if wide else None)
    for name in ("set", "reference"):
        if (source := measurement[name]) is not None:
            labels = f", {len(source['labels'])} labels" if source["labels"] else ""
            console.print(f"{name}: {visible(source['source'])}: {source['n']:,} records{labels}, {source['num_unique']:,} distinct")
    encoder = measurement["encoder"]
    console.print(f"encoder: {visible(encoder['name'])}, {encoder['width']} dimensions, {encoder.get('precision', 'as given')}")
    _print_pooled(console, measurement)
    _print_beside_real(console, measurement["real_against_real"])
    _print_labels(console, measurement)
    _print_pairs(console, measurement)
    for warning in measurement["warnings"]:
        console.print(f"note: {visible(warning)}", style="yellow")


def _print_pooled(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table(title="Whole sets", title_justify="left")
    for column in ("measure", "set", "reference", "set against reference"):
        table.add_column(column, justify="left" if column == "measure" else "right", overflow="fold")
    table.add_column("how", overflow="fold")
    rows: dict[str, dict[str, Mapping[str, Any]]] = {}
    for side in ("set", "reference", "pair"):
        for value in measurement["pooled"][side]:
            rows.setdefault(title(value), {})[side] = value
    order = list(dict.fromkeys(name.split(" (")[0] for name in rows))
    for name in sorted(rows, key=lambda name: order.index(name.split(" (")[0])):  # a value at equal size beside that of the whole set
        sides = rows[name]
        table.add_row(name, *(shown(sides.get(side)) for side in ("set", "reference", "pair")), how(list(sides.values())))
    console.print(table)


def _print_beside_real(console: Any, found: Mapping[str, Any] | None) -> None:
    from rich.table import Table

    if found is None:
        return
    console.print(  # no title, which would be folded to the width of the table
        f"Beside real texts: {found['n']:,} texts of the set, and as many of the reference, against the same {found['m']:,} others of it"
    )
    table = Table()
    for column in ("measure", "set", "real texts"):
        table.add_column(column, justify="left" if column == "measure" else "right", overflow="fold")
    for row in found["values"]:
        table.add_row(title(row["set"]), shown(row["set"]), shown(row["real"]))
    console.print(table)


def _print_labels(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    labels = measurement["labels"]
    if len(labels) < 2:
        return
    values = {label: {(value["metric"], side): value for side in sides for value in sides[side]} for label, sides in labels.items()}
    shown_metrics = [(metric, side) for metric, side in _LABEL_COLUMNS if any((metric, side) in each for each in values.values())]
    if not shown_metrics:
        return
    table = Table(title=f"By label{', at equal size' if measurement['reference'] else ''}", title_justify="left")
    table.add_column("label", overflow="fold")
    for metric, side in shown_metrics:
        table.add_column(metric if side == "pair" else f"{metric} {side}", justify="right", overflow="fold")
    for label in list(labels)[:_LABELS_SHOWN]:
        table.add_row(one_line(label), *(shown(values[label].get(column)) for column in shown_metrics))
    console.print(table)
    if len(labels) > _LABELS_SHOWN:
        console.print(f"{len(labels) - _LABELS_SHOWN} more labels: see --json or the report", style="dim")


def _print_pairs(console: Any, measurement: Mapping[str, Any]) -> None:
    from rich.table import Table

    if not measurement["nearest_pairs"]:
        return
    table = Table(title="Nearest to the reference", title_justify="left")
    for column in ("cosine", "kind", "text", "reference"):
        table.add_column(column, overflow="fold")
    for pair in measurement["nearest_pairs"][:_PAIRS_SHOWN]:
        table.add_row(f"{pair['similarity']:.3f}", pair["kind"], one_line(pair["text"]), one_line(pair["reference_text"]))
    console.print(table)


def one_line(text: str) -> str:
    """The text as shown in a cell: line ends as their picture, so that a record stays one row."""
    from variegate.report.visible import visible

    return visible(text).replace("\n", "\u240a")


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
    if value["interval"] is not None:
        low, high = value["interval"]
        return f"{number(value['value'])} [{number(low)}, {number(high)}]"
    return number(value["value"])


def number(value: float) -> str:
    """Four decimals, or four digits where those would say nothing (distances of long vectors, or of short ones)."""
    if value == int(value) and abs(value) >= 2:  # a count
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 0.001 or value == 0 else f"{value:.3e}"


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
