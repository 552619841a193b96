"""Grouping of prompts for the encoder; what it computes: test_parity.py."""

from __future__ import annotations

import importlib.util

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed")


@pytest.mark.parametrize(
    ("lengths", "groups"),
    [
        ([], []),
        ([7], [[0]]),
        ([100, 5, 99, 6], [[1, 3], [2, 0]]),
        ([10, 31, 32], [[0, 1], [2]]),  # up to 1.5 times as long and 16
        ([60] * 300, [list(range(273)), list(range(273, 300))]),  # up to TOKENS_PER_GROUP
        ([2000] * 4, [[0], [1], [2], [3]]),  # up to MASK_PER_GROUP
        ([1000] * 5, [[0, 1, 2, 3], [4]]),
        ([20000], [[0]]),  # one that is longer by itself
    ],
)
def test_similar_lengths_go_together(lengths: list[int], groups: list[list[int]]) -> None:
    from variegate.inference.t5.encoder import similar

    assert list(similar(lengths, 64)) == groups
