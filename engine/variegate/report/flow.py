"""The way of the requests as inline SVG: one bar a step, from what was requested down to what is left, with what each step dropped.

A bar is as long as what came into its step and is cut into what stays, what stays with another label, and what went, by reason.
The band from a bar down to the next is as wide as what stays. One scale for all bars, so that lengths add up. Pure; knows
counts, and nothing of files or of what a step does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from variegate.report.svg import WIDTH, clip, drawing, rectangle, text_at
from variegate.store.ledger import REASONS
from variegate.store.verdicts import CURATION_REASONS, DROPPING

BAR, _GAP = 24, 26  # pixels: a bar, and the room below it for the words on what it lost
_LEFT, _RIGHT = 172, 118
_LETTER = 6.4  # pixels of the small words, about
# The same colour for a reason in every report, those of the ledger as there. A reason that is not among them is drawn grey.
REASONS_IN_COLOUR = (*REASONS, *(reason for reason in CURATION_REASONS if reason in DROPPING and reason not in REASONS))


@dataclass(frozen=True, slots=True)
class Step:
    """kept: how many stay, `changed` of them with another label than they came with. dropped: (reason, count), each count > 0."""

    name: str
    kept: int
    changed: int = 0
    dropped: tuple[tuple[str, int], ...] = ()

    @property
    def num_dropped(self) -> int:
        return sum(count for _, count in self.dropped)

    @property
    def incoming(self) -> int:
        return self.kept + self.num_dropped


def reason_class(reason: str) -> str:
    """The class that colours a reason: one of a closed list, whatever the reason is called."""
    return f"flow-{REASONS_IN_COLOUR.index(reason)}" if reason in REASONS_IN_COLOUR else "flow-other"


def gaps(steps: Sequence[Step]) -> list[str]:
    """Where a step did not get what the one before it kept, in words: then the counts are of different runs, or damaged."""
    found = []
    for before, after in pairwise(steps):
        if before.kept != after.incoming:
            found.append(f"{after.name}: {after.incoming:,} came in, but {before.kept:,} were left before it")
    return found


def flow(title: str, steps: Sequence[Step], *, width: int = WIDTH) -> str:
    """One `<svg>`. Bars are exactly in proportion to their counts, also the thinnest; the words beside them give the numbers."""
    most = max((step.incoming for step in steps), default=0) or 1
    room = width - _LEFT - _RIGHT
    first = steps[0].incoming if steps else 0
    body = []
    for index, step in enumerate(steps):
        y = index * (BAR + _GAP)
        length = room * step.incoming / most
        if index + 1 < len(steps):
            body.append(_band(y, room * step.kept / most, room * steps[index + 1].incoming / most))
        body.append(text_at(_LEFT - 10, y + BAR / 2 + 4, clip(step.name, 24), anchor="end"))
        x = float(_LEFT)
        for what, count, kind in _pieces(step):
            piece = room * count / most
            body.append(rectangle(x, y, piece, BAR, f"flow-part {kind}", f"{step.name}: {count:,} of {step.incoming:,} {what}"))
            if kind == "flow-changed":
                body.append(_stripes(x, y, piece))
            x += piece
        share = f" · {_percent(step.kept / first)}" if index and first else ""
        body.append(text_at(_LEFT + room + 10, y + BAR / 2 + 4, f"{step.kept:,}{share}", kind="flow-count"))
        if words := _words(step):
            fits = len(words) * _LETTER <= length
            at, anchor = (_LEFT + length, "end") if fits else (_LEFT, "start")
            body.append(text_at(at, y + BAR + 15, clip(words, int((room + _RIGHT) / _LETTER)), anchor=anchor, kind="flow-words"))
    height = max(len(steps), 1) * (BAR + _GAP) - (0 if steps and _words(steps[-1]) else _GAP - 4)
    return drawing(title, width, height, "".join(body), "flow")


def _pieces(step: Step) -> Iterator[tuple[str, int, str]]:
    """(in words, count, class) from left to right, without the empty ones."""
    if step.kept > step.changed:
        yield ("stay, with the label that they had" if step.changed else "stay"), step.kept - step.changed, "flow-kept"
    if step.changed:
        yield "stay, with another label", step.changed, "flow-changed"
    for reason, count in step.dropped:
        yield f"dropped: {reason.replace('_', ' ')}", count, reason_class(reason)


def _words(step: Step) -> str:
    """`210 with another label · 66 dropped: 50 duplicate, 16 near duplicate`"""
    said = [f"{step.changed:,} with another label"] if step.changed else []
    if len(step.dropped) == 1:
        said.append(f"{step.num_dropped:,} dropped: {step.dropped[0][0].replace('_', ' ')}")
    elif step.dropped:
        said.append(
            f"{step.num_dropped:,} dropped: " + ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in step.dropped)
        )
    return " · ".join(said)


def _band(y: float, above: float, below: float) -> str:
    """What stays, on its way to the next bar."""
    top, bottom = y + BAR, y + BAR + _GAP
    return f'<path class="flow-band" d="M{_LEFT} {top}h{above:.2f}L{_LEFT + below:.2f} {bottom}H{_LEFT}z"/>'


def _stripes(x: float, y: float, length: float) -> str:
    """Marks a part without colour: a thick dashed line is a row of stripes."""
    middle = y + BAR / 2
    return f'<line class="flow-stripes" x1="{x:.2f}" x2="{x + length:.2f}" y1="{middle:g}" y2="{middle:g}" stroke-width="{BAR}"/>'


def _percent(share: float) -> str:
    whole = share < 0.0995 or 0.995 <= share < 1  # what is not all is not called 100 %
    return f"{100 * share:.1f} %" if whole else f"{100 * share:.0f} %"
