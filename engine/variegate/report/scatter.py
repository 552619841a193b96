"""A map of dots as inline SVG: points in groups, one scale for both axes, some names in place. Pure; every string is escaped.

As in `svg`, colours and sizes come from the page's style sheet by class. Knows nothing of sets or measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from variegate.report.svg import WIDTH, clip

_PAD = 14
_LEAST, _MOST = 240, 620  # height
_MANY = 1500  # dots, from which on they are smaller
_NAME_HEIGHT, _LETTER = 17, 7.4  # pixels, of the names


@dataclass(frozen=True, slots=True)
class Dots:
    """Points drawn alike. title: what a pointer that rests on one is told."""

    title: str
    kind: str  # class
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Name:
    text: str
    x: float
    y: float


def scatter(title: str, groups: Sequence[Dots], names: Sequence[Name] = (), *, width: int = WIDTH) -> str:
    """Groups in drawing order, so that later ones lie above; names above all, moved down where they would overlap.

    Both axes have the same scale, since distances are what a map is read for. No points: an empty frame.
    """
    points = [point for group in groups for point in group.points] or [(0.0, 0.0)]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    across, down = max(xs) - min(xs), max(ys) - min(ys)
    room, most = width - 2 * _PAD, _MOST - 2 * _PAD
    least = max(1e-9 * max(map(abs, (*xs, *ys))), 1e-100)  # a spread below it is rounding
    scale = min(room / max(across, least), most / max(down, least))
    height = min(max(down * scale + 2 * _PAD, _LEAST), _MOST)
    middle = (min(xs) + across / 2, min(ys) + down / 2)

    def place(x: float, y: float) -> tuple[float, float]:
        return width / 2 + (x - middle[0]) * scale, height / 2 - (y - middle[1]) * scale

    radius = 3 if len(points) <= _MANY else 2.4
    body = [f'<rect class="frame" x="0.5" y="0.5" width="{width - 1}" height="{height - 1:.1f}"/>']
    for group in groups:
        dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>' for x, y in (place(*point) for point in group.points))
        body.append(f'<g class="{escape(group.kind)}"><title>{escape(group.title)}</title>{dots}</g>')
    body += _written_names(names, [place(name.x, name.y) for name in names], width, height)
    return (
        f'<svg class="plot map" role="img" viewBox="0 0 {width:g} {height:.1f}" width="{width:g}" height="{height:.1f}"'
        f' preserveAspectRatio="xMinYMin meet"><title>{escape(title)}</title>{"".join(body)}</svg>'
    )


def _written_names(names: Sequence[Name], places: Sequence[tuple[float, float]], width: float, height: float) -> list[str]:
    taken: list[tuple[float, float, float]] = []  # (x, y, half width) of those written
    drawn = []
    for name, (x, y) in sorted(zip(names, places, strict=True), key=lambda each: (each[1][1], each[1][0])):
        shown = clip(name.text, 28)
        half = len(shown) * _LETTER / 2
        x = min(max(x, half + 4), width - half - 4)
        y = max(y, _NAME_HEIGHT)
        for other_x, other_y, other_half in taken:  # from the top down
            if abs(x - other_x) < half + other_half and abs(y - other_y) < _NAME_HEIGHT:
                y = other_y + _NAME_HEIGHT
        taken.append((x, y, half))
        drawn.append(f'<text class="name" x="{x:.1f}" y="{min(y, height - 5):.1f}" text-anchor="middle">{escape(shown)}</text>')
    return drawn
