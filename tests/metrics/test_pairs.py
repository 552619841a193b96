"""One pass over all pairs for every distance: conversions, copies, indices."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from variegate.errors import UsageError
from variegate.metrics.pairs import Pairs, check_distance, from_euclidean, measure_pairs, rows_for, to_euclidean
from variegate.metrics.values import DISTANCES
from variegate.metrics.vectors import prepare

IMPLEMENTATIONS = ("dense", "tiles", "faiss")
SUMMED = ("euclidean", "angular")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another. Tests of threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def matrix(x: np.ndarray, distance: str) -> np.ndarray:
    """All distances in float64, without rounding that makes equal rows differ."""
    x = x.astype(np.float64)
    if distance in ("cosine", "angular"):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    euclidean = cdist(x, x)
    return {
        "cosine": euclidean**2 / 2,
        "euclidean": euclidean,
        "sqeuclidean": euclidean**2,
        "angular": 2 * np.arcsin(np.clip(euclidean / 2, 0, 1)) / np.pi,
    }[distance]


def measure(x: np.ndarray, distance: str, implementation: str, *, sums: bool = False) -> Pairs:
    v = prepare(x)
    return measure_pairs(v, distance, implementation, distinct=v.distinct(), sums=sums)


def with_copies(n: int, copies: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 8)).astype(np.float32)
    x[rng.choice(n, copies, replace=False)] = x[rng.integers(0, n // 2, copies)]
    return x


# -- distances -------------------------------------------------------------------------------------------------


def test_distances_of_known_angles() -> None:
    """Unit vectors 0, 60, 90 and 180 degrees apart."""
    chords = torch.tensor([0.0, 1.0, math.sqrt(2), 2.0], dtype=torch.float64)
    assert from_euclidean(chords, "cosine").tolist() == pytest.approx([0, 0.5, 1, 2])
    assert from_euclidean(chords, "angular").tolist() == pytest.approx([0, 1 / 3, 1 / 2, 1])
    assert from_euclidean(chords, "sqeuclidean").tolist() == pytest.approx([0, 1, 2, 4])
    assert from_euclidean(chords, "euclidean").tolist() == chords.tolist()


@pytest.mark.parametrize("distance", DISTANCES)
def test_there_and_back(distance: str) -> None:
    values = torch.linspace(0, 2, 41, dtype=torch.float64)
    back = [to_euclidean(float(each), distance) for each in from_euclidean(values, distance)]
    assert back == pytest.approx(values.tolist(), abs=1e-8)


@pytest.mark.parametrize("distance", DISTANCES)
def test_no_neighbour_stays_infinitely_far(distance: str) -> None:
    assert from_euclidean(torch.tensor([math.inf], dtype=torch.float64), distance).tolist() == [math.inf]


def test_angles_of_rounded_lengths_end_at_1() -> None:
    assert from_euclidean(torch.tensor([2.0000002], dtype=torch.float64), "angular").tolist() == [1.0]


def test_rows_are_of_unit_length_where_only_directions_count() -> None:
    v = prepare(np.array([[3.0, 4.0], [0.0, 2.0]]))
    for distance in ("cosine", "angular"):
        np.testing.assert_allclose(rows_for(v, distance).numpy(), [[0.6, 0.8], [0, 1]], rtol=1e-7)
    for distance in ("euclidean", "sqeuclidean"):
        assert rows_for(v, distance) is v.rows


def test_unknown_distances() -> None:
    for known in DISTANCES:
        check_distance(known)
    with pytest.raises(UsageError, match=r"distance 'euclidian' is not known; did you mean 'euclidean'\? Known: cosine, euclidean"):
        check_distance("euclidian")
    with pytest.raises(UsageError, match=r"distance 'l2' is not known\. Known: cosine"):
        check_distance("l2")


# -- all pairs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("copies", [0, 1, 150])
def test_nearest_and_sums(copies: int, distance: str, implementation: str) -> None:
    x = with_copies(500, copies)
    sums = distance in SUMMED
    found = measure(x, distance, implementation, sums=sums)
    distances = matrix(x, distance)
    if sums:
        np.testing.assert_allclose(found.sums.numpy(), distances.sum(1), rtol=2e-6)
        assert found.total == pytest.approx(distances.sum(), rel=2e-7)
    else:
        assert found.sums is None
        assert found.total is None
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_allclose(found.distances.numpy(), distances.min(1), rtol=1e-6, atol=1e-12)
    index = found.index.numpy()
    assert not (index == np.arange(500)).any()
    np.testing.assert_allclose(distances[np.arange(500), index], distances.min(1), rtol=1e-6, atol=1e-12)
    copied = (distances == 0).any(1)
    assert (found.distances.numpy()[copied] == 0).all()
    assert (index[copied] == distances[copied].argmin(1)).all()  # of several copies the first
    assert (found.distances.numpy()[~copied] > 0).all()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("n", [2, 3, 700])
def test_all_rows_equal(n: int, distance: str, implementation: str) -> None:
    found = measure(np.tile(np.array([[0.1, 0.7, -3]], np.float32), (n, 1)), distance, implementation, sums=distance in SUMMED)
    assert found.distances.tolist() == [0.0] * n
    assert found.index.tolist() == [1] + [0] * (n - 1)
    if distance in SUMMED:
        assert found.total == 0
        assert found.sums.tolist() == [0.0] * n


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_kinds_by_hand(implementation: str) -> None:
    """a, a, b with |a - b| = 5: sums 5, 5, 10."""
    found = measure(np.array([[0, 0], [0, 0], [3, 4]], np.float32), "euclidean", implementation, sums=True)
    assert found.distances.tolist() == [0, 0, 5]
    assert found.index.tolist() == [1, 0, 0]
    assert found.sums.tolist() == pytest.approx([5, 5, 10], rel=1e-6)
    assert found.total == pytest.approx(20, rel=1e-6)


def test_zero_and_minus_zero_are_one() -> None:
    found = measure(np.array([[0.0, 1.0], [1.0, 0.0], [-0.0, 1.0]], np.float32), "cosine", "dense")
    assert found.distances.tolist() == [0, pytest.approx(1), 0]
    assert found.index.tolist() == [2, 0, 0]


@pytest.mark.parametrize("implementation", ["dense", "tiles"])
def test_without_row_sums(implementation: str) -> None:
    v = prepare(with_copies(100, 20))
    full, short = (
        measure_pairs(v, "euclidean", implementation, distinct=v.distinct(), sums=True, row_sums=row_sums) for row_sums in (True, False)
    )
    assert short.sums is None
    assert short.total == full.total


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(1, 3), st.integers(0, 2**31), st.sampled_from(DISTANCES), st.sampled_from(IMPLEMENTATIONS))
def test_shuffled_rows_keep_their_neighbours(n: int, largest: int, seed: int, distance: str, implementation: str) -> None:
    """Whole numbers, with copies and ties."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, largest + 2, (n, 3)).astype(np.float32)
    order = rng.permutation(n)
    found, shuffled = measure(x, distance, implementation), measure(x[order], distance, implementation)
    np.testing.assert_allclose(shuffled.distances.numpy(), found.distances.numpy()[order], rtol=1e-6, atol=1e-12)
    distances = matrix(x, distance)
    reached = distances[order, order[shuffled.index.numpy()]]
    np.testing.assert_allclose(reached, found.distances.numpy()[order], rtol=1e-6, atol=1e-12)
