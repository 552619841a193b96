"""Numbers in writing by hand; and JSON of which nothing is certain."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.metrics.values import MetricValue
from variegate.report.measured import finite, measured, scalar, whole, words, written, written_interval


def one(number: float, **more: Any) -> Any:
    (each,) = measured([MetricValue("chamfer", number, n=5, implementation="dense", precision="float64", **more).to_json()])
    return each


@pytest.mark.parametrize(
    ("number", "kind", "expected"),
    [
        (0.87, "", "0.8700"), (-0.25, "", "-0.2500"), (0.0, "", "0.0000"), (0.00042, "", "4.2e-04"), (12.345, "", "12.3"),
        (1234.5, "", "1,234"), (0.0073, "share", "0.7 %"), (0.462, "share", "46.2 %"), (0.0, "share", "0 %"), (1.0, "share", "100 %"),
        (0.0001, "share", "< 0.1 %"), (0.9999, "share", "> 99.9 %"), (3282.0, "count", "3,282"), (9.094, "number", "9.09"),
        (57.09, "number", "57.1"),
    ],
)  # fmt: skip
def test_numbers_by_hand(number: float, kind: str, expected: str) -> None:
    assert written(one(number), kind) == expected


def test_an_interval_is_as_fine_as_its_width() -> None:
    each = one(0.7739871, interval=(0.7739682, 0.7740118))
    assert written(each) == "0.773987"
    assert written_interval(each) == "0.773968 to 0.774012"
    assert written_interval(one(0.5)) == ""
    assert written_interval(one(0.0, interval=(0.0, 0.0))) == "0.0000 to 0.0000"


@given(st.floats(-2, 2), st.floats(1e-8, 0.1))
def test_a_written_interval_still_has_the_value_inside(number: float, half: float) -> None:
    each = one(number, interval=(number - half, number + half))
    low, high = (float(bound) for bound in written_interval(each).split(" to "))
    assert low <= float(written(each)) <= high
    assert low < high


def test_every_field_of_a_value_is_read() -> None:
    each = one(0.5, distance="cosine", m=7, k=3, encoder="e", include_self=False, num_duplicates=2, details={"drawn_from": 9})
    assert (each.metric, each.value, each.n, each.m, each.k, each.distance, each.encoder) == ("chamfer", 0.5, 5, 7, 3, "cosine", "e")
    assert (each.include_self, each.num_duplicates, each.drawn_from, each.implementation) == (False, 2, 9, "dense")


def test_what_is_no_number_is_no_value() -> None:
    for bad in (None, "0.5", True, math.nan, math.inf, 10**400, [1], {}):
        assert measured([{"metric": "chamfer", "value": bad}]) == []
    for bad in (None, 3, "x", {"value": 1}, [None, 3, "x", []]):
        assert measured(bad) == []
    (each,) = measured([{"value": 1, "n": 1.5, "interval": [0, None], "details": 3, "include_self": "yes", "distance": 7}])
    assert (each.n, each.interval, each.drawn_from, each.include_self, each.distance) == (None, None, None, None, "")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=5), inside, max_size=4),
)


@given(JSON)
def test_nothing_is_too_odd_to_read(data: Any) -> None:
    for each in (finite(data), whole(data)):
        assert each is None or math.isfinite(each)
    assert len(words(data)) <= 80
    assert isinstance(scalar(data), str)
    assert isinstance(measured(data), list)
    json.dumps([each.value for each in measured([data, {"value": data}])], allow_nan=False)
