"""Counts from label to label: a heat map as inline SVG, and the largest counts off its diagonal. Pure; every label is escaped.

A cell is coloured as strongly as its share of its row is large. Small matrices carry their numbers and a title in each cell; large ones are drawn as
few paths, with the names of every k-th label, and are read together with the table of the largest. Knows nothing of what the
rows and columns stand for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from variegate.report.svg import WIDTH, clip, drawing, text_at

NUMBERED = 40  # labels, up to which a cell stands for itself
LIGHT_TEXT_FROM = 0.778  # opacity of a cell, from which on its number is in the page's colour
_LEAST_OPACITY = 0.1
_LEVELS = (0.3, 0.5, 0.7, 0.85, 1.0)  # opacities of a large matrix
_LETTER = 6.8
_MOST_CELL = 54
_TOTALS = 76  # pixels: room for the rows' sums
_LONGEST_NAME = 26  # characters
_TURNED = 0.72  # sine and cosine, about, of the angle at which column names stand


@dataclass(frozen=True, slots=True)
class Matrix:
    """counts[row, column]: of what had `labels[row]`, how many have `labels[column]`. Labels in one order for both."""

    labels: Sequence[str]
    counts: Mapping[tuple[int, int], float]

    def row_totals(self) -> list[float]:
        totals = [0.0] * len(self.labels)
        for (row, _), count in self.counts.items():
            totals[row] += count
        return totals

    def largest(self) -> list[tuple[str, str, float, float]]:
        """(from, to, count, its share of the row) of all that is not on the diagonal, largest first; ties in label order."""
        totals = self.row_totals()
        off = [(row, column, count) for (row, column), count in self.counts.items() if row != column and count]
        off.sort(key=lambda each: (-each[2], each[0], each[1]))
        return [(self.labels[row], self.labels[column], count, count / totals[row]) for row, column, count in off]


def heat_map(title: str, matrix: Matrix, *, row_title: str, column_title: str, written: str = ",.0f", width: int = WIDTH) -> str:
    """written: the format of a count. The diagonal is of another colour, so that what moved stands out."""
    num = max(len(matrix.labels), 1)
    longest = max((min(len(label), _LONGEST_NAME) for label in matrix.labels), default=0) * _LETTER
    left, right = longest + 34, _TOTALS if num <= NUMBERED else 8
    slant = longest * _TURNED
    room = width - left - right
    cell = min(_MOST_CELL, room / num)
    cell = min(cell, (room - slant + cell / 2) / num) if slant > cell / 2 else cell  # names lean out to the right
    top = slant + 36
    side = cell * num
    every = max(1, -(-15 // cell)) if num > NUMBERED else 1
    body = [text_at(left, 12, column_title + " →", kind="heat-title")]
    body.append(f'<text class="heat-title" transform="translate(12 {top + side:.1f}) rotate(-90)">← {escape(row_title)}</text>')
    for index, label in enumerate(matrix.labels):
        if index % every == 0:
            middle = (index + 0.5) * cell
            shown = clip(label, _LONGEST_NAME)
            body.append(text_at(left - 7, top + middle + 4, shown, anchor="end", kind="heat-name"))
            body.append(
                f'<text class="heat-name" transform="translate({left + middle + 3:.1f} {top - 7:.1f}) rotate(-45)">{escape(shown)}</text>'
            )
    body.append(f'<rect class="heat-frame" x="{left:.1f}" y="{top:.1f}" width="{side:.2f}" height="{side:.2f}"/>')
    body += (_cells if num <= NUMBERED else _paths)(matrix, left, top, cell, written)
    if num <= NUMBERED:
        body.append(text_at(left + side + 10, top - 9, "all", kind="heat-name"))
        for row, total in enumerate(matrix.row_totals()):
            body.append(text_at(left + side + 10, top + (row + 0.5) * cell + 4, format(total, written), kind="heat-total"))
    return drawing(title, width, top + side + 8, "".join(body), "heat")


def _opacity(share: float) -> float:
    return _LEAST_OPACITY + (1 - _LEAST_OPACITY) * min(share, 1.0)


def _cells(matrix: Matrix, left: float, top: float, cell: float, written: str) -> list[str]:
    totals = matrix.row_totals()
    drawn = []
    for (row, column), count in sorted(matrix.counts.items()):
        if not count:
            continue
        share = count / totals[row]
        opacity = _opacity(share)
        x, y = left + column * cell, top + row * cell
        number = format(count, written)
        said = f"{matrix.labels[row]} → {matrix.labels[column]}: {number} of {format(totals[row], written)} ({100 * share:.3g} %)"
        kind = "heat-same" if row == column else "heat-moved"
        drawn.append(
            f'<rect class="heat-cell {kind}" x="{x:.2f}" y="{y:.2f}" width="{cell:.2f}" height="{cell:.2f}" fill-opacity="{opacity:.3f}">'
            f"<title>{escape(said)}</title></rect>"
        )
        if cell >= _LETTER * len(number) + 3 and cell >= 15:
            kind = "heat-dark" if opacity >= LIGHT_TEXT_FROM else "heat-light"
            drawn.append(text_at(x + cell / 2, y + cell / 2 + 4, number, anchor="middle", kind=kind))
    return drawn


def _paths(matrix: Matrix, left: float, top: float, cell: float, written: str) -> list[str]:
    totals = matrix.row_totals()
    squares: dict[tuple[str, float], list[str]] = defaultdict(list)
    for (row, column), count in sorted(matrix.counts.items()):
        if count:
            level = next(level for level in _LEVELS if _opacity(count / totals[row]) <= level + 1e-9)
            kind = "heat-same" if row == column else "heat-moved"
            squares[kind, level].append(f"M{left + column * cell:.1f} {top + row * cell:.1f}h{cell:.1f}v{cell:.1f}h-{cell:.1f}z")
    return [f'<path class="{kind}" fill-opacity="{level:g}" d="{"".join(parts)}"/>' for (kind, level), parts in sorted(squares.items())]
