"""Points with error bars: places linear in the values, ticks that hold them, nothing unescaped."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.report.intervals import Heading, Point, axis_ticks, intervals

EVIL = '<script>alert("x")</script> & \'"'
VALUE = st.floats(-1e6, 1e6)


def draw(rows: list[Point | Heading], **more: object) -> ET.Element:
    return ET.fromstring(intervals("t", rows, axis="share", written=lambda value: f"{value:g}", **more))  # type: ignore[arg-type]


@given(VALUE, VALUE)
def test_ticks_hold_the_values_and_are_few_and_even(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ticks = axis_ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-6)
    assert ticks[0] <= low + slack
    assert ticks[-1] >= high - slack
    assert 2 <= len(ticks) <= 8
    steps = [after - before for before, after in pairwise(ticks)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-3)


def test_ticks_by_hand() -> None:
    assert axis_ticks(0.71, 0.93) == [0.7, 0.75, 0.8, 0.85, 0.9, 0.95]
    assert axis_ticks(-3, 12) == [-5, -2.5, 0, 2.5, 5, 7.5, 10, 12.5]
    assert axis_ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    for value in (0.0, 0.5, -1e6):
        ticks = axis_ticks(value, value)
        assert ticks[0] <= value <= ticks[-1]
        assert ticks[0] < ticks[-1]


@given(st.lists(st.tuples(VALUE, st.floats(0, 1e5), st.floats(0, 1e5)), min_size=1, max_size=6))
def test_bars_reach_from_low_to_high(data: list[tuple[float, float, float]]) -> None:
    """Places are linear in the values: the longest bar and the outermost points give the scale of all others."""
    rows: list[Point | Heading] = [Point(f"row {i}", value, value - below, value + above) for i, (value, below, above) in enumerate(data)]
    root = draw(rows)
    found = []
    for group in root.iter("g"):
        (bar,) = (each for each in group if each.get("class") == "whisk-bar")
        point = next(each for each in group if each.get("class") == "whisk-point")
        found.append((float(bar.attrib["x1"]), float(point.attrib["cx"]), float(bar.attrib["x2"])))
    ticks = axis_ticks(min(v - b for v, b, _ in data), max(v + a for v, _, a in data))
    scale = (912 - 190 - 250) / (ticks[-1] - ticks[0])
    for (value, below, above), (low, middle, high) in zip(data, found, strict=True):
        assert middle == pytest.approx(250 + (value - ticks[0]) * scale, abs=0.011)
        assert middle - low == pytest.approx(below * scale, abs=0.011)
        assert high - middle == pytest.approx(above * scale, abs=0.011)
        assert 249.9 <= low <= high <= 722.1


def test_zero_is_marked_where_differences_are_shown() -> None:
    lines = [each.attrib["class"] for each in draw([Point("a", 3.0, 2.0, 4.0)], zero=True).iter("line")]
    assert lines.count("whisk-zero") == 1
    assert "whisk-zero" not in [each.attrib["class"] for each in draw([Point("a", 3.0, 2.0, 4.0)]).iter("line")]


def test_single_values_and_outer_bars_are_drawn() -> None:
    root = draw([Heading("Accuracy"), Point("a", 0.5, 0.4, 0.6, outer=(0.3, 0.7), dots=(0.41, 0.59))])
    classes = [each.attrib.get("class") for each in root.iter()]
    assert [classes.count(f"whisk-{kind}") for kind in ("dot", "outer", "bar", "point", "heading")] == [2, 1, 1, 1, 1]


def test_a_point_without_a_bar_and_nothing_at_all() -> None:
    assert "whisk-bar" not in [each.attrib.get("class") for each in draw([Point("a", 0.5)]).iter("line")]
    for rows in ([], [Heading("only")], [Point("a", 0.0)]):
        assert "nan" not in ET.tostring(draw(rows), encoding="unicode")


def test_it_is_escaped_and_rests_tell() -> None:
    drawn = intervals(EVIL, [Heading(EVIL), Point(EVIL, 1.0, words=EVIL, kind=EVIL)], axis=EVIL, written=lambda _: EVIL)
    root = ET.fromstring(drawn)
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "line", "circle", "g"}
    assert [title.text for title in root.iter("title")] == [EVIL, f"{EVIL}: {EVIL}"]
    assert not re.search(r"url\(", drawn)
