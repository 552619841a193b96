"""Shares, differences and means in writing, by hand."""

from __future__ import annotations

import math

import pytest

from variegate.report.numbers import pair_of, read_mean, write_change, write_p, write_range, write_share, write_value


def test_values_by_hand() -> None:
    assert [write_value(value, "share") for value in (0, 0.8321, 1)] == ["0.0 %", "83.2 %", "100.0 %"]
    assert [write_value(value, "score") for value in (0.84213, 2.0, 123.456, 0.0, 0.00012, 12345.6)] == [
        "0.842", "2.000", "123.5", "0.000", "1.2e-04", "12,346",
    ]  # fmt: skip
    assert write_value(1234567, "count") == "1,234,567"
    assert write_value(93, "seconds") == "93 s"
    assert write_share(0.5) == "50.0 %"


def test_differences_carry_their_sign_and_zero_none() -> None:
    assert [write_change(value, "share") for value in (0.0414, -0.0414, 0.0, -0.0004)] == ["+4.1", "−4.1", "0.0", "−0.04"]
    assert [write_change(value, "score") for value in (0.012, -0.012, 0.00002)] == ["+0.012", "−0.012", "+2.0e-05"]
    assert write_change(-98, "count") == "−98"


def test_ranges_have_their_unit_once() -> None:
    assert write_range(0.801, 0.86, "share") == "80.1 to 86.0 %"
    assert write_range(-0.01, 0.02, "share", change=True) == "−1.0 to +2.0"
    assert write_range(None, 0.5, "share") == ""


def test_p_values() -> None:
    assert [write_p(p) for p in (0, 4e-6, 0.013, 0.0999, 0.2, 1)] == ["< 0.001", "< 0.001", "0.013", "0.100", "0.20", "1.00"]


@pytest.mark.parametrize("value", [None, 3, [], {}, {"mean": None}, {"mean": "0.8"}, {"mean": math.nan}, {"mean": True}, {"mean": 1e300}])
def test_what_is_no_mean_reads_as_none(value: object) -> None:
    assert read_mean(value) is None


def test_a_mean_with_gaps() -> None:
    found = read_mean({"mean": 0.8, "sd": "x", "low": 0.7, "n": 3.0, "min": math.inf})
    assert found is not None
    assert (found.mean, found.sd, found.low, found.high, found.least, found.n) == (0.8, None, 0.7, None, None, 3)


@pytest.mark.parametrize("value", [None, [], [1], [1, 2, 3], [2, 1], [1, None], [math.nan, 1], [0, 1e300], "ab"])
def test_what_is_no_interval_reads_as_none(value: object) -> None:
    assert pair_of(value) is None


def test_an_interval() -> None:
    assert pair_of([0.1, 0.2]) == pair_of((0.1, 0.2)) == (0.1, 0.2)
