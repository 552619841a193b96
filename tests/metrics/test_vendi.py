"""Vendi score, against eigenvalues of the whole kernel matrix, closed cases and the published package's example."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.metrics.vendi import ORDERS, vendi_score, vendi_scores

SETS = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**31)).map(
    lambda case: np.random.default_rng(case[2]).standard_normal(case[:2])
)
ALL_ORDERS = (0.2, *ORDERS, 7.5)


def hill_number(shares: list[float], q: float) -> float:
    """The effective number of kinds (Hill 1973), as ecologists write it."""
    if math.isinf(q):
        return 1 / max(shares)
    if q == 1:
        return float(np.prod([share**-share for share in shares]))
    return float(sum(share**q for share in shares) ** (1 / (1 - q)))


def brute_force(x: np.ndarray) -> list[float]:
    """From all n eigenvalues of the n x n cosine matrix, without the covariance."""
    x = x.astype(np.float64)
    x = x / np.sqrt((x * x).sum(1, keepdims=True))
    shares = np.linalg.eigvalsh(x @ x.T / len(x))
    return [hill_number(shares[shares > 1e-12].tolist(), q) for q in ALL_ORDERS]


def values(x: object, orders: tuple[float, ...] = ALL_ORDERS) -> list[float]:
    return [each.value for each in vendi_scores(x, orders=orders)]  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(5, 40), (40, 5), (30, 30), (300, 64), (64, 300)])
def test_scores_are_those_of_the_whole_kernel_matrix(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal(shape) + 0.5
    assert values(x) == pytest.approx(brute_force(x), rel=1e-9)


def test_float32_input_is_measured_in_float64() -> None:
    x = (np.random.default_rng(1).standard_normal((200, 48)) + 0.3).astype(np.float32)
    before, expected = x.copy(), brute_force(x)
    for given_as in (x, torch.from_numpy(x), np.asfortranarray(x), x.astype(np.float64)):
        assert values(given_as) == pytest.approx(expected, rel=1e-12)
    assert (x == before).all()


def test_blocks_of_rows_add_up() -> None:
    """More rows than one block of the covariance holds."""
    x = np.random.default_rng(2).standard_normal((600_000, 8)).astype(np.float32)
    u = x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    shares = np.linalg.svd(u, compute_uv=False) ** 2 / len(u)
    assert values(x, (1.0,)) == pytest.approx([hill_number(shares.tolist(), 1)], rel=1e-10)


@pytest.mark.parametrize("q", ALL_ORDERS)
@pytest.mark.parametrize("shape", [(7, 3), (3, 7), (1, 5), (5, 1)])
def test_equal_rows_are_one(shape: tuple[int, int], q: float) -> None:
    row = np.random.default_rng(3).standard_normal(shape[1])
    assert vendi_score(np.tile(row, (shape[0], 1)), q=q).value == pytest.approx(1, abs=1e-12)
    lengths = np.arange(1, shape[0] + 1)[:, None]  # only directions count
    assert vendi_score(row * lengths, q=q).value == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("q", ALL_ORDERS)
def test_orthogonal_rows_all_count(q: float) -> None:
    orthogonal = np.linalg.qr(np.random.default_rng(4).standard_normal((9, 9)))[0]
    assert vendi_score(orthogonal, q=q).value == pytest.approx(9, rel=1e-12)
    assert vendi_score(orthogonal[:6] * 3.7, q=q).value == pytest.approx(6, rel=1e-12)


@pytest.mark.parametrize("q", ALL_ORDERS)
def test_wholly_different_groups_give_the_hill_number(q: float) -> None:
    """Friedman and Dieng: with similarity 0 between groups and 1 within, the score is the effective number of groups."""
    rows = np.repeat(np.eye(4), [8, 4, 2, 2], axis=0)
    expected = {1.0: 2**1.75, 2.0: 1 / (1 / 4 + 1 / 16 + 1 / 32), math.inf: 2.0}.get(q, hill_number([0.5, 0.25, 0.125, 0.125], q))
    assert vendi_score(rows, q=q).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("cosine", [-0.9, 0.0, 0.3, 0.999])
def test_two_rows_by_hand(cosine: float) -> None:
    """Eigenvalues of [[1, c], [c, 1]] / 2 are (1 - c) / 2 and (1 + c) / 2."""
    x = np.array([[1, 0], [cosine, math.sqrt(1 - cosine**2)]])
    assert values(x) == pytest.approx([hill_number([(1 - cosine) / 2, (1 + cosine) / 2], q) for q in ALL_ORDERS], rel=1e-12)


@pytest.mark.parametrize(
    ("kernel", "published"),
    [
        (np.exp(-np.abs(np.subtract.outer([0, 0, 10, 10, 20, 20], [0, 0, 10, 10, 20, 20]))), 2.9999),
        (np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.0], [0.0, 0.0, 1.0]]), 2.1573),
    ],
)
def test_the_published_examples(kernel: np.ndarray, published: float) -> None:
    """README of the package vendi-score 0.0.3, to its four digits (it cuts them off). Rows with that cosine matrix are made first."""
    eigenvalues, eigenvectors = np.linalg.eigh(kernel)
    rows = eigenvectors * np.sqrt(eigenvalues.clip(0))
    np.testing.assert_allclose(rows @ rows.T, kernel, atol=1e-12)
    assert published <= vendi_score(rows).value < published + 1e-4


@settings(deadline=None)
@given(SETS)
def test_repeating_the_set_changes_nothing(x: np.ndarray) -> None:
    """From fewer rows than columns to more and back."""
    for copies in (2, 5):
        assert values(np.repeat(x, copies, axis=0)) == pytest.approx(values(x), rel=1e-7)


@settings(deadline=None)
@given(SETS, st.integers(0, 2**31))
def test_rotation_order_and_signs_change_nothing(x: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rotation = np.linalg.qr(rng.standard_normal((x.shape[1], x.shape[1])))[0]
    signs = rng.choice([-1.0, 1.0], size=(len(x), 1))
    assert values((x * signs)[rng.permutation(len(x))] @ rotation) == pytest.approx(values(x), rel=1e-7)


@settings(deadline=None)
@given(SETS)
def test_scores_lie_between_one_and_the_maximum_and_fall_with_the_order(x: np.ndarray) -> None:
    scores = values(x, (0.1, 0.5, 0.9, 1.0, 1.1, 2.0, 5.0, 100.0, math.inf))
    assert all(later <= earlier * (1 + 1e-9) for earlier, later in pairwise(scores))
    assert scores[-1] >= 1 - 1e-9
    assert scores[0] <= min(x.shape) * (1 + 1e-9)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12])
def test_the_score_is_smooth_at_order_one(step: float) -> None:
    x = np.random.default_rng(5).standard_normal((40, 12)) + 1
    at, below, above = values(x, (1.0, 1 - step, 1 + step))
    assert above <= at <= below
    assert below - above < 30 * step
    assert values(x, (2.0, 2 - 1e-12)) == pytest.approx(values(x, (2 - 1e-12, 2.0)), rel=1e-10)


def test_what_a_value_says() -> None:
    x = np.vstack([np.eye(3), np.eye(3)[:1]])
    found = vendi_scores(x)
    assert [each.details for each in found] == [{"q": 0.5, "max": 3}, {"q": 1.0, "max": 3}, {"q": 2.0, "max": 3}, {"q": "inf", "max": 3}]
    assert {(each.metric, each.n, each.num_duplicates, each.distance, each.precision) for each in found} == {
        ("vendi_score", 4, 1, "cosine", "float64")
    }
    assert found[0].implementation == "covariance"
    assert vendi_score(x[:2]).implementation == "kernel_matrix"
    assert vendi_score(x) == found[1]
    json.dumps([each.to_json() for each in found], allow_nan=False)


@pytest.mark.parametrize("q", [0, -1, math.nan])
def test_an_order_is_positive(q: float) -> None:
    with pytest.raises(UsageError, match="expected an order above 0"):
        vendi_score(np.eye(2), q=q)


def test_bad_rows_are_named() -> None:
    with pytest.raises(UsageError, match="row 1 is a zero vector"):
        vendi_score(np.array([[1.0, 2], [0, 0]]))
    with pytest.raises(UsageError, match="row 1 holds NaN"):
        vendi_score(np.array([[1.0, 2], [0, math.nan]]))
