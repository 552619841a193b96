"""The O(n d) forms against all pairs in float64, their bounds, and data that would cancel."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from variegate.errors import UsageError
from variegate.metrics import vectors
from variegate.metrics.closed_forms import (
    cross_cosine_distance,
    cross_squared_distance,
    direction_sum,
    mean_and_squares,
    mean_cosine_distance,
    mean_squared_distance,
)
from variegate.metrics.vectors import prepare

SCIPY = {"cosine": "cosine", "squared": "sqeuclidean"}
MEAN = {"cosine": mean_cosine_distance, "squared": mean_squared_distance}
CROSS = {"cosine": cross_cosine_distance, "squared": cross_squared_distance}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another. Tests of threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def random(n: int, d: int = 12, seed: int = 0, dtype: type = np.float64) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((n, d)) + 0.3).astype(dtype)


def of_each(x: np.ndarray, form: str) -> np.ndarray:
    """Mean distance of each row to all others, from the whole matrix. By differences: also right far from the origin."""
    distances = cdist(x.astype(np.float64), x.astype(np.float64), SCIPY[form])
    np.fill_diagonal(distances, 0)
    return distances.sum(1) / (len(x) - 1)


@pytest.mark.parametrize("form", MEAN)
@pytest.mark.parametrize(("n", "d"), [(2, 1), (2, 7), (3, 2), (50, 3), (7, 300), (400, 64)])
def test_mean_over_all_pairs(form: str, n: int, d: int) -> None:
    x = random(n, d)
    value, each = MEAN[form](prepare(x), each=True)
    np.testing.assert_allclose(each.numpy(), of_each(x, form), rtol=1e-12, atol=1e-14)
    assert value == pytest.approx(of_each(x, form).mean(), rel=1e-12, abs=1e-14)
    assert MEAN[form](prepare(x), each=False) == (value, None)


@pytest.mark.parametrize("form", CROSS)
@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (1, 5, 3), (40, 30, 64)])
def test_mean_across_two_sets(form: str, n: int, m: int, d: int) -> None:
    a, b = random(n, d), random(m, d, seed=1) - 0.5
    expected = cdist(a, b, SCIPY[form]).mean()
    assert CROSS[form](prepare(a), prepare(b)) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert CROSS[form](prepare(b), prepare(a)) == pytest.approx(expected, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("form", MEAN)
def test_float32_rows_are_summed_in_float64(form: str) -> None:
    x = random(5000, 16, dtype=np.float32)
    value, each = MEAN[form](prepare(x), each=True)
    expected = of_each(x, form)
    assert value == pytest.approx(expected.mean(), rel=1e-9)
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("form", MEAN)
def test_blocks_add_up(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = prepare(random(101)), prepare(random(57, seed=1))
    whole = *MEAN[form](x, each=True), CROSS[form](x, y)
    monkeypatch.setattr(vectors.blocks, "__defaults__", (100,))
    value, each = MEAN[form](x, each=True)
    assert value == pytest.approx(whole[0], rel=1e-13)
    torch.testing.assert_close(each, whole[1], rtol=1e-12, atol=0)
    assert CROSS[form](x, y) == pytest.approx(whole[2], rel=1e-13)


# -- by hand ---------------------------------------------------------------------------------------------------


def test_hand_worked() -> None:
    """1, i, -1 in the plane: cosine distances 1, 1, 2; squares 2, 2, 4."""
    x = prepare(np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
    assert mean_cosine_distance(x, each=True)[0] == pytest.approx(4 / 3)
    assert mean_cosine_distance(x, each=True)[1].tolist() == pytest.approx([1.5, 1, 1.5])
    assert mean_squared_distance(x, each=True)[0] == pytest.approx(8 / 3)
    assert mean_squared_distance(x, each=True)[1].tolist() == pytest.approx([3, 2, 3])
    assert direction_sum(x).tolist() == [0, 1]
    mean, squares = mean_and_squares(x.rows)
    assert mean.tolist() == pytest.approx([0, 1 / 3])
    assert squares.tolist() == pytest.approx([10 / 9, 4 / 9, 10 / 9])


@pytest.mark.parametrize("n", [2, 3, 1000])
@pytest.mark.parametrize("row", [[1.0, 0.0], [0.1, 0.7], [3.0, -1e-3], [1e4, 1e4]])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equal_rows_are_at_distance_0(n: int, row: list[float], dtype: type) -> None:
    x = prepare(np.tile(np.array(row, dtype), (n, 1)))
    length = float(x.norms[0]) ** 2
    rounding = 1e-12 if dtype == np.float32 else 1e-13
    for form, scale in (("cosine", 1), ("squared", length)):
        value, each = MEAN[form](x, each=True)
        assert 0 <= value <= rounding * scale
        assert 0 <= each.min() <= each.max() <= rounding * scale
        assert 0 <= CROSS[form](x, x) <= rounding * scale


@pytest.mark.parametrize(("form", "largest"), [("cosine", 2), ("squared", 4)])
def test_opposite_rows(form: str, largest: float) -> None:
    x = np.array([[0.6, 0.8], [-0.6, -0.8]])
    assert MEAN[form](prepare(x), each=False)[0] == pytest.approx(largest)
    assert CROSS[form](prepare(x[:1]), prepare(x[1:])) == pytest.approx(largest)


# -- far, huge, tiny -------------------------------------------------------------------------------------------


def offset(n: int, seed: int) -> np.ndarray:
    return random(n, 32, seed=seed, dtype=np.float32) + np.float32(1000)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_distances_far_from_the_origin(dtype: type) -> None:
    """A spread of 1 about a point a thousand times as far away: |S|^2 and Q agree in six places."""
    x = offset(2000, 0).astype(dtype)
    value, each = mean_squared_distance(prepare(x), each=True)
    expected = of_each(x, "squared")
    assert value == pytest.approx(expected.mean(), rel=1e-6)
    np.testing.assert_allclose(each.numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_distances_across_sets_far_from_the_origin(dtype: type) -> None:
    a, b = offset(3000, 0).astype(dtype), (offset(2000, 1) + np.float32(0.5)).astype(dtype)
    expected = cdist(a.astype(np.float64), b.astype(np.float64), "sqeuclidean").mean()
    assert cross_squared_distance(prepare(a), prepare(b)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-18, 1e18, 1e36])
def test_lengths_that_leave_float32_when_squared(scale: float) -> None:
    x, y = (random(700, dtype=np.float32, seed=seed) for seed in (0, 1))
    big, other = prepare(x * np.float32(scale)), prepare(y * np.float32(scale))
    assert mean_cosine_distance(big, each=False)[0] == pytest.approx(of_each(x, "cosine").mean(), rel=1e-6)
    assert cross_cosine_distance(big, other) == pytest.approx(cdist(x, y, "cosine").mean(), rel=1e-6)
    assert mean_squared_distance(big, each=False)[0] / scale**2 == pytest.approx(of_each(x, "squared").mean(), rel=1e-6)
    assert cross_squared_distance(big, other) / scale**2 == pytest.approx(cdist(x, y, "sqeuclidean").mean(), rel=1e-6)


def test_a_zero_vector_has_no_cosine() -> None:
    x = random(9)
    x[5] = 0
    calls: list[Callable[[], object]] = [
        lambda: mean_cosine_distance(prepare(x, "made"), each=False),
        lambda: cross_cosine_distance(prepare(random(3)), prepare(x, "made")),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="made: row 5 is a zero vector"):
            call()
    assert mean_squared_distance(prepare(x), each=False)[0] == pytest.approx(of_each(x, "squared").mean())


# -- properties ------------------------------------------------------------------------------------------------

SETS = st.tuples(st.integers(2, 30), st.integers(1, 8), st.integers(0, 2**31)).map(
    lambda case: np.random.default_rng(case[2]).standard_normal(case[:2])
)


@settings(max_examples=50, deadline=None)
@given(SETS, st.floats(1e-6, 1e6), st.floats(-100, 100), st.integers(0, 2**31))
def test_invariances(x: np.ndarray, scale: float, shift: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
    lengths = rng.uniform(0.1, 10, (len(x), 1))
    cosine, squared = (MEAN[form](prepare(x), each=False)[0] for form in ("cosine", "squared"))
    for same in (x[rng.permutation(len(x))], x @ rotation, x * scale, x * lengths):
        assert mean_cosine_distance(prepare(same), each=False)[0] == pytest.approx(cosine, abs=1e-12)
    for same in (x[rng.permutation(len(x))], x @ rotation, x + shift):
        assert mean_squared_distance(prepare(same), each=False)[0] == pytest.approx(squared, rel=1e-10)
    assert mean_squared_distance(prepare(x * scale), each=False)[0] == pytest.approx(squared * scale**2, rel=1e-10)
    assert 0 <= cosine <= 2 + 1e-12


@settings(max_examples=30, deadline=None)
@given(SETS)
def test_the_mean_of_each_is_the_mean_of_all(x: np.ndarray) -> None:
    for form in MEAN.values():
        value, each = form(prepare(x), each=True)
        assert each is not None
        assert float(each.mean()) == pytest.approx(value, rel=1e-9, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(SETS, st.integers(2, 4))
def test_copying_a_set_adds_only_pairs_at_distance_0(x: np.ndarray, times: int) -> None:
    n = len(x)
    share = times * (n - 1) / (times * n - 1)
    for form in MEAN.values():
        value = form(prepare(x), each=False)[0]
        assert form(prepare(np.tile(x, (times, 1))), each=False)[0] == pytest.approx(value * share, rel=1e-9, abs=1e-12)
