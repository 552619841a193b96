"""Remote-Clique and Chamfer: every distance by every implementation against scipy and scikit-learn, identities, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics.pairwise import cosine_distances

from variegate.errors import UsageError, VariegateError
from variegate.metrics import Diversity, MetricValue, chamfer, diversity, remote_clique
from variegate.metrics.values import DISTANCES

EXACT = ("auto", "dense", "tiles", "faiss")
CLOSED = ("cosine", "sqeuclidean")
# Errors as shares of the set's largest distance. Remote-Clique: a sum of many float32 distances, or float64 sums about a
# mean. Chamfer: the winning pair is measured in float64, and unit rows are kept to float32, which moves them by 3e-8.
CLIQUE = {"dense": 1e-8, "tiles": 1e-7, "faiss": 1e-7, "closed_form": 1e-8}
CHAMFER, ONE_RECORD = 1e-7, 1e-6


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another. Tests of threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clustered(n: int = 250, d: int = 24, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (2 * rng.standard_normal((12, d))[rng.integers(0, 12, n)] + rng.standard_normal((n, d))).astype(np.float32)


def with_copies(n: int = 250) -> np.ndarray:
    x = clustered(n)
    x[n // 2 : n // 2 + n // 5] = x[: n // 5]
    x[-5:] = x[0]
    return x


SETS: dict[str, Callable[[], np.ndarray]] = {
    "clustered": clustered,
    "unit length": lambda: clustered() / np.linalg.norm(clustered(), axis=1, keepdims=True),
    "copies": with_copies,
    "one direction": lambda: clustered() + np.float32(10),
    "float64": lambda: clustered().astype(np.float64),
    "two": lambda: clustered(2),
    "two equal": lambda: clustered(2)[[1, 1]],
    "huge": lambda: clustered() * np.float32(1e18),
    "tiny": lambda: clustered() * np.float32(1e-18),
}


def matrix(x: np.ndarray, distance: str) -> np.ndarray:
    """The n x n distances by scipy, in float64."""
    x = x.astype(np.float64)
    if distance == "angular":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        return 2 * np.arcsin(np.clip(squareform(pdist(x)) / 2, 0, 1)) / np.pi
    return np.maximum(squareform(pdist(x, distance)), 0)


def expected(x: np.ndarray, distance: str) -> tuple[np.ndarray, np.ndarray]:
    """(mean distance of each record to all others, distance of each to the nearest other)."""
    distances = matrix(x, distance)
    means = distances.sum(1) / (len(x) - 1)
    np.fill_diagonal(distances, np.inf)
    return means, distances.min(1)


def measure(x: object, distance: str, implementation: str) -> tuple[MetricValue, MetricValue]:
    both = diversity(x, distance=distance, implementation=implementation)
    assert both.chamfer == chamfer(x, distance=distance, implementation=implementation)
    way = "auto" if distance in CLOSED else implementation
    assert both.remote_clique == remote_clique(x, distance=distance, implementation=way)
    return both.remote_clique, both.chamfer


# -- every distance by every implementation --------------------------------------------------------------------


@pytest.mark.parametrize("implementation", EXACT[1:])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", SETS)
def test_implementations_agree_with_scipy(name: str, distance: str, implementation: str) -> None:
    x = SETS[name]()
    clique, nearest = measure(x, distance, implementation)
    means, least = expected(x, distance)
    largest = matrix(x, distance).max()
    assert clique.value == pytest.approx(means.mean(), abs=CLIQUE[clique.implementation] * largest)
    np.testing.assert_allclose(clique.per_record, means, atol=10 * CLIQUE[clique.implementation] * largest)
    assert nearest.value == pytest.approx(least.mean(), abs=CHAMFER * largest)
    np.testing.assert_allclose(nearest.per_record, least, atol=ONE_RECORD * largest)
    num_duplicates = len(x) - len(np.unique(x, axis=0))
    for value, metric in ((clique, "remote_clique"), (nearest, "chamfer")):
        assert (value.metric, value.distance, value.n, value.num_duplicates) == (metric, distance, len(x), num_duplicates)
        assert (value.include_self, value.interval, value.m, value.k, value.encoder) == (False, None, None, None, None)
    assert nearest.implementation == implementation
    assert clique.implementation == ("closed_form" if distance in CLOSED else implementation)
    exact = implementation == "dense" or num_duplicates == len(x) - 1
    assert nearest.precision == f"{'float64' if exact else 'fp32'}, nearest pairs in float64"


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", ["copies", "one direction"])
def test_estimates_agree_with_scipy(name: str, distance: str) -> None:
    """The sample of 2,000 rows is the whole set, so that Chamfer is exact; Remote-Clique has its interval."""
    x = SETS[name]()
    means, least = expected(x, distance)
    both = diversity(x, distance=distance, implementation="estimate")
    clique, nearest = both.remote_clique, both.chamfer
    assert nearest.implementation == "inverted_index"
    assert nearest.value == pytest.approx(least.mean(), rel=1e-5)
    assert nearest.interval == (nearest.value, nearest.value)
    assert clique.value == pytest.approx(means.mean(), rel=1e-3)
    if distance in CLOSED:
        assert (clique.implementation, clique.interval) == ("closed_form", None)
    else:
        assert clique.implementation == "control_variates"
        width = clique.interval[1] - clique.interval[0]
        assert 0 < width < 0.01 * clique.value
        assert abs(clique.value - means.mean()) < width


@pytest.mark.parametrize("implementation", ["dense", "tiles", "faiss"])
def test_cosine_has_a_closed_form_and_no_other(implementation: str) -> None:
    assert remote_clique(clustered(), implementation="closed_form").value == remote_clique(clustered()).value
    for distance in CLOSED:
        with pytest.raises(UsageError, match=f"'{distance}' is a closed form: use implementation='auto', not '{implementation}'"):
            remote_clique(clustered(), distance=distance, implementation=implementation)


# -- identities ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", EXACT)
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("n", [2, 3, 2500])
def test_a_set_of_copies_has_no_diversity(n: int, distance: str, implementation: str) -> None:
    x = np.tile(clustered(1), (n, 1))
    clique, nearest = measure(x, distance, implementation)
    assert nearest.value == 0
    assert nearest.per_record.max() == 0
    assert nearest.num_duplicates == n - 1
    # The sums of squares about a rounded mean leave what rounding leaves.
    assert 0 <= clique.value <= (1e-12 * float((x[0].astype(np.float64) ** 2).sum()) if distance in CLOSED else 0)


@pytest.mark.parametrize("implementation", EXACT)
@pytest.mark.parametrize("distance", DISTANCES)
def test_two_equal_records_and_another(distance: str, implementation: str) -> None:
    """{a, a, b}: Chamfer is a third of d(a, b), Remote-Clique two thirds."""
    x = np.array([[3, 0, 0], [3, 0, 0], [0, 4, 0]], np.float32)
    apart = {"cosine": 1.0, "euclidean": 5.0, "sqeuclidean": 25.0, "angular": 0.5}[distance]
    clique, nearest = measure(x, distance, implementation)
    assert nearest.value == pytest.approx(apart / 3, rel=1e-7)
    assert nearest.per_record[:2].tolist() == [0, 0]
    assert nearest.per_record[2] == pytest.approx(apart, rel=1e-7)
    assert clique.value == pytest.approx(2 * apart / 3, rel=1e-6)
    np.testing.assert_allclose(clique.per_record, [apart / 2, apart / 2, apart], rtol=1e-6)
    assert nearest.num_duplicates == clique.num_duplicates == 1


@pytest.mark.parametrize("distance", DISTANCES)
def test_one_pair_of_copies_among_3000(distance: str) -> None:
    x = clustered(3000, d=8)
    x[2900] = x[17]
    value = chamfer(x, distance=distance)
    assert value.implementation == "tiles"
    assert np.flatnonzero(value.per_record == 0).tolist() == [17, 2900]
    assert value.num_duplicates == 1


@pytest.mark.parametrize("distance", DISTANCES)
def test_near_copies_among_3000(distance: str) -> None:
    """Pairs at 1e-5 to 1e-2 among others, each Euclidean distance right to 1e-7 where products err by 1e-3."""
    x = clustered(3000, d=64).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for i, apart in enumerate((1e-5, 1e-4, 1e-3, 1e-2)):
        x[100 + i] = x[i] + apart * np.eye(64)[i]
        x[200 + i] = x[i] + 40 * apart * np.eye(64)[63 - i]  # a rival
    x = x.astype(np.float32)
    value = chamfer(x, distance=distance, implementation="tiles")
    rows = [*range(4), *range(100, 104)]
    units = x.astype(np.float64)
    if distance in ("cosine", "angular"):
        units /= np.linalg.norm(units, axis=1, keepdims=True)
    euclidean = np.array([np.sort(np.linalg.norm(units - units[row], axis=1))[1] for row in rows])
    back = {
        "cosine": lambda v: np.sqrt(2 * v),
        "euclidean": lambda v: v,
        "sqeuclidean": np.sqrt,
        "angular": lambda v: 2 * np.sin(v * np.pi / 2),
    }[distance](value.per_record[rows])
    np.testing.assert_allclose(back, euclidean, rtol=0, atol=1e-7)
    assert value.details["num_looked_up_again"] >= 6


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("include_self", [True, False])
def test_include_self_is_a_factor(distance: str, include_self: bool) -> None:
    x = with_copies(50)
    plain, value = remote_clique(x, distance=distance), remote_clique(x, distance=distance, include_self=include_self)
    factor = 49 / 50 if include_self else 1
    assert value.include_self is include_self
    assert value.value == pytest.approx(plain.value * factor, rel=1e-14)
    np.testing.assert_allclose(value.per_record, plain.per_record * factor, rtol=1e-14)
    assert diversity(x, distance=distance, include_self=include_self).remote_clique == value
    assert value.value == pytest.approx(matrix(x, distance).mean() if include_self else matrix(x, distance).sum() / 50 / 49, rel=1e-6)


@pytest.mark.parametrize("n", [2, 10, 300])
def test_the_arithmetic_of_the_diversity_package(n: int) -> None:
    """Its `remote_clique` and `chamfer_dist`: scikit-learn's cosine distances, the first over the whole matrix."""
    x = clustered(n)
    distances = cosine_distances(x.astype(np.float64))
    assert remote_clique(x, include_self=True).value == pytest.approx(np.mean(distances), rel=1e-9)
    assert chamfer(x).value == pytest.approx(np.min(distances + np.eye(n) * 1e9, axis=1).mean(), rel=1e-6)


def test_an_estimate_with_include_self_and_its_seed() -> None:
    x = clustered(300)
    options = {"distance": "euclidean", "implementation": "estimate"}
    plain, value = remote_clique(x, **options, seed=4), remote_clique(x, **options, seed=4, include_self=True)
    assert value.interval == pytest.approx(tuple(299 / 300 * end for end in plain.interval), rel=1e-14)
    assert remote_clique(x, **options, seed=4) == plain
    assert remote_clique(x, **options, seed=5).value != plain.value
    assert plain.details["seed"] == 4
    assert plain.per_record is None


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("implementation", ["auto", "tiles", "faiss"])
def test_per_record_is_left_out_when_not_wanted(implementation: str, distance: str) -> None:
    x = with_copies(100)
    value = diversity(x, distance=distance, implementation=implementation, per_record=False)
    assert value.remote_clique.per_record is None
    assert value.chamfer.per_record is not None
    assert value == diversity(x, distance=distance, implementation=implementation)


# -- properties ------------------------------------------------------------------------------------------------


def scores(x: np.ndarray, distance: str, implementation: str) -> list[float]:
    both = diversity(x, distance=distance, implementation=implementation)
    return [both.remote_clique.value, both.chamfer.value]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40),
    st.integers(1, 6),
    st.integers(0, 2**31),
    st.sampled_from(DISTANCES),
    st.sampled_from(["dense", "tiles", "faiss"]),
    st.sampled_from([1e-3, 0.5, 3.0, 1e4]),
)
def test_invariances(n: int, d: int, seed: int, distance: str, implementation: str, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    x[rng.integers(0, n, n // 3)] = x[0]
    before = scores(x, distance, implementation)
    largest = matrix(x, distance).max()
    # In a sum, a pair that float32 products cannot tell from equal rows errs by up to 1e-3; each record has one at most here.
    close = {"abs": (1e-9 if implementation == "dense" else 1e-6 + 2e-3 / n) * max(largest, 1e-3)}
    assert scores(x[rng.permutation(n)], distance, implementation) == pytest.approx(before, **close)
    rotated = x @ np.linalg.qr(rng.standard_normal((d, d)))[0]
    assert scores(rotated, distance, implementation) == pytest.approx(before, **close)
    power = {"cosine": 0, "angular": 0, "euclidean": 1, "sqeuclidean": 2}[distance]
    assert [each / scale**power for each in scores(x * scale, distance, implementation)] == pytest.approx(before, **close)
    if distance in ("cosine", "angular"):
        assert scores(x * rng.uniform(0.1, 10, (n, 1)), distance, implementation) == pytest.approx(before, **close)
    else:
        assert scores(x + rng.uniform(-1, 1, d) * 100, distance, implementation) == pytest.approx(before, **close)
    twice = scores(np.concatenate([x, x]), distance, implementation)
    assert twice[1] == 0
    assert twice[0] == pytest.approx(before[0] * 2 * (n - 1) / (2 * n - 1), **close)


@pytest.mark.parametrize("implementation", EXACT)
@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_moving_a_set_a_thousand_times_its_spread(distance: str, implementation: str) -> None:
    """Whole multiples of 2^-10, so that float32 holds the moved rows exactly."""
    x = np.round(clustered(500) * 1024).astype(np.float32) / 1024
    moved = x + np.float32(1024)
    assert (moved - np.float32(1024) == x).all()
    np.testing.assert_allclose(scores(moved, distance, implementation), scores(x, distance, implementation), rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 2**31), st.sampled_from(DISTANCES))
def test_order_of_the_scores(n: int, d: int, seed: int, distance: str) -> None:
    """A nearest distance is at most the mean one, record by record; bounds of the bounded distances hold."""
    both = diversity(np.random.default_rng(seed).standard_normal((n, d)), distance=distance)
    # The angle of opposite rows is that of a cosine near -1, which float64 gives to 1e-8.
    assert (both.chamfer.per_record <= both.remote_clique.per_record + 1e-7).all()
    assert both.remote_clique.value <= {"cosine": 2, "angular": 1}.get(distance, np.inf) + 1e-12
    assert both.remote_clique.per_record.mean() == pytest.approx(both.remote_clique.value, abs=1e-12)
    assert both.chamfer.per_record.mean() == pytest.approx(both.chamfer.value, abs=1e-12)


# -- input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("implementation", ["auto", "tiles", "faiss"])
def test_any_input_gives_the_same_values(implementation: str, distance: str) -> None:
    x = np.round(clustered(60, d=6) * 8) / np.float32(8)  # exact in float16 too
    first = diversity(x, distance=distance, implementation=implementation)
    for same in (
        x.tolist(),
        x.astype(np.float16),
        x.astype(np.float64),
        torch.from_numpy(x).requires_grad_(),
        np.asfortranarray(x),
        x[::-1].copy()[::-1],
        np.repeat(x, 2, axis=1)[:, ::2],
    ):
        before = np.array(same, copy=True) if isinstance(same, np.ndarray) else None
        both = diversity(same, distance=distance, implementation=implementation)
        assert both.chamfer.value == pytest.approx(first.chamfer.value, rel=1e-6)
        assert both.remote_clique.value == pytest.approx(first.remote_clique.value, rel=1e-6)
        assert before is None or (before == same).all()


def test_whole_numbers() -> None:
    assert chamfer(np.array([[0, 3], [4, 0], [4, 3]]), distance="euclidean").value == pytest.approx((4 + 3 + 3) / 3)


@pytest.mark.parametrize("measure", [remote_clique, chamfer, diversity])
@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (clustered(1), {}, "x: one record: a distance to others needs at least two"),
        (np.zeros((0, 3)), {}, "nothing to measure"),
        (clustered(5)[0], {}, r"got shape \[24\]"),
        ([[1.0, 2.0], [3.0]], {}, "rows of one width"),
        (np.where(np.arange(120).reshape(5, 24) == 50, np.nan, clustered(5)), {}, "row 2 holds NaN"),
        (np.eye(3) * [[1], [0], [1]], {}, "row 1 is a zero vector"),
        (np.eye(3) * [[1], [0], [1]], {"distance": "angular"}, "row 1 is a zero vector"),
        (clustered(5), {"distance": "cosin"}, r"distance 'cosin' is not known; did you mean 'cosine'\?"),
        (clustered(5), {"implementation": "tile"}, r"implementation 'tile' is not known; did you mean 'tiles'\?"),
        (clustered(5), {"implementation": "closed_form", "distance": "euclidean"}, "has no closed form"),
    ],
)
def test_refusals(measure: Callable[..., object], x: object, options: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        measure(x, **options)


def test_zero_vectors_have_euclidean_distances() -> None:
    x = np.array([[0.0, 0], [3, 4], [0, 0]])
    assert chamfer(x, distance="euclidean").value == pytest.approx(5 / 3)
    assert remote_clique(x, distance="sqeuclidean").value == pytest.approx(50 / 3)


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("implementation", ["triton", "triton_fp16x3"])
@pytest.mark.parametrize("measure", [remote_clique, chamfer, diversity])
@pytest.mark.parametrize("distance", DISTANCES)
def test_triton_without_a_gpu(measure: Callable[..., object], distance: str, implementation: str) -> None:
    with pytest.raises(VariegateError, match=r"CUDA|closed form"):
        measure(clustered(30), distance=distance, implementation=implementation)


def test_the_bits_do_not_depend_on_threads() -> None:
    x, before, found = clustered(2100), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4, 2):
            torch.set_num_threads(threads)
            found.append([diversity(x, distance=distance, implementation="tiles") for distance in DISTANCES])
    finally:
        torch.set_num_threads(before)
    for distance, values in zip(DISTANCES, zip(*found, strict=True), strict=True):
        first: Diversity = values[0]
        assert all(each.chamfer == first.chamfer for each in values)
        assert all((each.chamfer.per_record == first.chamfer.per_record).all() for each in values)
        if distance not in CLOSED:
            assert all(each.remote_clique == first.remote_clique for each in values)


def test_progress_is_called() -> None:
    seen: list[tuple[int, int]] = []
    chamfer(clustered(2000, d=4), implementation="tiles", progress=lambda *counts: seen.append(counts))
    assert seen[-1][0] == seen[-1][1] > 0
