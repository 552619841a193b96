"""Rows as pairs: their digest against hashlib on bytes written by hand, and what is refused."""

from __future__ import annotations

import hashlib
import struct

import jaxtyping
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.suppression import as_dense, as_row
from variegate.inference.suppression.sparse import Pairs, SparseRow

BIASES = st.dictionaries(st.integers(0, 30), st.sampled_from([-7.5, -1.0, -0.25, 0.0, -0.0, 2.0]), max_size=6)


def dense(biases: dict[int, float]) -> np.ndarray:
    out = np.zeros(31, dtype=np.float32)
    for token, bias in biases.items():
        out[token] = bias
    return out


def test_the_digest_is_that_of_ids_and_biases_and_stable() -> None:
    """Request keys hold it: a change here would make every old run be generated again."""
    row = SparseRow(np.array([1, 2], np.int32), np.array([-7.5, -0.5], np.float32))
    assert row.digest == hashlib.sha256(struct.pack("<iiff", 1, 2, -7.5, -0.5)).hexdigest()[:16] == "3f1abe103ae68fde"
    assert SparseRow(np.zeros(0, np.int32), np.zeros(0, np.float32)).digest == ""


@given(first=BIASES, second=BIASES)
@settings(max_examples=300, deadline=None)
def test_digests_are_equal_exactly_when_the_biases_are(first: dict[int, float], second: dict[int, float]) -> None:
    a, b = as_row(dense(first)), as_row(dense(second))
    assert (a.digest == b.digest) == (a == b) == np.array_equal(dense(first), dense(second))
    assert (a.digest == "") == (not dense(first).any())
    assert np.array_equal(as_dense(a, 31), dense(first))


def test_a_row_cannot_be_changed_under_its_digest() -> None:
    row = as_row(np.array([0, -1.0]))
    with pytest.raises(ValueError, match="read-only"):
        row.biases[0] = -2.0


@pytest.mark.parametrize(
    ("ids", "biases", "message"),
    [
        ([2, 1], [-1.0, -1.0], "ascend"),
        ([1, 1], [-1.0, -1.0], "ascend"),
        ([-1, 1], [-1.0, -1.0], "from 0 on"),
        ([1, 2], [-1.0, 0.0], "got 0, NaN"),
        ([1, 2], [-1.0, np.nan], "got 0, NaN"),
        ([1], [-np.inf], "infinite"),
        ([1, 2], [-1.0], r"int32 \(2,\) and float32 \(1,\)"),
    ],
)
def test_what_is_no_row_is_refused(ids: list[int], biases: list[float], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # under its hook, ours would not be reached
    with pytest.raises(ValueError, match=message):
        SparseRow(np.array(ids, np.int32), np.array(biases, np.float32))


def test_other_types_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match="got int64"):
        SparseRow(np.array([1]), np.array([-1.0], np.float32))


def test_pairs_as_bytes_there_and_back() -> None:
    """12 bytes a pair, and nothing that stands for the vocabulary."""
    rows = {3: as_row(np.array([0, -1.0, -2.0])), 1: as_row(np.array([-0.5]))}
    data = Pairs.of(rows).to_bytes()
    assert data == (struct.pack("<iii", 3, 3, 1), struct.pack("<iii", 1, 2, 0), struct.pack("<fff", -1.0, -2.0, -0.5))
    back = Pairs.from_bytes(*data)
    assert (back.row_numbers.tolist(), back.token_ids.tolist(), back.biases.tolist()) == ([3, 3, 1], [1, 2, 0], [-1.0, -2.0, -0.5])
    assert Pairs.of({}).to_bytes() == (b"", b"", b"")


@pytest.mark.parametrize("lengths", [(4, 4, 8), (4, 8, 4), (8, 4, 4), (3, 3, 3)])
def test_bytes_of_another_size_are_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"got {lengths[0]}, {lengths[1]} and {lengths[2]} bytes"):
        Pairs.from_bytes(*map(bytes, lengths))
