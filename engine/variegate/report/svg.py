"""Small plots as inline SVG: data in, one `<svg>` string out. Pure; every label is escaped.

Colours, sizes and fonts come from the page's style sheet by class, so that light, dark and print share one drawing.
Knows nothing of runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH = 912  # pixels: the page's column
_ROW = 22


def drawing(title: str, width: float, height: float, body: str, kind: str) -> str:
    """The frame: scales with its column, and reads its title aloud."""
    return (
        f'<svg class="plot {kind}" role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'preserveAspectRatio="xMinYMin meet"><title>{escape(title)}</title>{body}</svg>'
    )


def text_at(x: float, y: float, content: str, *, anchor: str = "start", kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(content)}</text>'


def rectangle(x: float, y: float, width: float, height: float, kind: str, title: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0):.2f}" height="{max(height, 0):.2f}" class="{escape(kind)}">'
        f"<title>{escape(title)}</title></rect>"
    )


def clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"


def nice_ticks(top: float, count: int = 4) -> list[float]:
    """Round numbers from 0 up to at least `top`, in steps of 1, 2, 2.5 or 5 times a power of ten; at most `count` + 1 steps."""
    if top <= 0:
        return [0.0, 1.0]
    step = 10.0**-9
    while True:
        for factor in (1, 2, 2.5, 5):
            if factor * step * count >= top:
                size = factor * step
                num_steps = -int(-(top - 1e-9 * size) // size)
                return [round(index * size, 10) for index in range(max(num_steps, 1) + 1)]
        step *= 10


def horizontal_bars(
    title: str, data: Sequence[tuple[str, float]], *, width: int = WIDTH, top: float | None = None, label_width: int = 190
) -> str:
    """One bar a row, its value behind it. `top`: the value of a full bar, so that several plots share one scale."""
    top = top or max((value for _, value in data), default=0) or 1
    room = width - label_width - 56
    rows = []
    for index, (label, value) in enumerate(data):
        y = index * _ROW
        length = room * value / top
        rows.append(text_at(label_width - 8, y + 15, clip(label, label_width // 7), anchor="end"))
        rows.append(rectangle(label_width, y + 4, length, _ROW - 8, "bar", f"{label}: {value:,g}"))
        rows.append(text_at(label_width + length + 6, y + 15, f"{value:,g}", kind="value"))
    return drawing(title, width, max(len(data), 1) * _ROW + 4, "".join(rows), "bars")


def stacked_bar(
    title: str, parts: Sequence[tuple[str, float, str]], *, width: int = WIDTH, height: int = 34, total: float | None = None
) -> str:
    """One bar of (label, value, class) parts side by side; a part carries its value where there is room for it.

    total: the value of the whole width (default: the parts' sum).
    """
    whole = total or sum(value for _, value, _ in parts) or 1
    x, drawn = 0.0, []
    for label, value, kind in parts:
        length = width * value / whole
        drawn.append(rectangle(x, 0, length, height, kind, f"{label}: {value:,g}"))
        written = f"{value:,g}"
        if height >= 20 and length > 9 * len(written) + 8:
            drawn.append(text_at(x + length / 2, height / 2 + 5, written, anchor="middle", kind=f"on-{kind}"))
        x += length
    return drawing(title, width, height, "".join(drawn), "stack")


def histogram(title: str, bins: Sequence[tuple[str, float]], *, x_label: str, width: int = WIDTH, height: int = 220) -> str:
    """Bars side by side, named below (every one, or every k-th where they would overlap), with a scale on the left."""
    left, bottom, head = 56, 40, 8
    ticks = nice_ticks(max(4, *(value for _, value in bins), 4))  # counts: whole steps
    body = [_scale(ticks, left, width, head, height - bottom)]
    slot = (width - left - 8) / max(len(bins), 1)
    every = max(1, -(-max((len(name) for name, _ in bins), default=1) * 8 // max(int(slot), 1)))
    for index, (name, value) in enumerate(bins):
        x = left + index * slot
        length = (height - bottom - head) * value / ticks[-1]
        body.append(rectangle(x + slot * 0.06, height - bottom - length, slot * 0.88, length, "bar", f"{name}: {value:,g}"))
        if index % every == 0:
            body.append(text_at(x + slot / 2, height - bottom + 16, name, anchor="middle"))
    body.append(text_at((left + width) / 2, height - 6, x_label, anchor="middle", kind="axis"))
    return drawing(title, width, height, "".join(body), "histogram")


def line(title: str, points: Sequence[tuple[float, float]], *, x_label: str, y_label: str, width: int = WIDTH, height: int = 220) -> str:
    """A line through (x, y) points with x ascending; y starts at 0. A single point is drawn as a dot."""
    left, bottom, head = 56, 40, 22
    ticks = nice_ticks(max((y for _, y in points), default=0))
    first, last = (points[0][0], points[-1][0]) if points else (0, 1)
    across, down = width - left - 16, height - bottom - head

    def place(x: float, y: float) -> tuple[float, float]:
        share = (x - first) / (last - first) if last > first else 0.5
        return left + 6 + (across - 6) * share, head + down * (1 - y / ticks[-1])

    places = [place(x, y) for x, y in points]
    body = [_scale(ticks, left, width, head, height - bottom)]
    if len(places) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(f'<polyline class="line" points="{path}"/>')
    if len(places) <= 80:
        for (x, y), (px, py) in zip(points, places, strict=True):
            body.append(f'<circle class="dot" cx="{px:.1f}" cy="{py:.1f}" r="3"><title>{escape(f"{x:g}: {y:,.4g}")}</title></circle>')
    every = max(1, -(-len(points) // 10))
    for index, (x, _) in enumerate(points):
        if index % every == 0:
            body.append(text_at(places[index][0], height - bottom + 16, f"{x:g}", anchor="middle"))
    body.append(text_at((left + width) / 2, height - 6, x_label, anchor="middle", kind="axis"))
    body.append(text_at(0, 12, y_label, kind="axis"))
    return drawing(title, width, height, "".join(body), "lines")


def _scale(ticks: Sequence[float], left: float, right: float, top: float, bottom: float) -> str:
    """Horizontal grid lines with their values on the left."""
    drawn = []
    for tick in ticks:
        y = bottom - (bottom - top) * tick / ticks[-1]
        drawn.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(text_at(left - 8, y + 4, f"{tick:,g}", anchor="end"))
    return "".join(drawn)
