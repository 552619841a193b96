"""Grouping of prompts for the encoder, and that a prompt's neighbours and their padding are nothing to it; the whole model: test_parity.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.support.processes import run_script
from tests.support.tiny_t5 import make_tiny_t5

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


@pytest.mark.slow
@pytest.mark.parametrize("alignment", [1, 8])
def test_padding_is_nothing_to_a_prompt(tmp_path: Path, alignment: int) -> None:
    """A mask that lets one padded place through, or takes one token away, moves no greedy token of `test_parity`; it moves these numbers."""
    lengths = (3, 4, 7, 12, 16, 17, 25, 26, 40)  # by one, and by many
    script = Path(__file__).with_name("encoder_script.py")
    found = run_script(script, make_tiny_t5(tmp_path / "tiny"), ",".join(map(str, lengths)), str(alignment))
    assert found["groups"] == [[3, 4, 7, 12, 16, 17], [25, 26, 40]]
    assert found["size"] > 1
    assert found["together_or_alone"] < 2e-5
    assert found["against_transformers"] < 2e-5
