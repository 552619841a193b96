"""The flow: bars in proportion, counts that add up from what was requested down to what is left, nothing unescaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import groupby, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.report.flow import REASONS_IN_COLOUR, Step, flow, gaps, reason_class
from variegate.store.ledger import REASONS
from variegate.store.verdicts import DROPPING

EVIL = '<script>alert("x")</script> & \'"'
SAID = re.compile(r": ([\d,]+) of ([\d,]+) ")


def bars(drawn: str) -> list[list[tuple[float, int, str]]]:
    """Row by row, from left to right: (width, count in the title, class) of the pieces."""
    pieces = list(ET.fromstring(drawn).iter("rect"))
    rows = groupby(pieces, key=lambda each: each.attrib["y"])
    return [
        [(float(e.attrib["width"]), int(SAID.search(e[0].text or "")[1].replace(",", "")), e.attrib["class"]) for e in row]
        for _, row in rows
    ]  # type: ignore[index]


@st.composite
def chains(draw: st.DrawFn) -> list[Step]:
    """Steps that fit together: each gets what the one before it kept."""
    left = draw(st.integers(0, 100_000))
    steps = [Step("requested", left)]
    for number in range(draw(st.integers(0, 6))):
        reasons = draw(st.lists(st.sampled_from([*REASONS_IN_COLOUR, "unheard of"]), unique=True, max_size=4))
        dropped = []
        for reason in reasons:
            count = draw(st.integers(0, left))
            left -= count
            if count:
                dropped.append((reason, count))
        steps.append(Step(f"step {number}", left, draw(st.integers(0, left)), tuple(dropped)))
    return steps


@given(chains())
def test_counts_and_widths_add_up(steps: list[Step]) -> None:
    """requested = final + everything dropped, in the numbers told and in the pixels drawn; every bar is as long as what came in."""
    drawn = flow("t", steps)
    rows = {step.name: step for step in steps if step.incoming}
    found = bars(drawn)
    assert len(found) == len(rows)
    if not rows:
        return
    (full, requested, _), *rest = found[0]
    assert requested == steps[0].kept
    assert not rest
    scale = full / requested
    lost = 0
    for step, row in zip(rows.values(), found, strict=True):
        assert sum(count for _, count, _ in row) == step.incoming
        assert sum(width for width, _, _ in row) == pytest.approx(step.incoming * scale, abs=0.006 * len(row) + 0.01)
        assert all(width == pytest.approx(count * scale, abs=0.006) for width, count, _ in row)
        lost += sum(count for _, count, kind in row if not re.search("flow-(kept|changed)", kind))
    assert requested == steps[-1].kept + lost
    assert gaps(steps) == []


@given(chains())
def test_bands_are_as_wide_as_what_goes_on(steps: list[Step]) -> None:
    root = ET.fromstring(flow("t", steps))
    bands = [each.attrib["d"] for each in root.iter("path")]
    assert len(bands) == len(steps) - 1
    most = max(step.incoming for step in steps) or 1
    for step, band in zip(steps, bands, strict=False):
        left, width, right = re.match(r"M(\d+) \d+h([\d.]+)L([\d.]+) ", band).groups()  # type: ignore[union-attr]
        assert float(width) == pytest.approx((912 - 172 - 118) * step.kept / most, abs=0.006)
        assert float(right) - float(left) == pytest.approx(float(width), abs=0.011)  # as long as the bar below it


def test_a_step_by_hand() -> None:
    steps = [Step("requested", 1000), Step("kept", 500, 100, (("duplicate", 300), ("held_out", 200)))]
    (first,), second = bars(flow("t", steps))
    assert first[0] == 622
    assert [width for width, _, _ in second] == [248.8, 62.2, 186.6, 124.4]
    assert [kind.split()[1] for _, _, kind in second] == ["flow-kept", "flow-changed", reason_class("duplicate"), reason_class("held_out")]
    text = " ".join(ET.fromstring(flow("t", steps)).itertext())
    for said in ("100 with another label · 500 dropped: 300 duplicate, 200 held out", "500 · 50 %", "1,000"):
        assert said in text


def test_numbers_that_do_not_fit_are_named() -> None:
    steps = [Step("requested", 10), Step("parsed", 8, 0, (("empty", 1),)), Step("kept", 8)]
    assert gaps(steps) == ["parsed: 9 came in, but 10 were left before it"]
    assert "nan" not in flow("t", steps)


def test_labels_are_escaped_and_the_plot_has_a_title() -> None:
    root = ET.fromstring(flow(EVIL, [Step(EVIL, 5), Step(EVIL, 3, 1, ((EVIL, 2),))]))
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "rect", "line", "path"}
    assert root[0].text == EVIL
    assert root.attrib["role"] == "img"


@pytest.mark.parametrize("steps", [[], [Step("requested", 0)], [Step("requested", 0), Step("kept", 0)]])
def test_nothing_to_draw_is_no_error(steps: list[Step]) -> None:
    drawn = flow("t", steps)
    assert ET.fromstring(drawn).tag == "svg"
    assert "nan" not in drawn


def test_each_reason_has_a_colour_of_its_own_and_a_strange_one_none_of_its_choice() -> None:
    known = [*REASONS, *DROPPING]
    assert len({reason_class(reason) for reason in known}) == len(set(known))
    assert {reason_class(each) for each in (EVIL, "", "kept", 'x" onload="y')} == {"flow-other"}


def test_words_stay_inside_the_drawing() -> None:
    many = tuple((reason, 1000) for reason in REASONS_IN_COLOUR)
    root = ET.fromstring(
        flow("t", [Step("requested", 14_000), Step("a stage with a very long name indeed", 1000, 10, many), Step("final", 1000)])
    )
    for each in root.iter("text"):
        length, x = 6.4 * len(each.text or ""), float(each.attrib["x"])
        start = x - length if each.attrib["text-anchor"] == "end" else x
        assert start >= -5
        assert start + length <= 912 + 10, each.text


def test_the_rows_follow_one_another() -> None:
    tops = [
        float(e.attrib["y"]) for e in ET.fromstring(flow("t", [Step("a", 3), Step("b", 2, 0, (("empty", 1),)), Step("c", 2)])).iter("rect")
    ]
    heights = sorted(set(tops))
    assert all(after - before == 50 for before, after in pairwise(heights))
