"""Estimates against exact values: how often the 95 % interval holds them, the moments behind them, copies, extremes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from variegate.metrics import chamfer, estimates, top_k_similarity
from variegate.metrics.estimates import (
    Estimate,
    _cross_moments,
    _difference,
    mean_cross_distance,
    mean_nearest_distance,
    mean_pair_distance,
    mean_top_k,
)
from variegate.metrics.pairs import rows_for
from variegate.metrics.values import DISTANCES
from variegate.metrics.vectors import prepare, unit_rows
from variegate.neighbors import InvertedIndex

faiss = pytest.importorskip("faiss")
# Of 100 intervals that each hold the value with 0.95, fewer than 88 do with probability 0.002 (binomial). What an inverted
# index misses is skewed (most rows by nothing, few by much), so that its intervals hold 92 to 95 of 100.
REPEATS, LEAST, LEAST_SKEWED = 100, 88, 85


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another."""
    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    yield
    torch.set_num_threads(before[0])
    faiss.omp_set_num_threads(before[1])


def clustered(n: int, d: int = 64, seed: int = 0, copies: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = (2 * rng.standard_normal((12, d))[rng.integers(0, 12, n)] + rng.standard_normal((n, d))).astype(np.float32)
    x[:copies] = x[copies : 2 * copies]
    return x


def distances_between(a: np.ndarray, b: np.ndarray, distance: str) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if distance == "euclidean":
        return cdist(a, b)
    a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    return 2 * np.arcsin(np.clip(cdist(a, b) / 2, 0, 1)) / np.pi


def mean_distance(x: np.ndarray, distance: str) -> float:
    distances = distances_between(x, x, distance)
    np.fill_diagonal(distances, 0)
    return distances.sum() / (len(x) * (len(x) - 1))


def pair_estimate(x: np.ndarray, distance: str = "euclidean", **options: int) -> Estimate:
    v = prepare(x)
    return mean_pair_distance(v, v.distinct(), distance, **{"seed": 0, "num_pairs": 5000, **options})


def nearest_estimate(x: np.ndarray, distance: str = "euclidean", **options: int) -> Estimate:
    v = prepare(x)
    return mean_nearest_distance(v, v.distinct(), distance, **{"seed": 0, **options})


def held(estimate: Callable[[int], Estimate], truth: float) -> int:
    """How many of the seeds' intervals hold the truth."""
    found = [estimate(seed) for seed in range(REPEATS)]
    assert all(each.interval[0] <= each.value <= each.interval[1] for each in found)
    return sum(each.interval[0] <= truth <= each.interval[1] for each in found)


# -- control variates ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
@pytest.mark.parametrize("copies", [0, 60])
def test_the_interval_holds_the_mean_over_all_pairs(copies: int, distance: str) -> None:
    x = clustered(300, copies=copies)
    v = prepare(x)
    distinct = v.distinct()
    assert distinct.num_duplicates == copies
    truth = mean_distance(x, distance)
    assert held(lambda seed: mean_pair_distance(v, distinct, distance, seed=seed, num_pairs=1000), truth) >= LEAST


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_the_interval_holds_the_mean_across_two_sets(distance: str) -> None:
    x, y = clustered(300), clustered(200, seed=1)
    a, b = prepare(x), prepare(y)
    truth = distances_between(x, y, distance).mean()
    assert held(lambda seed: mean_cross_distance(a, b, distance, seed=seed, num_pairs=1000), truth) >= LEAST


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_control_variates_save_most_of_the_sample(distance: str) -> None:
    """Against 1.96 s / sqrt(pairs) of plain sampling."""
    x = clustered(500)
    found = pair_estimate(x, distance, num_pairs=20_000)
    plain = 1.96 * distances_between(x, x, distance)[np.triu_indices(500, 1)].std() / math.sqrt(20_000)
    assert found.interval[1] - found.value < plain / 4
    assert found.value - found.interval[0] == pytest.approx(found.interval[1] - found.value)
    assert found.value == pytest.approx(mean_distance(x, distance), abs=3 * plain / 4)
    assert found.details == {"num_pairs": 20_000, "seed": 0}


@pytest.mark.parametrize("shift", [0.0, 1000.0])
@pytest.mark.parametrize("same", [True, False])
def test_moments_are_those_of_all_pairs(same: bool, shift: float) -> None:
    a = clustered(300, d=200) + np.float32(shift)
    b = a if same else clustered(150, d=200, seed=1) + np.float32(shift)
    left = torch.from_numpy(a)
    squares = cdist(a.astype(np.float64), b.astype(np.float64), "sqeuclidean")
    first, second = _cross_moments(left, left if same else torch.from_numpy(b))
    assert first == pytest.approx(squares.sum(), rel=1e-6)
    assert second == pytest.approx((squares**2).sum(), rel=1e-6)


def test_the_seed_decides() -> None:
    x = clustered(300)
    assert pair_estimate(x, seed=3) == pair_estimate(x, seed=3)
    assert pair_estimate(x, seed=3).value != pair_estimate(x, seed=4).value


@pytest.mark.parametrize("scale", [1e-18, 1e-6, 1e6, 1e14, 1e18])
def test_a_scaled_set_has_scaled_distances(scale: float) -> None:
    x = clustered(300)
    value, (low, high) = (lambda each: (each.value, each.interval))(pair_estimate(x * np.float32(scale)))
    assert (value / scale, low / scale, high / scale) == pytest.approx((pair_estimate(x).value, *pair_estimate(x).interval), rel=1e-5)
    a, b = (prepare(each * np.float32(scale)) for each in (x, clustered(200, seed=1)))
    across = mean_cross_distance(a, b, "euclidean", seed=0, num_pairs=5000)
    assert across.value / scale == pytest.approx(distances_between(x, clustered(200, seed=1), "euclidean").mean(), rel=1e-3)


def test_a_moved_set_keeps_its_distances() -> None:
    x = clustered(300)
    assert pair_estimate(x + np.float32(1000)).value == pytest.approx(pair_estimate(x).value, rel=1e-4)


@pytest.mark.parametrize("distance", ["euclidean", "angular"])
def test_few_kinds(distance: str) -> None:
    """One kind; two, whose distances are all the same; a thousand copies and one row of its own."""
    assert pair_estimate(np.ones((50, 3), np.float32), distance) == Estimate(0.0, (0.0, 0.0), {"num_pairs": 0, "seed": 0})
    two = np.repeat(np.array([[3.0, 0.0], [0.0, 4.0]]), [20, 30], axis=0)
    assert pair_estimate(two, distance).value == pytest.approx(mean_distance(two, distance), rel=1e-6)
    assert pair_estimate(two[:1].repeat(1001, 0) + np.eye(1001, 2), distance).value == pytest.approx(
        mean_distance(two[:1].repeat(1001, 0) + np.eye(1001, 2), distance), rel=1e-6
    )
    assert pair_estimate(two[[0, 20]], distance).value == pytest.approx(mean_distance(two[[0, 20]], distance), rel=1e-6)


@pytest.mark.timeout(10)
def test_a_collapsed_set_is_no_slower() -> None:
    """Pairs that differ are two in 10^5: to draw all pairs and keep those takes 10^10 draws."""
    x = np.zeros((200_000, 8), np.float32)
    x[:, 0], x[7, 1] = 1, 1
    assert pair_estimate(x, num_pairs=400_000).value == pytest.approx(2 / 200_000, rel=1e-5)


def test_parallel_rows_are_at_angle_0() -> None:
    """They differ as rows, and not as directions."""
    x = 2.0 ** np.arange(20)[:, None] * clustered(1)
    found = pair_estimate(x, "angular")
    assert found.value == pytest.approx(0, abs=1e-7)
    assert found.interval == pytest.approx((0, 0), abs=1e-7)


# -- inverted index and its correction -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("distance", ["euclidean", "cosine", "angular"])
@pytest.mark.parametrize("copies", [0, 200])
def test_the_interval_holds_chamfer(copies: int, distance: str) -> None:
    x = clustered(1200, d=16, copies=copies)
    v = prepare(x)
    distinct = v.distinct()
    truth = chamfer(x, distance=distance, implementation="dense").value
    assert held(lambda seed: mean_nearest_distance(v, distinct, distance, seed=seed, num_exact=400, num_probes=1), truth) >= LEAST_SKEWED


def test_the_interval_holds_top_k() -> None:
    reference, synthetic = unit_rows(clustered(600, d=16, seed=1)), unit_rows(clustered(1200, d=16))
    truth = top_k_similarity(reference, synthetic, k=5, implementation="dense").value
    assert held(lambda seed: mean_top_k(reference, synthetic, 5, seed=seed, num_exact=200, num_probes=1), truth) >= LEAST_SKEWED


def test_the_correction_by_hand() -> None:
    """Ten rows of 2, 3, ..., 11; of four, two were 1 too large. Their spread is 1 / sqrt(3), and 4 of 10 leave sqrt(0.6) of it."""
    approximate = torch.arange(2.0, 12.0, dtype=torch.float64)
    sample = torch.tensor([0, 3, 5, 9])
    exact = approximate[sample] - torch.tensor([1, 0, 1, 0])
    value, low, high = _difference(approximate, exact, sample, sign=-1, rounding=0.0)
    half_width = 1.959964 * (1 / 3**0.5) / 4**0.5 * 0.6**0.5
    assert (value, low, high) == pytest.approx((6.5 - 0.5, 6 - half_width, 6 + half_width))
    none = approximate[sample]
    assert _difference(approximate, none, sample, sign=-1, rounding=0.0) == pytest.approx((6.5, 6.5 - 3 / 4 * 9, 6.5))
    assert _difference(approximate, none, sample, sign=1, rounding=0.0) == pytest.approx((6.5, 6.5, 6.5 + 3 / 4 * 9))
    assert _difference(approximate, none + 1e-7, sample, sign=1, rounding=1e-6)[2] == pytest.approx(6.5 + 3 / 4 * 9)
    everything = torch.arange(10)
    assert _difference(approximate, approximate - 1, everything, sign=-1, rounding=0.0) == pytest.approx((5.5, 5.5, 5.5))


def test_what_the_index_missed_is_counted_and_corrected() -> None:
    x = clustered(3000, d=16)
    truth = chamfer(x, distance="euclidean", implementation="dense").value
    one, many = nearest_estimate(x, num_exact=500, num_probes=1), nearest_estimate(x, num_exact=500, num_probes=1000)
    assert one.details == {"num_probes": 1, "seed": 0, "num_lists": 60, "num_exact": 500, "num_missed": one.details["num_missed"]}
    assert 100 < one.details["num_missed"] < 400
    assert many.details["num_missed"] == 0
    assert many.value == pytest.approx(truth, rel=1e-6)
    assert nearest_estimate(x, num_exact=500, num_probes=1) == one
    assert nearest_estimate(x, num_exact=500, num_probes=1, seed=1).value != one.value


def test_where_the_sample_shows_no_miss_the_interval_is_not_empty() -> None:
    """Up to 3 in m may be missed, 95 of 100 times (the rule of three), to the one side that misses lead to."""
    x = clustered(1500, d=16)
    each = chamfer(x, distance="euclidean", implementation="dense").per_record
    found = nearest_estimate(x, num_exact=300, num_probes=1000)
    assert found.interval[1] == found.value
    assert found.value - found.interval[0] == pytest.approx(3 / 300 * (each.max() - each.min()), rel=1e-5)
    a, b = unit_rows(clustered(700, d=16, seed=1)), unit_rows(x)
    means = top_k_similarity(a, b, k=3, implementation="dense").per_record
    top = mean_top_k(a, b, 3, seed=0, num_exact=300, num_probes=1000)
    assert top.interval[0] == top.value == pytest.approx(means.mean(), abs=1e-6)
    assert top.interval[1] - top.value == pytest.approx(3 / 300 * (means.max() - means.min()), rel=1e-4)


def test_a_sample_of_all_rows_leaves_nothing_to_estimate() -> None:
    x = clustered(400, d=16)
    found = nearest_estimate(x, num_probes=1)
    assert found.details["num_exact"] == 400
    assert found.interval == (found.value, found.value)
    assert found.value == pytest.approx(chamfer(x, distance="euclidean").value, rel=1e-7)


@pytest.mark.parametrize("distance", DISTANCES)
def test_rows_alone_in_their_list_are_searched_exactly(distance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index finds such a row itself alone: it has no neighbour there, which is not a distance of 1 or any other."""
    x = clustered(1200, d=16)
    v = prepare(x)
    rows = rows_for(v, distance)
    for seed in range(100):  # the first whose k-means leaves a row alone
        alone = InvertedIndex(rows, seed=seed, num_probes=1).search(rows, 2)[1][:, 1] < 0
        if alone.any():
            break
    assert alone.any()
    seen: list[torch.Tensor] = []
    original = estimates._difference

    def spy(approximate: torch.Tensor, *rest: object, **named: object) -> object:
        seen.append(approximate)
        return original(approximate, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(estimates, "_difference", spy)
    mean_nearest_distance(v, v.distinct(), distance, seed=seed, num_exact=300, num_probes=1)
    exact = chamfer(x, distance=distance, implementation="dense").per_record
    np.testing.assert_allclose(seen[0][alone].numpy(), exact[alone], rtol=1e-6)


def test_lists_of_fewer_than_k_rows() -> None:
    """40 lists for 2,000 rows, of which most hold fewer than 100."""
    a, b = unit_rows(clustered(300, d=16, seed=1)), unit_rows(clustered(2000, d=16))
    truth = top_k_similarity(a, b, k=100, implementation="dense").value
    found = mean_top_k(a, b, 100, seed=0, num_exact=150, num_probes=1)
    assert found.interval[0] <= truth <= found.interval[1]
    assert found.value == pytest.approx(truth, abs=0.01)


def test_copies_are_at_distance_0_and_not_searched() -> None:
    assert nearest_estimate(np.ones((50, 3), np.float32)).value == 0
    pairs = np.repeat(clustered(100, d=8), 2, axis=0)
    assert nearest_estimate(pairs) == Estimate(0.0, (0.0, 0.0), {"num_probes": 2, "seed": 0})
    x = np.concatenate([pairs, clustered(900, d=8, seed=1)])
    assert nearest_estimate(x).value == pytest.approx(chamfer(x, distance="euclidean").value, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-18, 1e-7, 1e7, 1e18])
def test_the_index_at_other_scales(scale: float) -> None:
    """A miss is a miss, whatever the unit of length."""
    x = clustered(1500)
    one, scaled = (nearest_estimate(x * np.float32(by), num_exact=300) for by in (1, scale))
    assert scaled.value / scale == pytest.approx(one.value, rel=1e-3)
    assert scaled.interval[0] / scale == pytest.approx(one.interval[0], rel=1e-3)
    assert scaled.details["num_missed"] == pytest.approx(one.details["num_missed"], abs=10)


@pytest.mark.parametrize("d", [16, 384])
def test_the_index_far_from_the_origin(d: int) -> None:
    x = np.random.default_rng(0).standard_normal((1500, d)).astype(np.float32) + np.float32(1000)
    truth = chamfer(x, distance="euclidean", implementation="dense").value
    found = nearest_estimate(x, num_exact=600)
    assert found.value == pytest.approx(truth, rel=0.01)
    near, moved = nearest_estimate(x - np.float32(1000), num_exact=600), found
    assert moved.details["num_missed"] == pytest.approx(near.details["num_missed"], rel=0.1)


def test_near_duplicates_are_corrected_rightly() -> None:
    """A correction that itself errs by 2e-4 would be worse than none."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((700, 384)) / np.sqrt(384)
    steps = rng.standard_normal((2, 700, 384)) / np.sqrt(384)
    x = np.concatenate([x, x + 1e-5 * steps[0], x + 2e-4 * steps[1]]).astype(np.float32)
    truth = chamfer(x, distance="euclidean", implementation="dense").value
    found = nearest_estimate(x, num_exact=1000, num_probes=1000)
    assert found.value == pytest.approx(truth, abs=1e-7)
