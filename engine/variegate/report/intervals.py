"""Points with error bars, one a row, as inline SVG. Pure; every label is escaped. Knows nothing of students or studies.

As in `svg`, colours and sizes come from the page's style sheet by class.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from variegate.report.svg import WIDTH, clip, drawing, text_at

_ROW, _HEAD = 26, 30
_LETTER = 6.6
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Point:
    """value with the ends of its error bar (None: it has none). dots: the single values that it is the mean of.

    outer: ends of a second, thinner bar. words: what stands at the right, the value in writing.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    outer: tuple[float, float] | None = None
    dots: tuple[float, ...] = ()
    words: str = ""
    kind: str = ""  # class


@dataclass(frozen=True, slots=True)
class Heading:
    name: str


def axis_ticks(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Round numbers in steps of 1, 2, 2.5 or 5 times a power of ten, the first at or below `low`, the last at or above `high`.

    At most `count` + 2 of them. Both ends finite, low <= high; a spread below the rounding of floats is widened.
    """
    spread = max(high - low, 1e-9 * max(abs(low), abs(high)), 1e-12)
    power = 10.0 ** math.floor(math.log10(spread / count))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10, 20) if factor * power * count >= spread)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [float(f"{index * step:.12g}") for index in range(first, last + 1)]


def intervals(
    title: str,
    rows: Sequence[Point | Heading],
    *,
    axis: str,
    written: Callable[[float], str],
    zero: bool = False,
    width: int = WIDTH,
    label_width: int = 250,
    words_width: int = 190,
) -> str:
    """axis: what is drawn, with its unit. written: a tick in words. zero: 0 is on the axis and marked, as for differences."""
    points = [row for row in rows if isinstance(row, Point)]
    values = [end for point in points for end in _ends(point)] + ([0.0] if zero else [])
    ticks = axis_ticks(min(values, default=0.0), max(values, default=1.0))
    left, right = label_width, width - words_width
    bottom = len(rows) * _ROW

    def place(value: float) -> float:
        return left + (right - left) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    body = []
    for tick in ticks:
        kind = "whisk-zero" if zero and tick == 0 else "whisk-grid"
        body.append(f'<line class="{kind}" x1="{place(tick):.2f}" x2="{place(tick):.2f}" y1="0" y2="{bottom}"/>')
        body.append(text_at(place(tick), bottom + 14, written(tick), anchor="middle", kind="whisk-tick"))
    body.append(text_at((left + right) / 2, bottom + 29, axis, anchor="middle", kind="whisk-tick"))
    for index, row in enumerate(rows):
        y = index * _ROW + _ROW / 2
        if isinstance(row, Heading):
            body.append(text_at(0, y + 5, clip(row.name, int(width / _LETTER)), kind="whisk-heading"))
            continue
        body.append(text_at(left - 14, y + 4, clip(row.name, int((left - 14) / _LETTER)), anchor="end"))
        body.append(_drawn(row, y, place))
        body.append(text_at(right + 14, y + 4, clip(row.words, int((words_width - 14) / _LETTER) + 1), kind="whisk-words"))
    return drawing(title, width, bottom + _HEAD + 4, "".join(body), "whisk")


def _ends(point: Point) -> list[float]:
    return [end for end in (point.value, point.low, point.high, *(point.outer or ()), *point.dots) if end is not None]


def _drawn(point: Point, y: float, place: Callable[[float], float]) -> str:
    drawn = []
    if point.outer is not None:
        drawn.append(_line("whisk-outer", place(point.outer[0]), place(point.outer[1]), y))
    if point.low is not None and point.high is not None:
        low, high = place(point.low), place(point.high)
        drawn.append(_line("whisk-bar", low, high, y))
        drawn += [f'<line class="whisk-cap" x1="{end:.2f}" x2="{end:.2f}" y1="{y - 4:g}" y2="{y + 4:g}"/>' for end in (low, high)]
    drawn += [f'<circle class="whisk-dot" cx="{place(value):.2f}" cy="{y + 8:g}" r="1.8"/>' for value in point.dots]
    drawn.append(f'<circle class="whisk-point" cx="{place(point.value):.2f}" cy="{y:g}" r="4"/>')
    said = f"{point.name}: {point.words}" if point.words else point.name
    return f'<g class="whisk-row{" " + escape(point.kind) if point.kind else ""}"><title>{escape(said)}</title>{"".join(drawn)}</g>'


def _line(kind: str, start: float, end: float, y: float) -> str:
    return f'<line class="{kind}" x1="{start:.2f}" x2="{end:.2f}" y1="{y:g}" y2="{y:g}"/>'
