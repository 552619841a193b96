"""Top-k similarity, mean distance across, coverage, leakage: against scipy and scikit-learn, by hand, refusals."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from variegate.errors import UsageError, VariegateError
from variegate.metrics import NearestReference, coverage, cross_distance, leakage_near, nearest_reference, top_k_similarity
from variegate.metrics.values import DISTANCES

EXACT = ("auto", "dense", "tiles", "faiss")
CLOSED = ("cosine", "sqeuclidean")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Many small problems: threads would only wait for one another. Tests of threads set their own number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def clustered(n: int, d: int = 24, seed: int = 0, centres: int = 12) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middle = 2 * np.random.default_rng(99).standard_normal((centres, d))
    return (middle[rng.integers(0, centres, n)] + rng.standard_normal((n, d))).astype(np.float32)


SETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "clustered": lambda: (clustered(150), clustered(250, seed=1)),
    "float64": lambda: (clustered(150).astype(np.float64), clustered(250, seed=1).astype(np.float64)),
    "two types": lambda: (clustered(150), clustered(250, seed=1).astype(np.float64)),
    "one direction": lambda: (clustered(150) + np.float32(10), clustered(250, seed=1) + np.float32(10)),
    "shared rows": lambda: (clustered(150), np.concatenate([clustered(150)[:75], clustered(100, seed=1)])),
    "huge": lambda: (clustered(150) * np.float32(1e18), clustered(250, seed=1) * np.float32(1e18)),
    "one reference": lambda: (clustered(1), clustered(250, seed=1)),
    "one record": lambda: (clustered(150), clustered(1, seed=1)),
}


def between(a: np.ndarray, b: np.ndarray, distance: str) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    if distance in ("cosine", "angular"):
        a, b = (each / np.linalg.norm(each, axis=1, keepdims=True) for each in (a, b))
    euclidean = cdist(a, b)
    return {
        "cosine": euclidean**2 / 2,
        "euclidean": euclidean,
        "sqeuclidean": euclidean**2,
        "angular": 2 * np.arcsin(np.clip(euclidean / 2, 0, 1)) / np.pi,
    }[distance]


# -- top-k similarity ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("implementation", [*EXACT[1:], "estimate"])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("name", [name for name in SETS if name != "one record"])
def test_top_k_against_scikit_learn(name: str, k: int, implementation: str) -> None:
    reference, synthetic = SETS[name]()
    value = top_k_similarity(reference, synthetic, k=k, implementation=implementation)
    distances, _ = NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(synthetic).kneighbors(reference)
    each = 1 - distances.mean(1)
    assert value.value == pytest.approx(each.mean(), abs=1e-6)
    assert (value.metric, value.n, value.m, value.k, value.distance) == (
        "top_k_similarity",
        len(synthetic),
        len(reference),
        k,
        "cosine",
    )
    assert value.num_duplicates == 0
    if implementation == "estimate":  # all references are in the sample
        assert value.implementation == "inverted_index"
        assert value.interval == (value.value, value.value)
    else:
        np.testing.assert_allclose(value.per_record, each, atol=1e-6)
        assert value.implementation == implementation
        assert value.interval is None


def test_top_k_by_hand() -> None:
    """Cosines of (1, 0) with the four are 1, 0.6, 0, -1; of (0, 2) they are 0, 0.8, 1, 0."""
    reference, synthetic = [[1, 0], [0, 2]], [[3, 0], [0.6, 0.8], [0, 5], [-1, 0]]
    for k, each in ((1, [1, 1]), (2, [0.8, 0.9]), (3, [1.6 / 3, 0.6]), (4, [0.15, 0.45])):
        value = top_k_similarity(reference, synthetic, k=k)
        np.testing.assert_allclose(value.per_record, each, atol=1e-7)
        assert value.value == pytest.approx(np.mean(each))
    assert top_k_similarity(synthetic, reference, k=1).value == pytest.approx((1 + 0.8 + 1 + 0) / 4)  # not symmetric


@pytest.mark.parametrize("implementation", EXACT)
def test_top_k_of_copies_is_1(implementation: str) -> None:
    x = np.repeat(clustered(20), 6, axis=0)
    value = top_k_similarity(x[::6], x, k=5, implementation=implementation)
    assert value.value == pytest.approx(1, abs=3e-7)
    assert value.per_record.max() <= 1
    assert value.num_duplicates == 100


@pytest.mark.parametrize(
    ("k", "message"), [(0, "k: got 0, expected 1 to 7"), (8, "k: got 8, expected 1 to 7, the number of synthetic"), (-1, "k: got -1")]
)
def test_k_out_of_range(k: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        top_k_similarity(clustered(9), clustered(7), k=k)


# -- mean distance across --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "implementation"),
    [
        *((name, way) for name in SETS for way in (*EXACT[1:], "closed_form")),
        *((name, "estimate") for name in ("clustered", "huge", "one record")),
    ],
)
@pytest.mark.parametrize("distance", DISTANCES)
def test_cross_distance_against_scipy(name: str, distance: str, implementation: str) -> None:
    a, b = SETS[name]()
    closed = distance in CLOSED
    if closed and implementation != "closed_form":
        with pytest.raises(UsageError, match=f"'{distance}' is a closed form: use implementation='auto', not '{implementation}'"):
            cross_distance(a, b, distance=distance, implementation=implementation)
        return
    if not closed and implementation == "closed_form":
        with pytest.raises(UsageError, match=f"cross_distance with distance='{distance}' has no closed form"):
            cross_distance(a, b, distance=distance, implementation=implementation)
        return
    value = cross_distance(a, b, distance=distance, implementation=implementation)
    distances = between(a, b, distance)
    used = {"estimate": "control_variates"}.get(implementation, implementation)
    assert value.implementation == used
    # In a float32 sum, two equal rows may be 1e-3 apart: 75 of the 26,250 pairs of "shared rows" are such.
    error = {"closed_form": 1e-8, "dense": 1e-8, "control_variates": 1e-3}.get(used, 3e-6 if name == "shared rows" else 2e-7)
    error *= distances.max()
    assert value.value == pytest.approx(distances.mean(), abs=error)
    assert (value.metric, value.distance, value.n, value.m) == ("cross_distance", distance, len(a), len(b))
    assert (value.include_self, value.k) == (None, None)
    back = cross_distance(b, a, distance=distance, implementation=implementation)
    assert back.value == pytest.approx(value.value, abs=error)
    assert (back.n, back.m) == (len(b), len(a))
    if used == "control_variates":
        assert value.interval[0] <= value.value <= value.interval[1]
        assert value.interval[1] - value.interval[0] < 0.01 * distances.mean()
    else:
        assert value.interval is None


def test_cross_distance_by_hand() -> None:
    """(3, 0) to (0, 4) and to (3, 0)."""
    a, b = [[3, 0]], [[0, 4], [3, 0]]
    for distance, mean in (("cosine", 0.5), ("euclidean", 2.5), ("sqeuclidean", 12.5), ("angular", 0.25)):
        assert cross_distance(a, b, distance=distance).value == pytest.approx(mean)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 5), st.integers(0, 2**31), st.sampled_from(DISTANCES))
def test_invariances(n: int, m: int, d: int, seed: int, distance: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    rotation, scale = np.linalg.qr(rng.standard_normal((d, d)))[0], float(rng.uniform(0.01, 100))
    shift = 0 if distance in ("cosine", "angular") else 100 * rng.standard_normal(d)
    power = {"cosine": 0, "angular": 0, "euclidean": 1, "sqeuclidean": 2}[distance]
    before = cross_distance(a, b, distance=distance).value
    for left, right in (
        (a[rng.permutation(n)], b[rng.permutation(m)]),
        (a @ rotation, b @ rotation),
        (a + shift, b + shift),
        (np.tile(a, (3, 1)), b),
    ):
        assert cross_distance(left, right, distance=distance).value == pytest.approx(before, rel=1e-7, abs=1e-9)
    assert cross_distance(a * scale, b * scale, distance=distance).value == pytest.approx(before * scale**power, rel=1e-7, abs=1e-9)
    if distance == "cosine":
        k = min(2, m)
        top = top_k_similarity(a, b, k=k).value
        assert top_k_similarity(a[rng.permutation(n)] @ rotation * scale, b[rng.permutation(m)] @ rotation, k=k).value == pytest.approx(top)
        assert top_k_similarity(a, np.concatenate([b, b]), k=k).value >= top - 1e-12  # more records, never less similar
        assert -1 <= top <= 1


# -- nearest reference, coverage, leakage ----------------------------------------------------------------------


@pytest.mark.parametrize("implementation", EXACT[1:])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("name", SETS)
def test_nearest_reference(name: str, distance: str, implementation: str) -> None:
    reference, synthetic = SETS[name]()
    found = nearest_reference(synthetic, reference, distance=distance, implementation=implementation)
    distances = between(synthetic, reference, distance)
    rows = np.arange(len(synthetic))
    np.testing.assert_allclose(found.distances, distances.min(1), atol=1e-6 * distances.max())
    np.testing.assert_allclose(distances[rows, found.index], distances.min(1), atol=1e-6 * distances.max())
    assert found.distances.dtype == np.float64
    assert (found.distance, found.m) == (distance, len(reference))
    assert found.implementation == implementation
    if name == "shared rows":
        assert (found.distances[:75] == 0).all()
        assert found.index[:75].tolist() == list(range(75))


@pytest.mark.parametrize("implementation", ["dense", "tiles", "faiss"])
def test_of_equal_references_the_first(implementation: str) -> None:
    reference = np.repeat(clustered(40), 3, axis=0)
    found = nearest_reference(clustered(40), reference, implementation=implementation)
    assert found.index.tolist() == list(range(0, 120, 3))


@pytest.mark.parametrize("implementation", EXACT)
@pytest.mark.parametrize("distance", DISTANCES)
def test_coverage_at_a_given_radius(distance: str, implementation: str) -> None:
    reference, synthetic = SETS["shared rows"]()
    least = between(reference, synthetic, distance).min(1)
    for share in (0.0, 0.5, 0.8, 1.0):
        radius = float(np.quantile(least, share)) * (1 + 1e-6)
        value = coverage(reference, synthetic, radius=radius, distance=distance, implementation=implementation)
        assert value.value == (least <= radius).mean()
        assert value.per_record.tolist() == (least <= radius).astype(float).tolist()
        assert value.details == {"radius": radius, "rule": "given"}
        assert (value.metric, value.n, value.m, value.distance) == ("coverage", len(synthetic), len(reference), distance)
    assert coverage(reference, synthetic, radius=0, distance=distance).value == 0.5  # the rows that are equal


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_default_radius_is_the_median_within_the_reference(distance: str) -> None:
    reference, synthetic = clustered(301), clustered(250, seed=1)
    own = between(reference, reference, distance)
    np.fill_diagonal(own, np.inf)
    value = coverage(reference, synthetic, distance=distance)
    assert value.details["radius"] == pytest.approx(np.median(own.min(1)), rel=1e-5)
    assert value.details["rule"] == "median distance of a reference to its nearest other"
    assert value.value == (between(reference, synthetic, distance).min(1) <= value.details["radius"]).mean()
    # References drawn anew cover about half: what the rule is chosen for.
    assert 0.35 < coverage(clustered(1500, seed=2), clustered(1500, seed=3), distance=distance).value < 0.65
    assert coverage(reference, reference, distance=distance).value == 1


def test_coverage_by_hand() -> None:
    """References 0, 1, 3, 10 on a line; records 0.5 and 9."""
    reference, synthetic = [[0.0], [1.0], [3.0], [10.0]], [[0.5], [9.0]]
    for radius, covered in ((0.4, [0, 0, 0, 0]), (0.5, [1, 1, 0, 0]), (1, [1, 1, 0, 1]), (2.5, [1, 1, 1, 1])):
        assert coverage(reference, synthetic, radius=radius, distance="euclidean").per_record.tolist() == covered


def test_coverage_refusals() -> None:
    x = clustered(9)
    for radius in (-0.1, float("nan")):
        with pytest.raises(UsageError, match=f"radius: got {radius}, expected a distance of 0 or more"):
            coverage(x, x, radius=radius)
    with pytest.raises(UsageError, match="radius: needs a number where there is one reference alone"):
        coverage(x[:1], x)
    assert coverage(x[:1], x, radius=0).value == 1
    with pytest.raises(UsageError, match="cannot be estimated, it is about each record"):
        coverage(x, x, radius=0.5, implementation="estimate")
    for radius in (None, 0.5):
        with pytest.raises(UsageError, match="distance 'cosin' is not known"):
            coverage(x, x, radius=radius, distance="cosin")


def at_cosines(cosines: list[float]) -> np.ndarray:
    return np.array([[c, np.sqrt(1 - c * c)] for c in cosines])


@pytest.mark.parametrize("implementation", EXACT)
def test_leakage(implementation: str) -> None:
    cosines = [1.0, 0.99, 0.96, 0.94, 0.5, -1.0]
    found = nearest_reference(at_cosines(cosines), [[5.0, 0.0]], implementation=implementation)
    for threshold, share in ((1.0, 1), (0.98, 2), (0.95, 3), (0.9, 4), (0.0, 5), (-1.0, 6)):
        value = leakage_near(found, threshold=threshold)
        assert value.value == pytest.approx(share / 6)
        np.testing.assert_allclose(value.per_record, cosines, atol=1e-7)
        assert value.details == {"threshold": threshold}
        assert (value.metric, value.n, value.m) == ("leakage_near", 6, 1)
    assert leakage_near(found).details == {"threshold": 0.95}


def test_a_cosine_of_the_threshold_itself_counts() -> None:
    """1 - 0.9 is less than 0.1 in float64."""
    for threshold in np.arange(0.5, 1, 0.01).round(2):
        found = NearestReference(np.array([0]), np.array([round(1 - threshold, 2)]), "cosine", 1, "dense", "float64")
        assert leakage_near(found, threshold=threshold).value == 1


def test_leakage_refusals() -> None:
    x = clustered(9)
    with pytest.raises(UsageError, match="leakage_near needs cosine distances, got euclidean"):
        leakage_near(nearest_reference(x, x, distance="euclidean"))
    for threshold in (1.01, -2, float("nan")):
        with pytest.raises(UsageError, match=f"threshold: got {threshold}, expected a cosine"):
            leakage_near(nearest_reference(x, x), threshold=threshold)


# -- refusals that all of them share ---------------------------------------------------------------------------

MEASURES = {
    "top_k_similarity": (lambda a, b, **options: top_k_similarity(a, b, k=1, **options), ("reference", "synthetic")),
    "cross_distance": (lambda a, b, **options: cross_distance(a, b, distance="angular", **options), ("a", "b")),
    "nearest_reference": (nearest_reference, ("synthetic", "reference")),
    "coverage": (coverage, ("reference", "synthetic")),
}


@pytest.mark.parametrize("name", MEASURES)
def test_bad_sets_are_named(name: str) -> None:
    measure, (first, second) = MEASURES[name]
    x, bad, zero = clustered(9), clustered(9), clustered(9)
    bad[4, 1], zero[6] = np.nan, 0
    for options, message in (
        ((bad, x), f"^{first}: row 4 holds NaN"),
        ((x, bad), f"^{second}: row 4 holds NaN"),
        ((zero, x), f"^{first}: row 6 is a zero vector"),
        ((x, zero), f"^{second}: row 6 is a zero vector"),
        ((x, x[:, :5]), f"^{first} has vectors of width 24, {second} of width 5"),
        ((x[:0], x), f"^{first}: .*nothing to measure"),
        ((x, x[0]), f"^{second}: got shape"),
        ((x, [[1.0], [2.0, 3.0]]), f"^{second}: .*one width"),
    ):
        with pytest.raises(UsageError, match=message):
            measure(*options)


@pytest.mark.parametrize("name", MEASURES)
def test_implementations_that_are_not_there(name: str) -> None:
    measure, _ = MEASURES[name]
    x = clustered(9)
    with pytest.raises(UsageError, match=r"implementation 'fais' is not known; did you mean 'faiss'\?"):
        measure(x, x, implementation="fais")
    with pytest.raises(UsageError, match="has no closed form"):
        measure(x, x, implementation="closed_form")


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("implementation", ["triton", "triton_fp16x3"])
@pytest.mark.parametrize("name", MEASURES)
def test_triton_without_a_gpu(name: str, implementation: str) -> None:
    measure, _ = MEASURES[name]
    with pytest.raises(VariegateError, match=f"implementation '{implementation}' needs a CUDA GPU"):
        measure(clustered(9), clustered(9), implementation=implementation)


def test_sets_are_left_as_they_were() -> None:
    for make in SETS.values():
        a, b = make()
        before = a.copy(), b.copy()
        for distance in DISTANCES:
            cross_distance(a, b, distance=distance)
            nearest_reference(a, b, distance=distance)
        top_k_similarity(a, b, k=1)
        assert (a == before[0]).all()
        assert (b == before[1]).all()
