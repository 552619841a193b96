"""Curves: well-formed, escaped, and where the numbers say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.report.curves import Curve, CurvePoint, curves

EVIL = '<script>alert("x")</script> & \'"'


def draw(*drawn: Curve, stops: list[tuple[float, str, str]] | None = None, **more: object) -> str:
    return curves(
        "t", drawn, stops or [], x_label="x", y_label="y", written=lambda value: f"{value:g}", **more  # type: ignore[arg-type]
    )  # fmt: skip


def dots(text: str) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in ET.fromstring(text).iter("circle")]


def test_it_is_escaped_and_tells_its_points() -> None:
    curve = Curve(EVIL, EVIL, [CurvePoint(0, 0.5, 0.4, 0.6), CurvePoint(1, 0.7)])
    root = ET.fromstring(curves(EVIL, [curve], [(0, EVIL, EVIL)], x_label=EVIL, y_label=EVIL, written=lambda value: f"{value:g} {EVIL}"))
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "line", "polyline", "polygon", "circle", "g"}
    titles = [title.text or "" for title in root.iter("title")]
    assert titles[0] == EVIL
    assert titles[1] == f"{EVIL}, 0: 0.5 {EVIL} (0.4 {EVIL} to 0.6 {EVIL})"
    assert titles[2] == f"{EVIL}, 1: 0.7 {EVIL}"


def test_higher_is_higher_and_further_right_is_later() -> None:
    places = dots(draw(Curve("a", "k", [CurvePoint(0.5, 0.6), CurvePoint(0.75, 0.8), CurvePoint(1, 0.7)])))
    assert [x for x, _ in places] == sorted(x for x, _ in places)
    assert places[1][0] - places[0][0] == pytest.approx(places[2][0] - places[1][0], abs=0.15)
    (_, low), (_, high), (_, middle) = places
    assert high < middle < low
    assert middle - high == pytest.approx((low - high) / 2, abs=0.15)


def test_bands_are_where_both_ends_are_known() -> None:
    root = ET.fromstring(draw(Curve("a", "k", [CurvePoint(0, 0.5, 0.4, 0.6), CurvePoint(0.5, 0.5), CurvePoint(1, 0.5, 0.3, 0.9)])))
    (band,) = root.iter("polygon")
    assert len(band.attrib["points"].split()) == 4
    assert not list(ET.fromstring(draw(Curve("a", "k", [CurvePoint(0, 0.5)]))).iter("polygon"))


def test_lines_differ_without_colour_and_names_do_not_overlap() -> None:
    root = ET.fromstring(draw(*(Curve(f"student {n}", "k", [CurvePoint(0, 0.5), CurvePoint(1, 0.5 + n / 1000)]) for n in range(4))))
    assert len({line.attrib.get("stroke-dasharray") for line in root.iter("polyline")}) == 4
    names = [text for text in root.iter("text") if (text.text or "").startswith("student")]
    heights = sorted(float(text.attrib["y"]) for text in names)
    assert all(later - earlier >= 14.9 for earlier, later in pairwise(heights))


def test_stops_that_would_overlap_are_left_out_the_last_is_not() -> None:
    many = [(place / 100, f"{place / 100:.2f}", "n = 1,000") for place in range(101)]
    root = ET.fromstring(draw(Curve("a", "k", [CurvePoint(0, 0.5), CurvePoint(1, 0.6)]), stops=many))
    shown = [text for text in root.iter("text") if text.text == "n = 1,000"]
    places = sorted(float(text.attrib["x"]) for text in shown)
    assert 5 < len(places) < 20
    assert all(later - earlier > 60 for earlier, later in pairwise(places))
    assert any(text.text == "1.00" for text in root.iter("text"))


def test_zero_is_marked() -> None:
    text = draw(Curve("a", "k", [CurvePoint(0, 0.5), CurvePoint(1, 0.6)]), zero=True)
    assert 'class="curve-zero"' in text
    assert 'class="curve-zero"' not in draw(Curve("a", "k", [CurvePoint(0, 0.5), CurvePoint(1, 0.6)]))


NUMBER = st.floats(-1e6, 1e6)


@given(st.lists(st.lists(st.tuples(NUMBER, NUMBER, st.none() | NUMBER, st.none() | NUMBER), max_size=5), max_size=3))
def test_nothing_breaks_it_and_all_dots_lie_inside(drawn: list[list[tuple[float, float, float | None, float | None]]]) -> None:
    made = [
        Curve(f"c{place}", "k", [CurvePoint(*point) for point in sorted(points, key=lambda point: point[0])])
        for place, points in enumerate(drawn)
    ]
    text = draw(*made)
    assert "nan" not in text
    assert all(0 <= x <= 912 and -0.1 <= y <= 300 for x, y in dots(text))
