"""The torch form of top_k against numpy's sort; the Triton form is in test_pairwise_triton."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate_kernels import topk
from variegate_kernels.topk import top_k


def case(n: int, m: int, d: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator, dtype=dtype), torch.randn(m, d, generator=generator, dtype=dtype)


@pytest.mark.parametrize(("n", "m", "d", "k"), [(1, 1, 1, 1), (3, 5, 2, 5), (40, 7, 3, 1), (7, 300, 16, 5), (64, 33, 8, 32)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-13)])
def test_values_are_the_head_of_a_full_sort(n: int, m: int, d: int, k: int, dtype: torch.dtype, tolerance: float) -> None:
    a, b = case(n, m, d, dtype)
    values, rows = top_k(a, b, k)
    products = a.double().numpy() @ b.double().numpy().T
    assert values.shape == rows.shape == (n, k)
    assert values.dtype == dtype
    assert rows.dtype == torch.int64
    np.testing.assert_allclose(values.numpy(), -np.sort(-products, axis=1)[:, :k], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(np.take_along_axis(products, rows.numpy(), axis=1), values.numpy(), rtol=tolerance, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.integers(0, 2**31), st.data())
def test_each_row_is_named_once_and_none_left_out_is_larger(n: int, m: int, d: int, seed: int, data: st.DataObject) -> None:
    """Whole numbers, so that equal products are equal."""
    rng = np.random.default_rng(seed)
    a, b = (torch.from_numpy(rng.integers(-2, 3, (each, d)).astype(np.float32)) for each in (n, m))
    k = data.draw(st.integers(1, m))
    values, rows = top_k(a, b, k)
    products = (a @ b.T).numpy()
    for i in range(n):
        chosen = rows[i].tolist()
        assert len(set(chosen)) == k
        assert values[i].tolist() == products[i, chosen].tolist() == sorted(products[i], reverse=True)[:k]


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = case(101, 40, 8)
    whole = top_k(a, b, 6)
    monkeypatch.setattr(topk, "_BLOCK_ELEMENTS", 130)
    values, rows = top_k(a, b, 6)
    torch.testing.assert_close(values, whole[0], rtol=1e-13, atol=1e-13)
    assert torch.equal(rows, whole[1])


@pytest.mark.parametrize(
    ("a", "b", "k", "options", "message"),
    [
        (torch.zeros(3, 2), torch.zeros(4, 3), 1, {}, "widths"),
        (torch.zeros(3, 2), torch.zeros(4, 2).double(), 1, {}, "types"),
        (torch.zeros(3), torch.zeros(4, 2), 1, {}, "widths"),
        (torch.zeros(3, 2), torch.zeros(4, 2), 0, {}, "expected 1 to 4"),
        (torch.zeros(3, 2), torch.zeros(4, 2), 5, {}, "k: got 5, expected 1 to 4"),
        (torch.zeros(3, 2), torch.zeros(4, 2), 1, {"impl": "fast"}, "impl: got 'fast'"),
    ],
)
def test_bad_arguments(a: torch.Tensor, b: torch.Tensor, k: int, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        top_k(a, b, k, **options)  # type: ignore[arg-type]
