"""The table on a device, written pair by pair, against one that is set whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.suppression import as_pairs, as_row
from variegate.inference.suppression.device_table import DeviceTable
from variegate.inference.suppression.sparse import Pairs

NUM_TOKENS = 13
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"))]


def pairs(numbers: list[int], ids: list[int], biases: list[float]) -> Pairs:
    return Pairs(np.array(numbers, np.int32), np.array(ids, np.int32), np.array(biases, np.float32))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(5))
def test_rows_written_again_and_again(seed: int, device: str) -> None:
    """Nothing is left of what a number stood for before, and the other rows stay."""
    rng = np.random.default_rng(seed)
    table = DeviceTable(NUM_TOKENS, torch.device(device))
    expected = np.zeros((80, NUM_TOKENS), np.float32)
    written = set()
    for _ in range(60):
        numbers = rng.choice(np.arange(1, 40), size=rng.integers(1, 6), replace=False)
        fresh = np.where(rng.random((len(numbers), NUM_TOKENS)) < 0.3, -rng.random((len(numbers), NUM_TOKENS)), 0).astype(np.float32)
        fresh[:, 5] = -1.0  # no row is empty
        expected[numbers] = fresh
        written.update(numbers.tolist())
        made = Pairs.of({int(number): as_row(bias) for number, bias in zip(numbers, fresh, strict=True)})
        order = rng.permutation(len(made.biases))  # in any order, rows mixed
        table.add(Pairs(made.row_numbers[order], made.token_ids[order], made.biases[order]))
        assert np.array_equal(table.table.cpu().numpy(), expected[: table.num_rows])
        assert not expected[table.num_rows :].any()
        assert {number for number in range(80) if table.holds(number)} == {0, *written}


def test_it_grows_by_doubling_and_writes_in_place_otherwise() -> None:
    table = DeviceTable(NUM_TOKENS, torch.device("cpu"))
    grown, before = [], table.table
    for number in range(1, 100):
        table.add(pairs([number], [number % NUM_TOKENS], [-1.0]))
        if table.table is not before:
            grown.append((number, table.num_rows))
            before = table.table
    assert grown == [(1, 2), (2, 4), (4, 8), (8, 16), (16, 32), (32, 64), (64, 128)]
    table.add(pairs([500], [0], [-1.0]))
    assert table.num_rows == 501
    assert table.table.sum() == -100


def test_nothing_to_add() -> None:
    table = DeviceTable(NUM_TOKENS, torch.device("cpu"))
    table.add(Pairs.of({}))
    assert table.table.tolist() == [[0.0] * NUM_TOKENS]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (pairs([1, 0], [1, 2], [-1.0, -1.0]), "got number 0, expected numbers from 1 on; row 0 means 'not suppressed'"),
        (pairs([1, 2], [1, -1], [-1.0, -1.0]), r"got token -1, expected tokens in \[0, 13\)"),
        (pairs([1, 2], [1, 13], [-1.0, -1.0]), r"got token 13, expected tokens in \[0, 13\)"),
        (pairs([1, 2], [1, 2], [-1.0, np.nan]), "NaN"),
    ],
)
def test_wrong_rows_are_refused_and_nothing_is_written(wrong: Pairs, message: str) -> None:
    table = DeviceTable(NUM_TOKENS, torch.device("cpu"))
    table.add(as_pairs(np.array([[0.0] * NUM_TOKENS, [-2.0] * NUM_TOKENS])))
    before = table.table.clone()
    with pytest.raises(ValueError, match=message):
        table.add(wrong)
    assert torch.equal(table.table, before)
    assert not table.holds(2)
