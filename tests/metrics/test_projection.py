"""Maps: PCA against scikit-learn's and numpy's, t-SNE and its coverage on planted clusters."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import normalize

from variegate.errors import UsageError, VariegateError
from variegate.metrics import projection
from variegate.metrics.projection import project, tsne_coverage

SETS = st.tuples(st.integers(3, 30), st.integers(2, 30), st.integers(0, 2**31)).map(
    lambda case: np.random.default_rng(case[2]).standard_normal(case[:2]) * np.geomspace(4, 1, case[1])
)


def clusters(sizes: list[int], *, width: int = 16, apart: float = 10.0, seed: int = 0) -> list[np.ndarray]:
    """Groups of directions around centres that are orthogonal to each other."""
    rng = np.random.default_rng(seed)
    return [(apart * np.eye(width)[place] + rng.standard_normal((size, width))).astype(np.float32) for place, size in enumerate(sizes)]


@pytest.mark.parametrize(("n", "m", "d"), [(60, 40, 12), (9, 6, 40), (30, 0, 30), (5, 3, 2)])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_pca_is_that_of_scikit_learn(n: int, m: int, d: int, distance: str) -> None:
    rng = np.random.default_rng(n)
    x, y = (rng.standard_normal((size, d)) * np.geomspace(3, 1, d) + 2 for size in (n, m))
    given_rows = np.vstack([x, y])
    rows = normalize(given_rows) if distance == "cosine" else given_rows
    reference = PCA(n_components=2, svd_solver="full").fit(rows)
    signs = np.sign(reference.components_[range(2), np.abs(reference.components_).argmax(1)])
    found = project(x, y if m else None, distance=distance)  # type: ignore[arg-type]
    assert found.method == "pca"
    assert found.perplexity is None
    assert found.explained == pytest.approx(reference.explained_variance_ratio_, rel=1e-9)
    expected = reference.transform(rows) * signs  # our rule of signs: the largest component of an axis is positive
    np.testing.assert_allclose(found.x, expected[:n], atol=1e-9)
    if m:
        np.testing.assert_allclose(found.y, expected[n:], atol=1e-9)
    else:
        assert found.y is None


def test_both_sets_make_the_map() -> None:
    """Two sets that vary along different axes: fitted on the first alone, the second would fall on one point."""
    t = np.linspace(-1, 1, 21)[:, None]
    found = project(t * [5.0, 0, 0], t * [0, 3.0, 0], distance="euclidean")
    np.testing.assert_allclose(found.x, np.hstack([5 * t, 0 * t]), atol=1e-12)
    np.testing.assert_allclose(found.y, np.hstack([0 * t, 3 * t]), atol=1e-12)
    assert found.explained == pytest.approx((25 / 34, 9 / 34))


@settings(deadline=None)
@given(SETS, st.integers(0, 2**31))
def test_rotating_the_vectors_keeps_the_map_but_for_signs(x: np.ndarray, seed: int) -> None:
    rotation = np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1], x.shape[1])))[0]
    variances = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    if min(np.abs(np.diff(variances[:3])).min(), variances[1]) < 1e-3 * variances[0]:
        return  # the axes are not determined
    first, second = project(x, distance="euclidean"), project(x @ rotation, distance="euclidean")
    np.testing.assert_allclose(np.abs(first.x), np.abs(second.x), atol=1e-6)
    assert first.explained == pytest.approx(second.explained, rel=1e-9)


def test_more_rows_than_a_block() -> None:
    x = np.random.default_rng(3).standard_normal((300_000, 16)).astype(np.float32) * np.geomspace(2, 1, 16).astype(np.float32)
    found = project(x[:200_000], torch.from_numpy(x[200_000:]), distance="euclidean")
    rows = x.astype(np.float64)
    _, _, axes = np.linalg.svd(np.cov(rows.T))
    expected = (rows - rows.mean(0)) @ axes[:2].T
    np.testing.assert_allclose(np.abs(np.vstack([found.x, found.y])), np.abs(expected), atol=1e-6)


@pytest.mark.parametrize("method", ["pca", "tsne"])
@pytest.mark.parametrize("shape", [(40, 3), (5, 30), (10, 1)])
def test_equal_rows_lie_at_the_origin(method: str, shape: tuple[int, int]) -> None:
    x = np.tile(np.random.default_rng(4).standard_normal(shape[1]) + 5, (shape[0], 1))
    found = project(x, x[:2], method=method)  # type: ignore[arg-type]
    assert not found.x.any()
    assert not found.y.any()
    assert found.explained == ((0.0, 0.0) if method == "pca" else None)


def test_one_record_and_one_dimension_have_a_map() -> None:
    assert project(np.array([[3.0, 4.0]])).x.tolist() == [[0, 0]]
    found = project(np.array([[1.0], [2], [6]]), distance="euclidean")
    np.testing.assert_allclose(found.x, [[-2, 0], [-1, 0], [3, 0]], atol=1e-12)
    assert found.explained == (1.0, 0.0)


def test_the_given_arrays_are_not_written_to() -> None:
    for dtype in (np.float32, np.float64):
        x = np.random.default_rng(6).standard_normal((50, 4)).astype(dtype)
        before = x.copy()
        project(x, distance="euclidean")
        project(x, method="tsne", distance="euclidean")
        assert (x == before).all()


def test_tsne_separates_planted_clusters() -> None:
    first, second = clusters([60, 50])
    found = project(first, second, method="tsne", seed=1)
    assert (found.x.shape, found.y.shape, found.explained) == ((60, 2), (50, 2), None)
    assert found.perplexity == 30
    assert silhouette_score(np.vstack([found.x, found.y]), [0] * 60 + [1] * 50) > 0.5


def test_tsne_keeps_neighbours_within_a_cluster() -> None:
    """A closed curve stays one: each point's neighbour on the curve is near it on the map."""
    angle = np.linspace(0, 2 * math.pi, 120, endpoint=False)
    curve = np.stack([np.cos(angle), np.sin(angle), *np.zeros((6, 120))], axis=1)
    found = project(curve, method="tsne", perplexity=10).x
    steps = np.linalg.norm(found - np.roll(found, 1, axis=0), axis=1)
    across = np.linalg.norm(found - np.roll(found, 60, axis=0), axis=1)
    assert np.median(steps) < 0.1 * np.median(across)


@pytest.mark.slow
def test_tsne_is_decided_by_its_seed() -> None:
    (x,) = clusters([80])
    first, again, other = (project(x, method="tsne", seed=seed).x for seed in (0, 0, 1))
    assert (first == again).all()
    assert not np.allclose(first, other)


def test_perplexity_is_used_and_lowered_for_few_points() -> None:
    (x,) = clusters([31])
    low, high, too_high = (project(x, method="tsne", perplexity=given) for given in (3, 10, 300))
    assert [each.perplexity for each in (low, high, too_high)] == [3, 10, 10]
    assert (high.x == too_high.x).all()
    assert not np.allclose(low.x, high.x)
    assert np.isfinite(project(x[:4], method="tsne").x).all()


@pytest.mark.parametrize(("copies", "kinds"), [(120, 3), (9, 2), (1, 10)])
def test_tsne_stands_many_equal_rows(copies: int, kinds: int) -> None:
    """scikit-learn's own start from PCA crashes the process where all rows are equal."""
    x = np.repeat(np.random.default_rng(8).standard_normal((kinds, 6)), copies, axis=0)
    assert np.isfinite(project(x, method="tsne").x).all()


@pytest.mark.slow
def test_coverage_of_a_set_by_itself_is_whole_and_by_a_far_one_is_none() -> None:
    first, second = clusters([80, 60])
    whole = tsne_coverage(first, first.copy(), radius=0.1)
    assert whole.value == 1
    assert tsne_coverage(first, second, radius=0.1).value == 0
    assert tsne_coverage(first, second, radius=10).value == 1  # the radius is used, in map spreads
    assert (whole.metric, whole.n, whole.m, whole.distance) == ("coverage_tsne", 80, 80, "cosine")


@pytest.mark.slow
def test_coverage_is_that_share_of_the_reference_whose_cluster_was_made() -> None:
    first, second = clusters([90, 30])
    made = clusters([70], seed=1)[0]  # of the first cluster alone
    value = tsne_coverage(np.vstack([first, second]), made, radius=0.3)
    assert value.value == pytest.approx(90 / 120, abs=0.05)
    assert value.per_record.tolist() == pytest.approx([1] * 90 + [0] * 30, abs=1)
    assert not value.per_record[90:].any()
    assert tsne_coverage(made, np.vstack([first, second]), radius=0.3).value == 1  # not symmetric


def test_coverage_counts_what_a_look_at_the_map_counts() -> None:
    first, second = clusters([50, 40], apart=1.0)
    radius = 0.15
    value = tsne_coverage(first, second, radius=radius, seed=3, perplexity=12)
    seen = project(first, second, method="tsne", seed=3, perplexity=12)
    points = np.vstack([seen.x, seen.y])
    spread = math.sqrt(points.var(axis=0).sum())
    nearest = np.linalg.norm(seen.x[:, None] - seen.y[None], axis=2).min(axis=1)
    assert 0 < value.value < 1
    assert value.per_record.tolist() == (nearest <= radius * spread).tolist()
    assert value.value == value.per_record.mean()
    assert value.details == {
        "radius": radius,
        "radius_on_map": pytest.approx(radius * spread),
        "perplexity": 12,
        "seed": 3,
        "drawn": False,
    }
    json.dumps(value.to_json(), allow_nan=False)


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "expected"), [(900, 150, (100, 100)), (20, 900, (20, 180)), (900, 60, (140, 60))])
def test_big_sets_are_drawn_from(monkeypatch: pytest.MonkeyPatch, m: int, n: int, expected: tuple[int, int]) -> None:
    monkeypatch.setattr(projection, "MAX_TSNE_POINTS", 200)
    rng = np.random.default_rng(9)
    reference, synthetic = rng.standard_normal((m, 5)), rng.standard_normal((n, 5))
    value = tsne_coverage(reference, synthetic, radius=0.1, seed=2)
    assert (value.m, value.n) == expected
    assert value.details["drawn"] is True
    assert len(value.per_record) == value.m
    assert value == tsne_coverage(reference, synthetic, radius=0.1, seed=2)
    with pytest.raises(UsageError, match="expected 4 to 200"):
        project(reference, synthetic, method="tsne")


def test_drawn_rows_are_distinct_and_of_the_whole_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projection, "MAX_TSNE_POINTS", 200)
    real, made = projection._draw(1000, 1000, seed=0)
    for rows in (real, made):
        assert len(set(rows.tolist())) == 100
        assert rows.tolist() == sorted(rows.tolist())
        assert 350 < rows.double().mean() < 650
    assert real.tolist() != made.tolist()
    assert real.tolist() != projection._draw(1000, 1000, seed=1)[0].tolist()


def test_without_scikit_learn_pca_works_and_tsne_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)  # what an import of a missing module meets
    x = np.eye(5)
    assert project(x).x.shape == (5, 2)
    with pytest.raises(VariegateError, match=r"pip install scikit-learn.*method='pca'"):
        project(x, method="tsne")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "umap"}, "expected 'pca' or 'tsne'"),
        ({"distance": "angular"}, "expected 'cosine'"),
        ({"method": "tsne", "perplexity": 0}, "perplexity: got 0"),
        ({"y": np.eye(3)}, "width"),
        ({"x": np.eye(3), "method": "tsne"}, "got 3 points, expected 4"),
        ({"x": np.array([[1.0, 1], [0, 0]])}, "row 1 is a zero vector"),
        ({"y": np.full((2, 5), math.nan)}, "y: row 0 holds NaN"),
    ],
)
def test_what_cannot_be_mapped_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        project(**{"x": np.eye(5), **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("radius", [0, -1, math.nan, math.inf])
def test_a_radius_is_positive(radius: float) -> None:
    with pytest.raises(UsageError, match="radius: got"):
        tsne_coverage(np.eye(5), np.eye(5), radius=radius)
