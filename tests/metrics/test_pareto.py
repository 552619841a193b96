"""The front against its definition, every pair looked at."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.metrics.pareto import pareto_front

coordinate = st.integers(-4, 4).map(float)  # few values: ties and copies are common


def beaten(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return b[0] >= a[0] and b[1] >= a[1] and b != a


@given(st.lists(st.tuples(coordinate, coordinate), max_size=20))
def test_the_front_is_what_no_other_beats(points: list[tuple[float, float]]) -> None:
    found = pareto_front(points)
    assert sorted(found) == [place for place, point in enumerate(points) if not any(beaten(point, other) for other in points)]
    firsts = [points[place][0] for place in found]
    assert firsts == sorted(firsts, reverse=True)


def test_by_hand() -> None:
    #  accuracy, diversity: the third is beaten by the first, the last two are one point
    points = [(0.9, 0.3), (0.7, 0.8), (0.8, 0.3), (0.9, 0.2), (0.5, 0.9), (0.5, 0.9)]
    assert pareto_front(points) == [0, 1, 4, 5]
    assert pareto_front([]) == []


def test_a_point_that_is_no_number() -> None:
    with pytest.raises(UsageError, match=r"point 1: got \(nan, 1.0\), expected two finite numbers"):
        pareto_front([(0.0, 0.0), (math.nan, 1.0)])
