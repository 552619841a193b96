"""The sweep against counting, SciPy's intervals and McNemar's test of statsmodels; slopes against their formulas."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar

from variegate.errors import UsageError
from variegate.metrics.subjectivity import agreement_slope, attainable_gammas, gamma_sweep, paired_difference

SHARES = st.sampled_from([1 / 3, 2 / 3, 1.0, 0.5, 0.6, 0.8])
items = st.lists(st.tuples(SHARES, st.booleans(), st.booleans()), min_size=1, max_size=60)


def arrays(rows: list[tuple[float, bool, bool]]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    shares, a, b = (np.array(each) for each in zip(*rows, strict=True))
    return shares, {"a": a, "b": b}


def pair_of(b: int, c: int, both: int = 0, neither: int = 0) -> Any:
    first = np.array([True] * b + [False] * c + [True] * both + [False] * neither)
    second = np.array([False] * b + [True] * c + [True] * both + [False] * neither)
    return paired_difference("first", "second", first, second)


@settings(deadline=None, max_examples=60)
@given(items)
def test_the_sweep_counts(rows: list[tuple[float, bool, bool]]) -> None:
    shares, correct = arrays(rows)
    points = gamma_sweep(shares, correct, [*attainable_gammas(shares), 0.55, 0.9], [("a", "b")])
    assert points[0].gamma == 0
    assert points[0].n == len(rows)
    for name, right in correct.items():
        assert points[0].accuracy[name].value == right.mean()
    assert all(now.n >= later.n and now.gamma < later.gamma for now, later in pairwise(points))
    for point in points:
        inside = [row for row in rows if row[0] >= point.gamma]
        assert point.n == len(inside)
        if not inside:
            assert (dict(point.accuracy), point.differences) == ({}, ())
            continue
        assert point.num_correct == {"a": sum(row[1] for row in inside), "b": sum(row[2] for row in inside)}
        wilson = binomtest(point.num_correct["a"], point.n).proportion_ci(method="wilson")
        assert (point.accuracy["a"].low, point.accuracy["a"].high) == pytest.approx((wilson.low, wilson.high), abs=1e-9)
        (difference,) = point.differences
        assert difference.value == pytest.approx(point.accuracy["a"].value - point.accuracy["b"].value)
        assert difference.low <= difference.value <= difference.high


def test_the_largest_gamma_keeps_the_unanimous() -> None:
    """`>=`: with `>` nothing would be left at 1."""
    (_, last) = gamma_sweep(np.array([0.5, 1.0, 1.0]), {"a": np.array([False, True, False])}, [0, 1])
    assert (last.n, last.num_correct["a"]) == (2, 1)


def test_gammas_of_many_shares_are_thinned() -> None:
    assert attainable_gammas(np.array([1.0, 2 / 3, 1.0])) == [0.0, 2 / 3, 1.0]
    many = attainable_gammas(np.linspace(0.3, 1, 500))
    assert len(many) == 41
    assert (many[0], many[1], many[-1]) == (0.0, 0.3, 1.0)


@pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
def test_a_gamma_that_is_no_share_is_refused(gamma: float) -> None:
    with pytest.raises(UsageError, match="expected a share of annotators"):
        gamma_sweep(np.array([1.0]), {}, [gamma])


def test_answers_for_other_items_are_refused() -> None:
    with pytest.raises(UsageError, match="student 'a': 1 answers for 2 items"):
        gamma_sweep(np.array([1.0, 0.5]), {"a": np.array([True])}, [0])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 60), st.integers(0, 20))
def test_the_paired_interval_leaves_0_out_where_mcnemar_rejects(b: int, c: int, both: int, neither: int) -> None:
    if b + c == 0:
        return
    found = pair_of(b, c, both, neither)
    rejects = mcnemar([[both, b], [c, neither]], exact=False, correction=False).pvalue < 0.05
    assert (found.low > 0 or found.high < 0) == rejects


@pytest.mark.parametrize(("b", "c", "both", "neither"), [(12, 2, 36, 0), (14, 0, 36, 0), (0, 0, 50, 0), (1, 0, 2, 7), (3, 30, 400, 90)])
def test_the_paired_bounds_are_where_the_score_test_turns(b: int, c: int, both: int, neither: int) -> None:
    """p(second only) maximises the likelihood given the difference; here numerically, there in closed form."""
    n = b + c + both + neither
    found = pair_of(b, c, both, neither)

    def statistic(d: float) -> float:
        low, high = max(0.0, -d), (1 - d) / 2  # p21 >= 0, p21 + d >= 0, p21 + p21 + d <= 1

        def loss(p: float) -> float:
            parts = ((b, p + d), (c, p), (n - b - c, 1 - 2 * p - d))
            return -sum(count * np.log(max(part, 1e-300)) for count, part in parts if count)

        p = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
        return float((b - c - n * d) ** 2 / (n * (2 * p + d * (1 - d))))

    for bound in (found.low, found.high):
        if -1 < bound < 1:
            assert statistic(bound) == pytest.approx(3.8415, abs=2e-2)
    assert -1 <= found.low <= found.value <= found.high <= 1


def test_the_paired_interval_has_a_width_where_nothing_differs() -> None:
    found = pair_of(0, 0, both=50)
    assert found.value == 0
    assert found.high == pytest.approx(3.8415 / (50 + 3.8415), abs=1e-6)  # Wilson's bound for 0 of 50
    assert found.low == pytest.approx(-found.high)


def test_the_slope_and_its_interval() -> None:
    rng = np.random.default_rng(3)
    shares = rng.choice([0.4, 0.6, 0.8, 1.0], 300)
    right = (rng.random(300) < 0.3 + 0.6 * shares).astype(float)
    found = agreement_slope(shares, right)
    assert found is not None
    slope, level = np.polyfit(shares, right, 1)
    centred = shares - shares.mean()
    leverage = 1 / 300 + centred**2 / (centred**2).sum()
    residual = right - level - slope * shares
    error = np.sqrt((centred**2 * (residual / (1 - leverage)) ** 2).sum()) / (centred**2).sum()
    assert (found.value, found.low, found.high) == pytest.approx((slope, slope - 1.95996 * error, slope + 1.95996 * error), abs=1e-5)


def test_slopes_of_two_students_differ_by_the_slope_of_the_difference() -> None:
    rng = np.random.default_rng(0)
    shares = rng.choice([0.5, 0.75, 1.0], 80)
    a, b = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    found = [agreement_slope(shares, each) for each in (a, b, a - b)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[2] is not None
    assert found[0].value - found[1].value == pytest.approx(found[2].value)


@pytest.mark.filterwarnings("error")
def test_a_slope_that_cannot_be_told_is_not_told() -> None:
    assert agreement_slope(np.ones(5), np.arange(5.0)) is None
    straight = agreement_slope(np.array([0.5, 0.5, 1.0, 1.0]), np.ones(4))
    assert straight is not None
    assert (round(straight.value, 9), straight.low, straight.high) == (0, None, None)
    alone = agreement_slope(np.array([0.5, 1.0, 1.0, 1.0]), np.array([0, 1, 0, 1]))
    assert alone is not None
    assert (alone.value, alone.low) == (pytest.approx(4 / 3), None)
    two = agreement_slope(np.array([0.5, 1.0]), np.array([0, 1]))
    assert two is not None
    assert (two.value, two.low) == (pytest.approx(2), None)
