"""Heat maps: every count in its place, shades that are shares of the row, and nothing outside the drawing."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.report.matrix import LIGHT_TEXT_FROM, NUMBERED, Matrix, heat_map

EVIL = '<script>alert("x")</script> & \'"'


def draw(matrix: Matrix) -> ET.Element:
    return ET.fromstring(heat_map("t", matrix, row_title="given", column_title="final"))


def cells(root: ET.Element) -> list[ET.Element]:
    return [each for each in root.iter("rect") if "heat-cell" in each.attrib["class"]]


@st.composite
def matrices(draw_: st.DrawFn, most: int = 8) -> Matrix:
    size = draw_(st.integers(1, most))
    places = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    return Matrix([f"label {i}" for i in range(size)], draw_(st.dictionaries(places, st.integers(0, 10_000).map(float), max_size=20)))


@given(matrices())
def test_every_count_is_drawn_in_its_place_with_its_share(matrix: Matrix) -> None:
    root = draw(matrix)
    frame = next(each for each in root.iter("rect") if each.attrib["class"] == "heat-frame")
    left, top, side = (float(frame.attrib[name]) for name in ("x", "y", "width"))
    size = side / len(matrix.labels)
    found = {}
    for cell in cells(root):
        column = round((float(cell.attrib["x"]) - left) / size)
        row = round((float(cell.attrib["y"]) - top) / size)
        said = re.search(r": ([\d,]+) of ([\d,]+) ", cell[0].text or "")
        assert said
        found[row, column] = float(said[1].replace(",", ""))
        share = matrix.counts[row, column] / sum(count for (r, _), count in matrix.counts.items() if r == row)
        assert float(cell.attrib["fill-opacity"]) == pytest.approx(0.1 + 0.9 * share, abs=0.001)
        assert ("heat-same" in cell.attrib["class"]) == (row == column)
    assert found == {place: count for place, count in matrix.counts.items() if count}


def test_numbers_and_sums_by_hand() -> None:
    root = draw(Matrix(["a", "b"], {(0, 0): 6, (0, 1): 2, (1, 1): 1234}))
    texts = [(each.attrib.get("class"), each.text) for each in root.iter("text")]
    assert [text for kind, text in texts if kind == "heat-total"] == ["8", "1,234"]
    assert [(kind, text) for kind, text in texts if kind in ("heat-dark", "heat-light")] == [
        ("heat-light", "6"), ("heat-light", "2"), ("heat-dark", "1,234"),
    ]  # fmt: skip
    assert cells(root)[0][0].text == "a → a: 6 of 8 (75 %)"


def test_the_colour_of_a_number_turns_where_its_cell_grows_dark() -> None:
    share = (LIGHT_TEXT_FROM - 0.1) / 0.9
    for count, kind in ((share - 0.01, "heat-light"), (share + 0.01, "heat-dark")):
        root = draw(Matrix(["a", "b"], {(0, 0): round(10_000 * count), (0, 1): 10_000 - round(10_000 * count)}))
        assert next(each for each in root.iter("text") if each.text == f"{round(10_000 * count):,}").attrib["class"] == kind


def test_a_large_one_is_few_paths_with_every_count() -> None:
    """150 labels: the area of the squares is the number of counts, and labels are named only where there is room."""
    labels = [f"label_{index}" for index in range(150)]
    counts = {(row, (row * 7 + step) % 150): float(step + 1) for row in range(150) for step in range(4)}
    drawn = heat_map("t", Matrix(labels, counts), row_title="true", column_title="predicted")
    root = ET.fromstring(drawn)
    assert not cells(root)
    paths = list(root.iter("path"))
    assert len(paths) <= 10
    assert sum(each.attrib["d"].count("M") for each in paths) == len(counts)
    named = [each for each in root.iter("text") if each.attrib.get("class") == "heat-name" and each.attrib.get("text-anchor") == "end"]
    assert 30 <= len(named) <= 60
    gaps = [float(b.attrib["y"]) - float(a.attrib["y"]) for a, b in pairwise(named)]
    assert min(gaps) >= 12
    assert len(drawn) < 60_000


@settings(max_examples=30)
@given(st.integers(1, 160), st.integers(0, 60))
def test_it_stays_inside_its_width(num: int, length: int) -> None:
    root = draw(Matrix(["x" * length or "y"] * num, {(place, place): 5.0 for place in range(num)}))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    frame = next(each for each in root.iter("rect") if each.attrib["class"] == "heat-frame")
    assert float(frame.attrib["x"]) + float(frame.attrib["width"]) <= width
    assert float(frame.attrib["y"]) + float(frame.attrib["height"]) <= height
    shown = min(length or 1, 26) * 6.8 * 0.71
    for each in root.iter("text"):
        if "rotate(-45)" in each.attrib.get("transform", ""):
            x, y = (float(part) for part in re.findall(r"translate\(([\d.]+) ([\d.]+)\)", each.attrib["transform"])[0])
            assert x + shown <= width + 12
            assert y - shown >= 0


def test_the_largest_off_the_diagonal_come_first() -> None:
    matrix = Matrix(["a", "b", "c"], {(0, 0): 90, (0, 1): 10, (1, 0): 10, (1, 1): 10, (2, 0): 30, (0, 2): 0})
    assert matrix.largest() == [("c", "a", 30, 1.0), ("a", "b", 10, 0.1), ("b", "a", 10, 0.5)]


def test_labels_are_escaped_and_nothing_is_no_error() -> None:
    root = ET.fromstring(heat_map(EVIL, Matrix([EVIL, "b"], {(0, 1): 3}), row_title=EVIL, column_title=EVIL))
    assert {element.tag for element in root.iter()} <= {"svg", "title", "text", "rect", "path"}
    assert root[0].text == EVIL
    assert draw(Matrix([], {})).tag == "svg"
    assert draw(Matrix(["only"], {})).tag == "svg"
    assert NUMBERED < 77
