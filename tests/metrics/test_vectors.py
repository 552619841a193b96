"""What counts as a matrix of vectors, what is refused and how the refusal reads; equal rows against numpy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.metrics import vectors
from variegate.metrics.vectors import as_vectors, check_same_width, find_distinct, mean_row, prepare, unit_rows

X = np.random.default_rng(0).standard_normal((40, 6)).astype(np.float32)


def memory_map(folder: Path) -> np.ndarray:
    np.save(folder / "x.npy", X)
    return np.load(folder / "x.npy", mmap_mode="r")


def in_records(_: Path) -> np.ndarray:
    """A column of a structured array: its rows start at odd places in memory."""
    table = np.zeros(len(X), dtype=[("vector", np.float32, (6,)), ("flag", np.int8)])
    table["vector"] = X
    return table["vector"]


SAME_NUMBERS: dict[str, Callable[[Path], object]] = {
    "array": lambda _: X,
    "list of lists": lambda _: X.tolist(),
    "list of arrays": lambda _: list(X),
    "list of tensors": lambda _: [torch.from_numpy(row.copy()) for row in X],
    "list of bfloat16 tensors": lambda _: [torch.from_numpy(row.copy()).bfloat16() for row in X],
    "list of tensors with a gradient": lambda _: [torch.from_numpy(row.copy()).requires_grad_() for row in X],
    "tensor": lambda _: torch.from_numpy(X),
    "tensor with a gradient": lambda _: torch.from_numpy(X).clone().requires_grad_(),
    "parameter": lambda _: torch.nn.Parameter(torch.from_numpy(X).clone()),
    "fortran": lambda _: np.asfortranarray(X),
    "every second row": lambda _: np.repeat(X, 2, axis=0)[::2],
    "every second column": lambda _: np.repeat(X, 2, axis=1)[:, ::2],
    "backwards": lambda _: X[::-1].copy()[::-1],
    "columns backwards": lambda _: X[:, ::-1].copy()[:, ::-1],
    "transposed tensor": lambda _: torch.from_numpy(X.T.copy()).T,
    "read-only memory map": memory_map,
    "column of records": in_records,
    "float64": lambda _: X.astype(np.float64),
    "float64 tensor": lambda _: torch.from_numpy(X).double(),
    "long double": lambda _: X.astype(np.longdouble),
    "big-endian float32": lambda _: X.astype(">f4"),
    "big-endian float64": lambda _: X.astype(">f8"),
}


@pytest.mark.parametrize("name", SAME_NUMBERS)
@pytest.mark.filterwarnings("error")
def test_any_matrix_is_taken(name: str, tmp_path: Path) -> None:
    v = prepare(SAME_NUMBERS[name](tmp_path))
    expected = torch.from_numpy(X).bfloat16().float() if "bfloat16" in name else torch.from_numpy(X)
    assert torch.equal(v.rows.float(), expected)
    assert v.rows.dtype == (torch.float64 if name in ("list of lists", "float64", "float64 tensor", "long double", "big-endian float64") else torch.float32)  # fmt: skip
    np.testing.assert_allclose(v.norms.numpy(), expected.double().norm(dim=1).numpy(), rtol=1e-12)
    assert not v.rows.requires_grad


@pytest.mark.parametrize(
    "dtype", [np.float16, np.int8, np.int64, np.uint32, np.bool_, torch.bfloat16, torch.float16, torch.int32, torch.bool]
)
def test_other_types_of_number_become_float32(dtype: object) -> None:
    table = [[0, 1, 1], [1, 0, 0]]
    x = torch.tensor(table, dtype=dtype) if isinstance(dtype, torch.dtype) else np.array(table, dtype=dtype)
    rows = as_vectors(x)
    assert rows.dtype == torch.float32
    assert rows.tolist() == table


def test_memory_is_shared_and_left_alone() -> None:
    for x in (X.copy(), X.astype(np.float64)):
        before = x.copy()
        v = prepare(x)
        assert v.rows.data_ptr() == x.ctypes.data
        v.units()
        v.distinct()
        mean_row(v.rows)
        assert (x == before).all()


def test_prepared_vectors_are_not_read_again() -> None:
    v = prepare(X)
    assert prepare(v) is v


# -- what is refused -------------------------------------------------------------------------------------------

BAD = {
    "nothing": (None, "got object"),
    "text": ("abc", "expected numbers"),
    "texts": (["a", "b"], "expected numbers"),
    "numbers as text": ([["1", "2"]], "expected numbers"),
    "a dict": ({"a": [1.0]}, "got object"),
    "complex": (X.astype(complex), "complex128"),
    "complex tensor": (torch.zeros(2, 2, dtype=torch.complex64), "expected real numbers"),
    "dates": (np.zeros((2, 2), "datetime64[s]"), "expected numbers"),
    "one number": (3.0, r"got shape \[\], expected \[n, d\]"),
    "one vector": (X[0], r"got shape \[6\], expected \[n, d\]"),
    "three axes": (X[None], r"got shape \[1, 40, 6\], expected \[n, d\]"),
    "ragged": ([[1.0, 2.0], [3.0]], "not a matrix of numbers.*rows of one width"),
    "no rows": (np.zeros((0, 5)), r"got shape \[0, 5\].*nothing to measure"),
    "no columns": (torch.zeros(5, 0), r"got shape \[5, 0\].*nothing to measure"),
    "an empty list": ([], r"got shape \[0\]"),
    "sparse": (torch.eye(3).to_sparse(), "dense"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_matrix_is_refused(name: str) -> None:
    x, message = BAD[name]
    with pytest.raises(UsageError, match=f"^vectors of joy: .*{message}"):
        prepare(x, "vectors of joy")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_first_bad_row_is_named(value: float, dtype: type) -> None:
    x = X.astype(dtype)
    x[[17, 30], 4] = value
    for given_as in (x, torch.from_numpy(x), np.asfortranarray(x)):
        with pytest.raises(UsageError, match=r"^x: row 17 holds NaN, infinity or a number too large to square"):
            prepare(given_as)


def test_a_number_too_large_to_square() -> None:
    x = X.astype(np.float64)
    x[3, 0] = 1e200
    with pytest.raises(UsageError, match=r"row 3 holds .* a number too large to square"):
        prepare(x)


def test_zero_vectors_have_no_direction() -> None:
    x = X.copy()
    x[[9, 12]] = 0
    x[9, 2] = -0.0
    v = prepare(x, "synthetic")  # a fine matrix
    for call in (v.check_directions, v.units, lambda: unit_rows(x, "synthetic")):
        with pytest.raises(UsageError, match=r"^synthetic: row 9 is a zero vector.*leave it out, or use distance='euclidean'"):
            call()


@pytest.mark.parametrize(("dtype", "size"), [(np.float32, 1e-38), (np.float32, 3e38), (np.float64, 1e-150), (np.float64, 1e150)])
def test_directions_of_the_shortest_and_longest_vectors(dtype: type, size: float) -> None:
    """What is not zero has a direction, however short."""
    x = (X[:5] / np.abs(X[:5]).max(1, keepdims=True)).astype(dtype) * dtype(size)
    units = unit_rows(x).double().numpy()
    np.testing.assert_allclose(units, X[:5] / np.linalg.norm(X[:5], axis=1, keepdims=True), atol=1e-6)


def test_widths() -> None:
    check_same_width(prepare(X), prepare(X[:3]))
    with pytest.raises(UsageError, match=r"^real has vectors of width 6, made of width 4: they come from different encoders"):
        check_same_width(prepare(X, "real"), prepare(X[:, :4], "made"))


# -- unit rows, mean, distinct rows ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_unit_rows(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors.blocks, "__defaults__", (50,))  # eight rows at a time
    x = (X * np.geomspace(1e-15, 1e15, 40)[:, None]).astype(dtype)
    units = unit_rows(x)
    expected = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    np.testing.assert_allclose(units.double().numpy(), expected, rtol=1e-7 if dtype == np.float32 else 1e-15)
    assert units.dtype == as_vectors(x).dtype
    assert unit_rows(units).data_ptr() == units.data_ptr()  # nothing to do, no copy


def test_mean_row(monkeypatch: pytest.MonkeyPatch) -> None:
    big = np.random.default_rng(1).standard_normal((30_000, 5)).astype(np.float32) + np.float32(3)
    monkeypatch.setattr(vectors.blocks, "__defaults__", (20_000,))
    np.testing.assert_allclose(mean_row(torch.from_numpy(big)).numpy(), big.astype(np.float64).mean(0), atol=3e-8 * 3 * np.sqrt(5))
    np.testing.assert_allclose(mean_row(torch.from_numpy(big).double()).numpy(), big.astype(np.float64).mean(0), rtol=1e-13)
    huge = torch.full((100, 2), 3e38)
    assert mean_row(huge).tolist() == pytest.approx([3e38, 3e38], rel=1e-6)


def unique(x: np.ndarray) -> tuple[list[int], list[int], list[int]]:
    """(first row of each kind, kind of each row, counts), by a dict."""
    seen: dict[tuple[float, ...], int] = {}
    kind = [seen.setdefault(tuple((row + 0.0).tolist()), len(seen)) for row in x]
    return [kind.index(each) for each in range(len(seen))], kind, [kind.count(each) for each in range(len(seen))]


def assert_distinct(x: np.ndarray, hashes: torch.Tensor) -> None:
    found = find_distinct(torch.from_numpy(x), hashes)
    assert (found.first.tolist(), found.kind.tolist(), found.counts.tolist()) == unique(x)
    assert found.num_duplicates == len(x) - len(found.first)


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2**31), st.sampled_from([np.float32, np.float64]))
def test_distinct_rows(n: int, d: int, largest: int, seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.integers(-largest, largest + 1, (n, d)) * rng.choice([-1.0, 1.0], (n, d))).astype(dtype)  # with -0
    assert_distinct(x, prepare(x).hashes)
    assert_distinct(x, torch.zeros(n, dtype=torch.int64))  # all collide
    assert_distinct(x, prepare(x).hashes % 2)  # many do


def test_one_collision_among_many_copies() -> None:
    x = np.repeat(X[:30], 5, axis=0)[np.random.default_rng(3).permutation(150)]
    hashes = prepare(x).hashes.clone()
    hashes[(x == X[4]).all(1)] = hashes[(x == X[9]).all(1)][0]
    assert_distinct(x, hashes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_opposite_rows_do_not_collide(dtype: type) -> None:
    """x and -x differ in their signs alone: a hash of squares would call for the slow way."""
    x = np.concatenate([X, -X]).astype(dtype)
    assert len(prepare(x).hashes.unique()) == len(x)
    assert prepare(x).distinct().num_duplicates == 0


def test_no_duplicates() -> None:
    found = prepare(X).distinct()
    assert found.num_duplicates == 0
    assert found.first.tolist() == found.kind.tolist() == list(range(40))
