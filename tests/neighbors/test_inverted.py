"""The inverted index: what it finds is true, what it misses is known, and with all lists it is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from variegate.neighbors import InvertedIndex, inverted

pytest.importorskip("faiss")


def clustered(n: int, d: int = 16, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy((2 * rng.standard_normal((40, d))[rng.integers(0, 40, n)] + rng.standard_normal((n, d))).astype(np.float32))


def squared(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    return cdist(a.double().numpy(), b.double().numpy(), "sqeuclidean")


@pytest.mark.parametrize(("m", "lists"), [(1, 1), (49, 1), (99, 1), (100, 2), (1_000, 20), (4_096, 64), (10_000, 128)])
def test_about_as_many_lists_as_the_root_of_the_rows(m: int, lists: int) -> None:
    assert InvertedIndex(clustered(m), seed=0).num_lists == lists


def test_all_lists_together_are_exact() -> None:
    base, queries = clustered(2000), clustered(300, seed=1)
    index = InvertedIndex(base, seed=0, num_probes=40)
    assert index.num_lists <= index.num_probes == 40
    values, rows = index.search(queries, 5)
    distances = squared(queries, base)
    np.testing.assert_allclose(values.numpy(), np.sort(distances)[:, :5], rtol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(distances, rows.numpy(), 1), values.numpy(), rtol=1e-5)


def test_a_gpu_gets_an_index_that_is_trained_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own training has other parameters, so other rows would be found. FAISS's GPU functions are stood in for by a copy."""
    import faiss

    base, queries = clustered(4000), clustered(200, seed=1)
    expected = InvertedIndex(base, seed=3).search(queries, 3)
    trained: list[bool] = []

    def copied(index: object) -> object:
        trained.append(index.is_trained)  # type: ignore[attr-defined]
        return faiss.clone_index(index)

    monkeypatch.setattr(inverted, "on_gpu", lambda faiss: True)
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", copied, raising=False)
    monkeypatch.setattr(faiss, "GpuParameterSpace", faiss.ParameterSpace, raising=False)
    found = InvertedIndex(base, seed=3).search(queries, 3)
    assert trained == [True]
    assert torch.equal(found[1], expected[1])


def test_few_lists_can_only_miss() -> None:
    base, queries = clustered(4000), clustered(500, seed=1)
    distances = squared(queries, base)
    recall = []
    for probes in (1, 2, 8):
        values, rows = InvertedIndex(base, seed=0, num_probes=probes).search(queries, 3)
        reached = np.where(rows.numpy() < 0, np.inf, np.take_along_axis(distances, rows.numpy(), 1))
        np.testing.assert_allclose(reached, values.numpy(), rtol=1e-5)
        assert (values.numpy() >= np.sort(distances)[:, :3] * (1 - 1e-5)).all()
        assert torch.equal(values.sort(dim=1).values, values)
        recall.append(float((rows[:, 0].numpy() == distances.argmin(1)).mean()))
    assert 0.3 < recall[0] < recall[1] < recall[2] <= 1


def test_a_row_finds_itself() -> None:
    base = clustered(3000)
    values, rows = InvertedIndex(base, seed=0, num_probes=1).search(base, 1)
    assert rows.squeeze(1).tolist() == list(range(3000))
    assert values.max() == 0  # by differences, so exactly


def test_a_list_with_fewer_than_k_rows() -> None:
    """Three rows far from all others, and from one another, are lists of their own."""
    base = clustered(1000)
    base[:3] = torch.eye(3, 16) * 1000
    index = InvertedIndex(base, seed=0, num_probes=1)
    values, rows = index.search(base, 20)
    short = rows < 0
    assert short.any()
    assert not short[:, 0].any()
    assert torch.equal(short, values.isinf())
    assert torch.equal(short.sort(dim=1).values, short)  # at the end of each row
    assert values[~short].isfinite().all()


def test_more_neighbours_than_rows() -> None:
    base = clustered(5)
    values, rows = InvertedIndex(base, seed=0).search(base[:2], 8)
    assert rows[:, :5].sort().values.tolist() == [[0, 1, 2, 3, 4]] * 2
    assert (rows[:, 5:] == -1).all()
    assert values[:, 5:].tolist() == [[math.inf] * 3] * 2


def test_the_seed_decides() -> None:
    base, queries = clustered(3000), clustered(400, seed=1)
    first, again, other = (InvertedIndex(base, seed=seed, num_probes=1).search(queries, 3) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[1], other[1])
    InvertedIndex(base, seed=2**63)  # larger than FAISS's own


def test_calls_of_many_queries_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    base, queries = clustered(500), clustered(130, seed=1)
    index = InvertedIndex(base, seed=0)
    whole = index.search(queries, 2)
    monkeypatch.setattr("variegate.neighbors.inverted._BLOCK", 50)
    assert all(torch.equal(a, b) for a, b in zip(whole, index.search(queries, 2), strict=True))
    with_double = index.search(queries.double(), 2)
    assert torch.equal(with_double[1], whole[1])
