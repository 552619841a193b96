"""The 2-D map of a measurement: its dots in groups for `scatter`, its legend, and what it says of itself. Places nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from statistics import median
from typing import Any

from variegate.report.measured import finite, items, mapping, whole, words
from variegate.report.scatter import Dots, Name, scatter

MOST_COLOURS = 10
_MOST_DOTS = 2_500  # of a set; of more every second, third, ... is drawn
_LAYERS = 8  # the sets take turns in being drawn, so that neither hides the other
_FARTHEST = 1e12  # a coordinate beyond it is damage
_METHODS = {"pca": "principal components", "tsne": "t-SNE"}


def dot_map(measurement: Mapping[str, Any]) -> dict[str, Any] | None:
    """None where there is nothing to draw."""
    data = mapping(measurement.get("map"))
    dots = {side: _dots(data.get(side)) for side in ("set", "reference")}
    if not any(dots.values()):
        return None
    labels = [words(label) for label in items(data.get("labels"))]
    coloured = 1 < len(labels) <= MOST_COLOURS and any(0 <= label < len(labels) for side in dots.values() for _, _, label in side)
    groups = []
    for layer, (side, points) in product(range(_LAYERS), dots.items()):
        for place in range(-1, len(labels) if coloured else 0):
            own = [(x, y) for x, y, label in points[layer::_LAYERS] if (label if coloured and 0 <= label < len(labels) else -1) == place]
            if own:
                title, kind = (f"{side}: {labels[place]}", f"m-{place}") if place >= 0 else (side, f"m-{side}")
                groups.append(Dots(title, f"dots {side} {kind}", own))
    method = words(data.get("method"))
    shown = {side: {"drawn": len(points), "of": whole(mapping(measurement.get(side)).get("n"))} for side, points in dots.items() if points}
    return {
        "plot": scatter("Map of the records", groups, _names(dots, labels) if coloured else ()),
        "method": _METHODS.get(method, method or "an unnamed method"),
        "explained": [share for share in map(finite, items(data.get("explained"))) if share is not None][:2],
        "shown": shown,
        "labels": labels if coloured else [],
        "num_labels": len(labels),
    }


def _dots(side: Any) -> list[tuple[float, float, int]]:
    """(x, y, index of the label or -1)"""
    data = mapping(side)
    labels = items(data.get("label"))
    found = []
    for place, pair in enumerate(zip(items(data.get("x")), items(data.get("y")), strict=False)):
        x, y = map(finite, pair)
        if x is not None and y is not None and max(abs(x), abs(y)) < _FARTHEST:
            label = whole(labels[place]) if place < len(labels) else None
            found.append((x, y, -1 if label is None else label))
    return found[:: max(1, -(-len(found) // _MOST_DOTS))]


def _names(dots: Mapping[str, list[tuple[float, float, int]]], labels: list[str]) -> list[Name]:
    """Each label's name amid its dots: those of the set, or of the reference where the set has none."""
    names = []
    for place, label in enumerate(labels):
        for side in dots.values():
            own = [(x, y) for x, y, index in side if index == place]
            if own:
                names.append(Name(label, median(x for x, _ in own), median(y for _, y in own)))
                break
    return names
