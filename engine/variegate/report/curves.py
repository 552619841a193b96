"""Several curves with bands over one axis, as inline SVG: accuracy over agreement. Pure; every label is escaped.

As in `svg`, colours and sizes come from the page's style sheet by class. Knows nothing of students.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from variegate.report.intervals import axis_ticks
from variegate.report.svg import WIDTH, clip, drawing, text_at

_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 22, 26, 56
_DASHES = ("", "7 4", "2 3", "9 3 2 3")
_NAMED_APART = 15  # pixels between the names at the curves' ends
_LETTER = 6.8


@dataclass(frozen=True, slots=True)
class CurvePoint:
    x: float
    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """points: x ascending. kind: class."""

    name: str
    kind: str
    points: Sequence[CurvePoint]


def curves(
    title: str,
    drawn: Sequence[Curve],
    stops: Sequence[tuple[float, str, str]],
    *,
    x_label: str,
    y_label: str,
    written: Callable[[float], str],
    zero: bool = False,
    width: int = WIDTH,
    height: int = 300,
) -> str:
    """Lines with dots, bands from low to high behind them; names stand at the right ends, and lines differ in dashes too.

    stops: places on the x axis with two lines of words below each (gamma, n); where they would overlap, some are left out.
    written: a value of the y axis in words. zero: mark y = 0, as for differences. No point: an empty frame.
    """
    points = [point for curve in drawn for point in curve.points]
    ends = [end for point in points for end in (point.value, point.low, point.high) if end is not None] + ([0.0] if zero else [])
    ticks = axis_ticks(min(ends, default=0.0), max(ends, default=1.0))
    xs = [point.x for point in points] + [x for x, _, _ in stops]
    first, last = min(xs, default=0.0), max(xs, default=1.0)
    names_width = max((len(curve.name) for curve in drawn), default=0) * _LETTER
    right = width - _RIGHT - min(names_width, width / 3)
    left, bottom = _LEFT + 14, height - _BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        return left + (right - left) * across, bottom - (bottom - _TOP) * (y - ticks[0]) / (ticks[-1] - ticks[0])

    body = [text_at(0, 12, y_label, kind="axis")]
    for tick in ticks:
        y = place(first, tick)[1]
        kind = "curve-zero" if zero and tick == 0 else "grid"
        body.append(f'<line class="{kind}" x1="{_LEFT}" x2="{right + 14:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        body.append(text_at(_LEFT - 8, y + 4, written(tick), anchor="end"))
    body += _stops(stops, place, bottom, ticks[0])
    body.append(text_at((left + right) / 2, height - 6, x_label, anchor="middle", kind="axis"))
    body += [_band(curve, place) for curve in drawn]
    body += [_line(curve, index, place, written) for index, curve in enumerate(drawn)]
    body += _names(drawn, place, right + 20, width)
    return drawing(title, width, height, "".join(body), "lines curves")


Place = Callable[[float, float], tuple[float, float]]


def _stops(stops: Sequence[tuple[float, str, str]], place: Place, bottom: float, floor: float) -> list[str]:
    """From the right, since the last stop matters most."""
    out, free = [], float("inf")
    for x, above, below in sorted(stops, reverse=True):
        across = place(x, floor)[0]
        half = max(len(above), len(below)) * _LETTER / 2 + 5
        if across + half > free:
            continue
        free = across - half
        out.append(f'<line class="grid" x1="{across:.1f}" x2="{across:.1f}" y1="{bottom:.1f}" y2="{bottom + 5:.1f}"/>')
        out.append(text_at(across, bottom + 18, above, anchor="middle"))
        out.append(text_at(across, bottom + 33, below, anchor="middle", kind="value"))
    return out


def _band(curve: Curve, place: Place) -> str:
    known = [(point.x, point.low, point.high) for point in curve.points if point.low is not None and point.high is not None]
    if not known:
        return ""
    corners = [place(x, high) for x, _, high in known] + [place(x, low) for x, low, _ in reversed(known)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    whiskers = ""
    for x, low, high in known:
        (across, top), (_, end) = place(x, high), place(x, low)
        whiskers += f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{top:.1f}" y2="{end:.1f}"/>'
    return f'<g class="curve-band {escape(curve.kind)}"><polygon points="{path}"/>{whiskers}</g>'


def _line(curve: Curve, index: int, place: Place, written: Callable[[float], str]) -> str:
    places = [place(point.x, point.value) for point in curve.points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dash = f' stroke-dasharray="{_DASHES[index % len(_DASHES)]}"' if index % len(_DASHES) else ""
    line = f'<polyline points="{path}"{dash}/>' if len(places) > 1 else ""
    dots = []
    for point, (x, y) in zip(curve.points, places, strict=True):
        said = f"{curve.name}, {point.x:.3g}: {written(point.value)}"
        if point.low is not None and point.high is not None:
            said += f" ({written(point.low)} to {written(point.high)})"
        dots.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.4"><title>{escape(said)}</title></circle>')
    return f'<g class="curve-line {escape(curve.kind)}">{line}{"".join(dots)}</g>'


def _names(drawn: Sequence[Curve], place: Place, x: float, width: float) -> list[str]:
    """At the height of each curve's end, moved down where two would overlap."""
    ends = sorted((place(curve.points[-1].x, curve.points[-1].value)[1], index) for index, curve in enumerate(drawn) if curve.points)
    out, taken = [], -float("inf")
    for y, index in ends:
        taken = max(y, taken + _NAMED_APART)
        curve = drawn[index]
        name = text_at(x, taken + 4, clip(curve.name, max(int((width - x) / _LETTER), 4)))
        out.append(f'<g class="curve-name {escape(curve.kind)}">{name}</g>')
    return out
