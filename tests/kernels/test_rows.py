"""Squared lengths against numpy in float64, and the hash against Python's own whole numbers, on both paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import as_strided

from variegate_kernels import rows
from variegate_kernels.rows import MIXER, multipliers, pair_distances, row_facts

IMPLS = ("torch", "numba")


def wrapped(number: int) -> int:
    """As a 64-bit number with a sign."""
    number %= 2**64
    return number - 2**64 if number >= 2**63 else number


def expected_hash(row: np.ndarray, odd: list[int]) -> int:
    bits = row.view(np.int32 if row.dtype == np.float32 else np.int64)
    long = [wrapped(int(word) * MIXER) for word in bits]
    return wrapped(sum((word ^ (word >> 32)) * number for word, number in zip(long, odd, strict=True)))


def random(n: int, d: int, dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (17, 384), (1000, 9)])
def test_lengths_and_hashes(shape: tuple[int, int], impl: str) -> None:
    x = random(*shape)
    squares, hashes = row_facts(torch.from_numpy(x), impl=impl)
    np.testing.assert_allclose(squares.numpy(), (x.astype(np.float64) ** 2).sum(1), rtol=1e-14)
    odd = multipliers(shape[1]).tolist()
    assert all(number % 2 == 1 for number in odd)
    assert len(set(odd)) == len(odd)
    assert hashes.tolist() == [expected_hash(row, odd) for row in x]


def test_float64_rows() -> None:
    x = random(40, 6, np.float64)
    squares, hashes = row_facts(torch.from_numpy(x))
    np.testing.assert_allclose(squares.numpy(), (x**2).sum(1), rtol=1e-14)
    assert hashes.tolist() == [expected_hash(row, multipliers(6).tolist()) for row in x]


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.from_numpy(random(101, 8))
    whole = row_facts(x, impl="torch")
    monkeypatch.setattr(rows, "_BLOCK_ELEMENTS", 24)
    assert all(torch.equal(a, b) for a, b in zip(whole, row_facts(x, impl="torch"), strict=True))


@pytest.mark.parametrize("impl", IMPLS)
def test_minus_zero_is_zero(impl: str) -> None:
    x = torch.tensor([[0.0, 1.0, 0.0], [-0.0, 1.0, -0.0], [0.0, -1.0, 0.0]])
    before = x.clone()
    hashes = row_facts(x, impl=impl)[1].tolist()
    assert hashes[0] == hashes[1] != hashes[2]
    assert torch.equal(torch.signbit(x), torch.signbit(before))  # the input is only read


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from([-0.0, 0.0, 1.0, -1.0, 0.5, 1e-45, 3e38]), min_size=3, max_size=3), min_size=1, max_size=12))
def test_rows_share_a_hash_when_and_only_when_they_are_equal(table: list[list[float]]) -> None:
    x = torch.tensor(table)
    for impl in IMPLS:
        hashes = row_facts(x, impl=impl)[1]
        same = (x[:, None] == x[None]).all(2)
        assert torch.equal(hashes[:, None] == hashes[None], same)


def test_columns_and_single_bits_count() -> None:
    x = random(1, 16)[0]
    flipped = [x.copy() for _ in range(32)]
    for bit, row in enumerate(flipped):
        row.view(np.uint32)[bit % 16] ^= np.uint32(1 << bit)
    swapped = x[[1, 0, *range(2, 16)]]
    table = torch.from_numpy(np.stack([x, swapped, *flipped]))
    assert len(set(row_facts(table, impl="torch")[1].tolist())) == len(table)


def test_a_hundred_thousand_different_rows_have_as_many_hashes() -> None:
    assert len(row_facts(torch.from_numpy(random(100_000, 3)))[1].unique()) == 100_000


def test_rows_of_few_values_use_all_bits_of_the_hash() -> None:
    """The bits of 0, 1, 2, 0.5 end in 22 zeros; a sum of odd multiples keeps them, and 2^41 hashes are few for 10^6 rows."""
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (2000, 64)).astype(np.float32))
    low_bits = row_facts(x)[1] & 0xFFFF
    assert len(low_bits.unique()) > 1000


@pytest.mark.parametrize(
    "view",
    [
        lambda x: x[::3],
        lambda x: x[:, 2:7],
        lambda x: x[:, ::2],
        lambda x: torch.from_numpy(np.asfortranarray(x.numpy())),
        lambda x: x.T,
        lambda x: x[3].expand(9, -1),
        lambda x: torch.from_numpy(as_strided(x.numpy()[0], (5, 6), (4, 4))),  # rows that overlap
    ],
    ids=["rows", "columns", "every second column", "fortran", "transposed", "one row many times", "overlapping"],
)
def test_any_layout_gives_what_a_copy_gives(view: object) -> None:
    x = view(torch.from_numpy(random(30, 12)))  # type: ignore[operator]
    for impl in ("auto", "torch"):
        for got, expected in zip(row_facts(x, impl=impl), row_facts(x.clone(memory_format=torch.contiguous_format)), strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_shows_in_the_squares(value: float, impl: str) -> None:
    """The caller's check rests on it, also in code compiled for finite numbers."""
    for column in range(19):
        x = torch.from_numpy(random(5, 19))
        x[3, column] = value
        assert torch.isfinite(row_facts(x, impl=impl)[0]).tolist() == [True, True, True, False, True]


@pytest.mark.parametrize("impl", IMPLS)
def test_squares_of_the_largest_and_smallest_float32(impl: str) -> None:
    x = torch.tensor([[3e38, 3e38], [1e-45, 0.0]])
    np.testing.assert_allclose(row_facts(x, impl=impl)[0].numpy(), (x.double() ** 2).sum(1).numpy(), rtol=1e-14)


@pytest.mark.parametrize(
    ("x", "impl", "message"),
    [
        (torch.zeros(3), "auto", "expected float32 or float64"),
        (torch.zeros(3, 2, dtype=torch.float16), "auto", "torch.float16"),
        (torch.zeros(3, 2), "fast", "impl: got 'fast'"),
        (torch.zeros(3, 2, dtype=torch.float64), "numba", "use impl='torch'"),
        (torch.zeros(3, 2).T, "numba", "use impl='torch'"),
    ],
)
def test_bad_arguments(x: torch.Tensor, impl: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        row_facts(x, impl=impl)  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", IMPLS)
@pytest.mark.parametrize("block", [1 << 20, 20])
def test_pair_distances_are_differences(block: int, impl: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = (torch.from_numpy(random(n, 5, seed=n)) + 1000 for n in (70, 30))
    index = torch.arange(70) % 30
    index[[3, 69]] = -1
    b[index[10]] = a[10]
    monkeypatch.setattr(rows, "_BLOCK_ELEMENTS", block)
    got = pair_distances(a, b, index, impl=impl)
    expected = (a.double() - b[index].double()).norm(dim=1)
    expected[[3, 69]] = math.inf
    torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)
    assert got[10] == 0


def test_pair_distances_refuse_numba_for_float64() -> None:
    x = torch.zeros(2, 3, dtype=torch.float64)
    with pytest.raises(ValueError, match="float32 on the CPU"):
        pair_distances(x, x, torch.tensor([1, 0]), impl="numba")
