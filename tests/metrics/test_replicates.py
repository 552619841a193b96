"""Means and paired differences against scipy's own tests and a table of t."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from variegate.errors import UsageError
from variegate.metrics.replicates import mean_of_replicates, paired_difference

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))


def test_three_replicates_by_hand() -> None:
    """1, 2, 6: mean 3, sd sqrt(7), and t(0.975, 2) = 4.303 from any table."""
    found = mean_of_replicates([1.0, 2.0, 6.0])
    assert (found.mean, found.n) == (3.0, 3)
    assert found.sd == pytest.approx(math.sqrt(7))
    assert found.low is not None
    assert found.high is not None
    assert found.high - 3 == pytest.approx(4.303 * math.sqrt(7) / math.sqrt(3), rel=1e-3)
    assert 3 - found.low == pytest.approx(found.high - 3)


def test_one_value_has_no_interval() -> None:
    assert mean_of_replicates([0.5]).to_json() == {"mean": 0.5, "sd": None, "low": None, "high": None, "n": 1}
    assert paired_difference([0.5], [0.75]).to_json() == {"difference": 0.25, "low": None, "high": None, "n": 1, "p": None}


@given(st.lists(numbers, min_size=2, max_size=12))
def test_the_interval_is_scipys(values: Sequence[float]) -> None:
    found = mean_of_replicates(values, level=0.9)
    if found.sd is None or found.sd < 1e-9:
        return
    low, high = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert found.sd == pytest.approx(np.std(values, ddof=1))


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=12))
def test_the_paired_test_is_scipys(pairs: list[tuple[float, float]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    if np.std(np.subtract(second, first)) < 1e-9:
        return
    found, expected = paired_difference(first, second), stats.ttest_rel(second, first)
    assert found.p == pytest.approx(expected.pvalue, abs=1e-9)
    low, high = expected.confidence_interval()
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))
    assert found.difference == pytest.approx(np.mean(second) - np.mean(first), abs=1e-9)


def test_equal_differences_are_certain() -> None:
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).p == 1
    found = paired_difference([1.0, 2.0], [1.5, 2.5])
    assert (found.difference, found.low, found.high, found.p) == (0.5, 0.5, 0.5, 0)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([], [], "none given, expected at least one"),
        ([1.0], [1.0, 2.0], "equally many values: got 1 and 2"),
        ([1.0, math.nan], [1.0, 2.0], "got nan, expected finite numbers"),
    ],
)
def test_what_cannot_be_paired(first: list[float], second: list[float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        paired_difference(first, second)
