"""Plots: well-formed XML, nothing unescaped, and geometry that says what the data say."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.report import svg

EVIL = '<script>alert("x")</script> & \'"'


def parse(text: str) -> ET.Element:
    return ET.fromstring(text)


def widths(root: ET.Element) -> list[float]:
    return [float(each.attrib["width"]) for each in root.iter("rect")]


@pytest.mark.parametrize(
    "drawn",
    [
        svg.horizontal_bars(EVIL, [(EVIL, 3)]),
        svg.stacked_bar(EVIL, [(EVIL, 3, "s-kept")]),
        svg.histogram(EVIL, [(EVIL, 3)], x_label=EVIL),
        svg.line(EVIL, [(0, 1), (1, 2)], x_label=EVIL, y_label=EVIL),
    ],
)
def test_labels_are_escaped_and_the_plot_has_a_title(drawn: str) -> None:
    root = parse(drawn)
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "rect", "line", "polyline", "circle"}
    title = root.find("title")
    assert title is not None
    assert title.text == EVIL
    assert root.attrib["role"] == "img"


@pytest.mark.parametrize(
    "drawn",
    [
        svg.horizontal_bars("t", []),
        svg.stacked_bar("t", []),
        svg.histogram("t", [], x_label="x"),
        svg.line("t", [], x_label="x", y_label="y"),
        svg.line("t", [(3, 0)], x_label="x", y_label="y"),
        svg.horizontal_bars("t", [("a", 0)]),
    ],
)
def test_nothing_to_draw_is_no_error(drawn: str) -> None:
    assert parse(drawn).tag == "svg"
    assert "nan" not in drawn


def test_bars_are_in_proportion() -> None:
    full, half, none = widths(parse(svg.horizontal_bars("t", [("a", 10), ("b", 5), ("c", 0)])))
    assert half == pytest.approx(full / 2, abs=0.01)
    assert none == 0


def test_several_plots_share_a_scale() -> None:
    (bar,) = widths(parse(svg.horizontal_bars("t", [("a", 5)], top=10)))
    (full,) = widths(parse(svg.horizontal_bars("t", [("a", 10)], top=10)))
    assert bar == pytest.approx(full / 2, abs=0.01)


def test_a_stacked_bar_fills_its_width() -> None:
    root = parse(svg.stacked_bar("t", [("a", 1, "x"), ("b", 2, "y"), ("c", 1, "z")], width=400))
    assert widths(root) == [100, 200, 100]
    assert [float(each.attrib["x"]) for each in root.iter("rect")] == [0, 100, 300]
    assert sum(widths(parse(svg.stacked_bar("t", [("a", 1, "x")], width=400, total=4)))) == 100


def test_a_line_rises_where_the_data_rise() -> None:
    (line,) = parse(svg.line("t", [(0, 0), (1, 10), (2, 5)], x_label="x", y_label="y")).iter("polyline")
    (x0, y0), (x1, y1), (x2, y2) = ([float(v) for v in pair.split(",")] for pair in line.attrib["points"].split())
    assert x0 < x1 < x2
    assert y1 < y2 < y0  # y grows downwards
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.11)


@given(st.floats(1e-6, 1e9))
def test_ticks_start_at_zero_cover_the_data_and_are_few(top: float) -> None:
    ticks = svg.nice_ticks(top)
    assert ticks[0] == 0
    assert ticks[-1] >= top * (1 - 1e-6)
    assert 2 <= len(ticks) <= 5
    assert ticks[-2] < top * (1 + 1e-6)


def test_ticks_by_hand() -> None:
    assert svg.nice_ticks(51) == [0, 20, 40, 60]
    assert svg.nice_ticks(4000) == [0, 1000, 2000, 3000, 4000]


def test_clip() -> None:
    assert (svg.clip("abcdef", 6), svg.clip("abcdefg", 6)) == ("abcdef", "abcde…")
