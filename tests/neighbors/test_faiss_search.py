"""FAISS as an exact implementation, against scipy and numpy; what an absent FAISS says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from variegate.errors import UsageError, VariegateError
from variegate.neighbors import faiss_search, has_faiss, nearest_other

pytest.importorskip("faiss")


def random(n: int, d: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "m", "k"), [(1, 1, 1), (3, 40, 40), (50, 700, 5), (5000, 60, 2)])
@pytest.mark.parametrize("inner_product", [True, False])
def test_search_is_a_full_sort(n: int, m: int, k: int, inner_product: bool) -> None:
    """5,000 queries are more than one call takes."""
    a, b = random(n), random(m, seed=1)
    values, rows = faiss_search.search(a, b, k, inner_product=inner_product)
    left, right = a.double().numpy(), b.double().numpy()
    all_values = left @ right.T if inner_product else cdist(left, right, "sqeuclidean")
    expected = np.sort(-all_values if inner_product else all_values)[:, :k] * (-1 if inner_product else 1)
    assert values.shape == rows.shape == (n, k)
    np.testing.assert_allclose(values.numpy(), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(all_values, rows.numpy(), 1), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", [lambda x: x.double(), lambda x: x.T.contiguous().T, lambda x: x.half().float(), lambda x: x[::2]])
def test_any_type_and_layout(make: object) -> None:
    x = make(random(60))  # type: ignore[operator]
    values, rows = faiss_search.search(x, x, 1, inner_product=False)
    assert rows.squeeze(1).tolist() == list(range(len(x)))
    assert values.abs().max() < 1e-4


def test_search_leaves_the_number_of_threads_alone() -> None:
    import faiss

    before = torch.get_num_threads(), faiss.omp_get_max_threads()
    faiss_search.search(random(5000), random(50), 1, inner_product=True)
    assert (torch.get_num_threads(), faiss.omp_get_max_threads()) == before


def test_the_same_bits_with_any_number_of_threads() -> None:
    x, before = random(4500), torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            found.append(faiss_search.sweep(x, None, None, "euclidean"))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(each.nearest, found[0].nearest) and torch.equal(each.distance_sq, found[0].distance_sq) for each in found)


@pytest.mark.parametrize("itself", [True, False])
@pytest.mark.parametrize("function", ["euclidean", "angular"])
def test_sweep(function: str, itself: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_search, "_BLOCK", 9_000)  # several blocks of sums
    a = random(300)
    a /= a.norm(dim=1, keepdim=True)
    b = None if itself else torch.nn.functional.normalize(random(200, seed=1))
    right = a if b is None else b
    weights = torch.arange(1.0, len(right) + 1)
    found = faiss_search.sweep(a, b, weights, function)  # type: ignore[arg-type]
    distances = cdist(a.double().numpy(), right.double().numpy())
    f = distances if function == "euclidean" else 2 * np.arcsin(np.clip(distances / 2, 0, 1)) / np.pi
    np.testing.assert_allclose(found.sums.numpy(), f @ weights.double().numpy(), rtol=2e-6)
    own = weights.double().numpy() if itself else np.ones(300)
    assert found.total == pytest.approx(own @ f @ weights.double().numpy(), rel=1e-6)
    if itself:
        np.fill_diagonal(distances, np.inf)
    assert found.nearest.tolist() == distances.argmin(1).tolist()
    np.testing.assert_allclose(found.distance_sq.numpy(), distances.min(1) ** 2, atol=found.error)
    assert found.impl == "faiss"


def test_a_row_among_many_copies_is_not_its_own_neighbour() -> None:
    """FAISS may return any two of the copies, in any order."""
    x = random(400)
    x[:300] = x[0].clone()
    found = faiss_search.sweep(x, None, None, "none")
    assert not (found.nearest == torch.arange(400)).any()
    assert (found.nearest[:300] < 300).all()
    assert found.sums is None


def test_one_row_has_no_neighbour() -> None:
    found = faiss_search.sweep(torch.ones(1, 4), None, None, "euclidean")
    assert found.nearest.tolist() == [-1]
    assert found.distance_sq.isinf().all()


def test_without_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    assert has_faiss()
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(VariegateError, match=r"need FAISS: pip install 'variegate\[cpu\]'") as caught:
        nearest_other(random(10), implementation="faiss")
    assert not isinstance(caught.value, UsageError)
    assert nearest_other(random(10), implementation="tiles").precision == "fp32"


@pytest.mark.slow
def test_measures_load_without_faiss_and_torch_comes_first() -> None:
    """A FAISS for another CUDA version crashes the process when it is imported before torch."""
    code = (
        "import sys\nimport variegate.metrics\nassert 'faiss' not in sys.modules\n"
        "from variegate.neighbors.faiss_search import load_faiss\nload_faiss()\nnames = list(sys.modules)\n"
        "assert names.index('torch') < names.index('faiss')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
