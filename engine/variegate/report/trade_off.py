"""Two measures against each other as inline SVG: groups with error bars both ways, and the front of those that no other beats.

Pure; every label is escaped. As in `svg`, colours and sizes come from the page's style sheet by class. Which groups are on the
front is told, not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from variegate.report.intervals import axis_ticks
from variegate.report.svg import WIDTH, drawing, text_at

NUM_KINDS = 6  # shapes and colours
CROWDED = 40  # groups
_LEFT, _RIGHT, _TOP, _BOTTOM = 66, 20, 26, 44
_HEIGHT = 440
_SIZE = 5.5
_SHAPES = (
    "M-{0} 0A{0} {0} 0 1 1 {0} 0A{0} {0} 0 1 1 -{0} 0z",  # circle
    "M-{0} -{0}H{0}V{0}H-{0}z",  # square
    "M0 -{1}L{1} {0}H-{1}z",  # triangle
    "M0 -{1}L{1} 0L0 {1}L-{1} 0z",  # diamond
    "M-{1} -{0}H{1}L0 {1}z",  # triangle, down
    "M-{0} -{2}H-{2}V-{0}H{2}V-{2}H{0}V{2}H{2}V{0}H-{2}V{2}H-{0}z",  # cross
)
_PLACES = ((9, -7, "start"), (9, 15, "start"), (-9, -7, "end"), (-9, 15, "end"), (0, -13, "middle"), (0, 21, "middle"))


@dataclass(frozen=True, slots=True)
class Group:
    """name: a short one, written beside the point. words: what a pointer that rests on it is told. kind: 0 .. NUM_KINDS - 1."""

    name: str
    words: str
    x: float
    y: float
    x_ends: tuple[float, float] | None = None
    y_ends: tuple[float, float] | None = None
    kind: int = 0
    front: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A line across the plot at a y, to compare with."""

    name: str
    y: float


def shape(kind: int, size: float = _SIZE) -> str:
    """The path of a point's shape around (0, 0); for the legend too."""
    return _SHAPES[kind % NUM_KINDS].format(f"{size:g}", f"{1.25 * size:g}", f"{0.35 * size:g}")


def trade_off(
    title: str,
    groups: Sequence[Group],
    levels: Sequence[Level] = (),
    *,
    x_label: str,
    y_label: str,
    write_x: Callable[[float], str],
    write_y: Callable[[float], str],
    width: int = WIDTH,
) -> str:
    """Groups on the front are filled and joined by a staircase: no group lies above and to the right of it.

    Of more than CROWDED groups only those on the front have their names and error bars drawn; each tells its name when pointed at.
    """
    x_ticks = axis_ticks(*_spread([end for each in groups for end in (each.x, *(each.x_ends or ()))]))
    heights = [*(end for each in groups for end in (each.y, *(each.y_ends or ()))), *(each.y for each in levels)]
    y_ticks = axis_ticks(*_spread(heights))
    right, bottom = width - _RIGHT, _HEIGHT - _BOTTOM

    def at(x: float) -> float:
        return _LEFT + (right - _LEFT) * (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])

    def up(y: float) -> float:
        return bottom - (bottom - _TOP) * (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])

    body = []
    for tick in x_ticks:
        body.append(f'<line class="trade-grid" x1="{at(tick):.1f}" x2="{at(tick):.1f}" y1="{_TOP}" y2="{bottom}"/>')
        body.append(text_at(at(tick), bottom + 16, write_x(tick), anchor="middle", kind="trade-tick"))
    for tick in y_ticks:
        body.append(f'<line class="trade-grid" x1="{_LEFT}" x2="{right}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        body.append(text_at(_LEFT - 8, up(tick) + 4, write_y(tick), anchor="end", kind="trade-tick"))
    body.append(text_at((_LEFT + right) / 2, _HEIGHT - 6, x_label, anchor="middle", kind="trade-tick"))
    body.append(text_at(0, 12, y_label, kind="trade-tick"))
    body += _levels([(level.name, up(level.y)) for level in levels], [(at(each.x), up(each.y)) for each in groups], right)
    front = sorted((each for each in groups if each.front), key=lambda each: (each.x, -each.y))
    if len(front) > 1:
        steps = "".join(f"V{up(each.y):.2f}H{at(each.x):.2f}" for each in front[1:])
        body.append(f'<path class="trade-front" d="M{at(front[0].x):.2f} {up(front[0].y):.2f}{steps}"/>')
    spoken = [each for each in groups if each.front or len(groups) <= CROWDED]
    body += [_whiskers(each, at, up) for each in spoken]
    body += [_point(each, at(each.x), up(each.y)) for each in sorted(groups, key=lambda each: each.front)]
    body += _names([(each.name, at(each.x), up(each.y)) for each in spoken], width)
    return drawing(title, width, _HEIGHT, "".join(body), "trade")


def _spread(values: list[float]) -> tuple[float, float]:
    return (min(values), max(values)) if values else (0.0, 1.0)


def _levels(levels: Sequence[tuple[str, float]], points: Sequence[tuple[float, float]], right: float) -> list[str]:
    """Lines, each with its name above or below it where no point, other line or other name is: at an end if there, else between.

    Where no place is free, above the right end.
    """
    taken = [(x - 8, y - 8, x + 22, y + 8) for x, y in points]
    drawn, names = [], []
    for name, y in levels:
        length = 6.6 * len(name)
        others = [(_LEFT, other - 1, right, other + 1) for _, other in levels if other != y]
        ends = [right - 4 - length, _LEFT + 6.0, *range(int(right - 44 - length), _LEFT + 6, -40)]
        places = [(x, y + down) for x in ends for down in (-5.0, 13.0)]
        boxes = [((x, at - 10, x + length, at + 2), x, at) for x, at in places]
        free = [each for each in boxes if not any(_meet(each[0], other) for other in (*taken, *others))]
        box, x, at = (free or boxes)[0]
        taken.append(box)
        drawn.append(f'<line class="trade-level" x1="{_LEFT}" x2="{right}" y1="{y:.2f}" y2="{y:.2f}"/>')
        names.append(text_at(x, at, name, kind="trade-level-name"))
    return drawn + names


def _whiskers(group: Group, at: Callable[[float], float], up: Callable[[float], float]) -> str:
    drawn = []
    kind = f"trade-whisker trade-k{group.kind % NUM_KINDS}"
    if group.x_ends:
        low, high = map(at, group.x_ends)
        drawn.append(f'<line class="{kind}" x1="{low:.2f}" x2="{high:.2f}" y1="{up(group.y):.2f}" y2="{up(group.y):.2f}"/>')
    if group.y_ends:
        low, high = map(up, group.y_ends)
        drawn.append(f'<line class="{kind}" x1="{at(group.x):.2f}" x2="{at(group.x):.2f}" y1="{low:.2f}" y2="{high:.2f}"/>')
    return "".join(drawn)


def _point(group: Group, x: float, y: float) -> str:
    kind = f"trade-point trade-k{group.kind % NUM_KINDS}{' trade-on' if group.front else ''}"
    return (
        f'<path class="{kind}" transform="translate({x:.2f} {y:.2f})" d="{shape(group.kind)}">'
        f"<title>{escape(f'{group.name}: {group.words}')}</title></path>"
    )


def _names(points: Sequence[tuple[str, float, float]], width: float) -> list[str]:
    """Each name at the first place beside its point that covers no point and no other name; the first place if all do."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for _, x, y in points]
    drawn = []
    for name, x, y in points:
        boxes = []
        for across, down, anchor in _PLACES:
            length = 7.2 * len(name)
            left = x + across - {"start": 0.0, "middle": length / 2, "end": length}[anchor]
            boxes.append(((left, y + down - 11, left + length, y + down + 1), x + across, y + down, anchor))
        free = [each for each in boxes if each[0][0] >= 0 and each[0][2] <= width and not any(_meet(each[0], other) for other in taken)]
        box, at_x, at_y, anchor = (free or boxes)[0]
        taken.append(box)
        drawn.append(text_at(at_x, at_y, name, anchor=anchor, kind="trade-name"))
    return drawn


def _meet(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
