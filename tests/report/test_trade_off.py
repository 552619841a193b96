"""The trade-off plot: places, whiskers and the front say what the numbers say."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.metrics.pareto import pareto_front
from variegate.report.trade_off import CROWDED, NUM_KINDS, Group, Level, shape, trade_off

EVIL = '<script>alert("x")</script> & \'"'


def draw(groups: list[Group], levels: tuple[Level, ...] = ()) -> ET.Element:
    write = "{:g}".format
    return ET.fromstring(trade_off("t", groups, levels, x_label="x", y_label="y", write_x=write, write_y=write))


def places(root: ET.Element) -> dict[str, tuple[float, float]]:
    """name -> where its point is"""
    found = {}
    for each in root.iter("path"):
        if "trade-point" in each.attrib["class"]:
            x, y = re.findall(r"translate\(([\d.]+) ([\d.]+)\)", each.attrib["transform"])[0]
            found[(each[0].text or "").split(":")[0]] = (float(x), float(y))
    return found


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_places_are_linear_and_no_group_lies_beyond_the_front(points: list[tuple[float, float]]) -> None:
    front = set(pareto_front(points))
    root = draw([Group(str(i), "", x, y, front=i in front) for i, (x, y) in enumerate(points)])
    found = places(root)
    for one in range(len(points)):
        for other in range(len(points)):
            (x, y), (a, b) = found[str(one)], found[str(other)]
            if points[one][0] > points[other][0] + 0.01:
                assert x > a
            if points[one][1] > points[other][1] + 0.01:
                assert y < b  # up is up
    stairs = next((each.attrib["d"] for each in root.iter("path") if each.attrib["class"] == "trade-front"), None)
    if stairs is None:
        return
    corners = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)", stairs)]
    for y, x in re.findall(r"V([\d.]+)H([\d.]+)", stairs):
        corners += [(corners[-1][0], float(y)), (float(x), float(y))]
    assert all(after[0] >= before[0] and after[1] >= before[1] for before, after in pairwise(corners))  # to the right and down
    assert {found[str(place)] for place in front} <= set(corners)
    for x, y in found.values():  # below the stairs, or on them
        over = [cy for (cx, cy), (nx, _) in pairwise(corners) if cx - 0.02 <= x <= nx + 0.02]
        assert not over or y >= min(over) - 0.02


def test_whiskers_by_hand() -> None:
    root = draw([Group("1", "", 0.5, 0.5, (0.4, 0.7), (0.2, 0.6)), Group("2", "", 0.0, 0.0), Group("3", "", 1.0, 1.0)])
    found = places(root)
    width, height = found["3"][0] - found["2"][0], found["2"][1] - found["3"][1]
    across, up = (each for each in root.iter("line") if "trade-whisker" in each.attrib["class"])
    assert float(across.attrib["x2"]) - float(across.attrib["x1"]) == pytest.approx(0.3 * width, abs=0.02)
    assert float(up.attrib["y1"]) - float(up.attrib["y2"]) == pytest.approx(0.4 * height, abs=0.02)


def test_levels_are_inside_and_their_names_apart() -> None:
    root = draw([Group("1", "", 0.5, 0.7)], (Level("oracle", 0.914), Level("real", 0.908), Level("as many", 0.85)))
    lines = [float(each.attrib["y1"]) for each in root.iter("line") if each.attrib["class"] == "trade-level"]
    names = [float(each.attrib["y"]) for each in root.iter("text") if each.attrib.get("class") == "trade-level-name"]
    assert len(lines) == 3
    assert lines == sorted(lines)
    assert all(26 <= line <= 396 for line in lines)
    assert all(b - a >= 12 for a, b in pairwise(sorted(names)))
    assert all(not (name - 10 < line < name) for name in names for line in lines)  # no line runs through a name


def test_of_many_only_the_front_is_named() -> None:
    groups = [Group(str(i), "", i / 100, 1 - i / 100, (0, 1), (0, 1), front=i < 3) for i in range(CROWDED + 1)]
    root = draw(groups)
    assert sorted(each.text or "" for each in root.iter("text") if each.attrib.get("class") == "trade-name") == ["0", "1", "2"]
    assert len(places(root)) == CROWDED + 1
    assert len([each for each in root.iter("line") if "trade-whisker" in each.attrib["class"]]) == 6


def test_shapes_differ_so_that_colour_is_not_the_only_sign() -> None:
    assert len({shape(kind) for kind in range(NUM_KINDS)}) == NUM_KINDS
    assert shape(0) == shape(NUM_KINDS)


def test_names_that_fit_nowhere_still_stand() -> None:
    root = draw([Group(str(i), "", 0.5, 0.5) for i in range(12)] + [Group("far", "", 1.0, 1.0)])
    assert len([each for each in root.iter("text") if each.attrib.get("class") == "trade-name"]) == 13


def test_it_is_escaped_and_nothing_is_no_error() -> None:
    drawn = trade_off(
        EVIL, [Group(EVIL, EVIL, 0, 0)], [Level(EVIL, 1)], x_label=EVIL, y_label=EVIL, write_x=lambda _: EVIL, write_y=lambda _: EVIL
    )
    root = ET.fromstring(drawn)
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "line", "path"}
    assert root[0].text == EVIL
    assert "nan" not in ET.tostring(draw([]), encoding="unicode")
