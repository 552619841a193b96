"""Maps: well-formed XML, nothing unescaped, and dots that lie as far apart as their points do."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.report.scatter import Dots, Name, scatter

EVIL = '<script>alert("x")</script> & \'"'
POINT = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))


def dots(drawn: str) -> list[tuple[float, float]]:
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in ET.fromstring(drawn).iter("circle")]


def test_it_is_escaped_and_has_titles() -> None:
    root = ET.fromstring(scatter(EVIL, [Dots(EVIL, EVIL, [(0, 0), (1, 1)])], [Name(EVIL, 0, 0)]))
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "rect", "g", "circle"}
    assert [title.text for title in root.iter("title")] == [EVIL, EVIL]
    assert root.attrib["role"] == "img"


@given(st.lists(POINT, min_size=2, max_size=8))
def test_dots_are_as_far_apart_as_their_points(points: list[tuple[float, float]]) -> None:
    places = dots(scatter("t", [Dots("a", "a", points[:1]), Dots("b", "b", points[1:])]))
    given_, drawn = ([math.dist(all_[0], other) for other in all_[1:]] for all_ in (points, places))
    if (farthest := max(given_)) > 1e-3:
        scale = max(drawn) / farthest
        assert drawn == pytest.approx([scale * each for each in given_], abs=0.5)  # places have one decimal


@given(st.lists(st.tuples(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12)), max_size=8))
def test_all_lie_inside_the_frame(points: list[tuple[float, float]]) -> None:
    drawn = scatter("t", [Dots("a", "a", points)], [Name("name", *point) for point in points], width=400)
    root = ET.fromstring(drawn)
    height = float(root.attrib["height"])
    assert 240 <= height <= 620
    assert all(3 <= x <= 397 and 3 <= y <= height - 3 for x, y in dots(drawn))
    assert all(0 <= float(each.attrib["x"]) <= 400 and 0 <= float(each.attrib["y"]) <= height for each in root.iter("text"))
    assert "nan" not in drawn


def test_up_is_up_and_right_is_right() -> None:
    (x0, y0), (x1, y1), (x2, y2) = dots(scatter("t", [Dots("a", "a", [(0, 0), (1, 0), (0, 1)])]))
    assert x1 > x0 == x2
    assert y2 < y0 == y1


@pytest.mark.parametrize("points", [[], [(3.0, 4.0)], [(3.0, 4.0)] * 3, [(5e-324, 0.0), (0.0, 0.0)], [(1.0, 1.0), (1.0 + 1e-15, 1.0)]])
def test_nothing_to_spread_is_no_error(points: list[tuple[float, float]]) -> None:
    assert len(dots(scatter("t", [Dots("a", "a", points)]))) == len(points)


def test_names_at_one_place_do_not_cover_each_other() -> None:
    names = [Name(f"name {index}", 0.0, 0.0) for index in range(6)]
    root = ET.fromstring(scatter("t", [Dots("a", "a", [(-1, -1), (1, 1)])], names))
    heights = sorted(float(each.attrib["y"]) for each in root.iter("text"))
    assert all(after - before >= 16 for before, after in pairwise(heights))
