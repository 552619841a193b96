"""T5 in vLLM against Transformers: the same greedy tokens, one by one, whatever the batch, the cache and the runner do.

The checkpoints are tiny and random, with logits far apart, so that rounding decides nothing. 200 prompts of 1 to 500 encoder
positions, a quarter of them with 1 to 100 soft vectors, 150 new tokens.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.gpu import HAS_GPU, cpu_only
from variegate.inference.t5 import hooks

PARITY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("parity.py"))))
NEW = 150
# Seats and blocks so few that requests are put out and come back.
CROWDED = {"max_num_seqs": 16, "num_gpu_blocks_override": 72, "max_num_batched_tokens": 512}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton's interpreter; install triton")
an_hour = pytest.mark.skipif(
    not HAS_GPU and "VARIEGATE_T5_V2" not in os.environ, reason="an hour of interpreted kernels; set VARIEGATE_T5_V2=1"
)


@dataclass(frozen=True)
class Known:
    """A checkpoint, prompts, and the tokens that Transformers generates."""

    engines: Any
    folder: Path
    prompts: list[Any]
    tokens: list[list[int]]

    def first(self, count: int, new: int = NEW) -> Known:
        return replace(self, prompts=self.prompts[:count], tokens=[row[:new] for row in self.tokens[:count]])

    def run(self, **options: Any) -> dict[str, Any]:
        return self.engines.run(self.folder, self.prompts, len(self.tokens[0]), **options)


def known(engines: Any, folder: Path, per_length: int) -> Known:
    prompts = PARITY.make_prompts(per_length)
    tokens = PARITY.reference(folder, prompts, NEW)
    assert len({tuple(row) for row in tokens}) > 0.9 * len(tokens)  # else equality would say little
    return Known(engines, folder, prompts, tokens)


@pytest.fixture(scope="module")
def gated(engines: Any, tmp_path_factory: pytest.TempPathFactory, make_tiny_t5: Callable[..., Path]) -> Known:
    """v1.1 and FLAN: gated, a head of its own, inner width and depth of the stacks not alike."""
    known_gated = known(engines, make_tiny_t5(tmp_path_factory.mktemp("t5") / "gated"), 5)
    assert len(known_gated.prompts) == 200
    assert sum(prompt.num_soft > 0 for prompt in known_gated.prompts) == 50
    return known_gated


@pytest.fixture(scope="module")
def tied(engines: Any, tmp_path_factory: pytest.TempPathFactory, make_tiny_t5: Callable[..., Path]) -> Known:
    """v1.0: ReLU, and a head that is the scaled embedding table."""
    return known(engines, make_tiny_t5(tmp_path_factory.mktemp("t5") / "tied", gated=False, tied=True), 1)


def test_equal(gated: Known) -> None:
    result = gated.run()
    assert PARITY.differing(result["tokens"], gated.tokens) == []
    assert result["preemptions"] == 0
    assert not PARITY.is_v2(result["runner"])


def test_equal_through_preemptions(gated: Known) -> None:
    result = gated.run(**CROWDED)
    assert PARITY.differing(result["tokens"], gated.tokens) == []
    assert result["preemptions"] > 20


def test_new_requests_wait_for_an_eighth_of_the_seats(gated: Known) -> None:
    """The scheduler that a GPU gets, on a CPU: 60 requests of 5 to 34 tokens on 16 seats, and on seats enough for all."""
    some = gated.first(60, 34)
    new = [5 + place * 7 % 30 for place in range(60)]
    wanted = [row[:count] for row, count in zip(some.tokens, new, strict=True)]
    groups = {}
    for seats, scheduler in ((16, None), (16, hooks.SCHEDULER), (80, hooks.SCHEDULER)):
        engine = {"max_num_seqs": seats} | ({"scheduler_cls": scheduler} if scheduler else {})
        result = gated.engines.run(some.folder, some.prompts, new, **engine)
        assert PARITY.differing(result["tokens"], wanted) == []
        groups[seats, scheduler is not None] = result["admitted"]
    waiting = groups[16, True]
    assert (waiting[0], sum(waiting)) == (16, 60)
    assert min(waiting[:-1]) >= 2
    assert len(waiting) < 0.75 * len(groups[16, False])
    assert len(groups[80, True]) <= 3  # seats are free: nobody waits for more than the step's tokens


def test_encoder_outputs_in_the_order_they_were_scheduled_are_wrong(gated: Known) -> None:
    """What the hook in Model Runner V1 is for: once vLLM orders them itself, this fails, and the hook can go."""
    some = gated.first(60)
    result = some.run(changes=["no order"], **CROWDED)
    assert result["preemptions"] > 20
    assert len(PARITY.differing(result["tokens"], some.tokens)) > 5


def test_without_the_bias_all_differ(gated: Known) -> None:
    some = gated.first(20, 60)
    assert len(PARITY.differing(some.run(changes=["no bias"])["tokens"], some.tokens)) > 15


def test_tied_and_compiled(tied: Known) -> None:
    """torch.compile of the decoder, preemptions too."""
    result = tied.run(enforce_eager=False, **CROWDED)
    assert PARITY.differing(result["tokens"], tied.tokens) == []
    assert result["preemptions"] > 5


@needs_triton
def test_equal_on_model_runner_v2(gated: Known) -> None:
    """V2's own kernels are interpreted on a CPU, so a few prompts, which make preemptions certain: each holds 3 blocks of encoder
    positions and one more of every 32 answer tokens, and 17 blocks (one is vLLM's) seat four of them at first."""
    few = {"max_num_seqs": 6, "max_model_len": 256, "max_num_batched_tokens": 256}
    prompts = PARITY.make_prompts(2, lengths=(65, 80, 96))
    wanted = PARITY.reference(gated.folder, prompts, 70)
    result = gated.engines.run(gated.folder, prompts, 70, v2=True, num_gpu_blocks_override=18, **few)
    assert PARITY.is_v2(result["runner"])
    assert PARITY.differing(result["tokens"], wanted) == []
    assert result["preemptions"] > 0


@needs_triton
@an_hour
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("options", [{}, CROWDED], ids=["plain", "preemptions"])
def test_all_equal_on_model_runner_v2(gated: Known, options: dict[str, int]) -> None:
    result = gated.run(v2=True, seconds=7200, **options)
    assert PARITY.is_v2(result["runner"])
    assert PARITY.differing(result["tokens"], gated.tokens) == []
    assert (result["preemptions"] > 20) == bool(options)


def test_beyond_the_positions_that_a_checkpoint_names(gated: Known) -> None:
    prompts = PARITY.make_prompts(2, lengths=(600, 901))
    wanted = PARITY.reference(gated.folder, prompts, 600)
    result = gated.engines.run(gated.folder, prompts, 600, max_model_len=1024, hf_overrides={"n_positions": 1024})
    assert PARITY.differing(result["tokens"], wanted) == []


def test_multilingual_t5(engines: Any, tmp_path: Path, make_tiny_t5: Callable[..., Path]) -> None:
    """mT5 differs by its configuration alone."""
    folder = make_tiny_t5(tmp_path / "mt5", architectures=["MT5ForConditionalGeneration"], model_type="mt5")
    prompts = PARITY.make_prompts(1)[:12]
    wanted = PARITY.reference(folder, prompts, 40)
    assert PARITY.differing(engines.run(folder, prompts, 40)["tokens"], wanted) == []


def test_dummy_weights_generate(gated: Known) -> None:
    some = gated.first(4, 12)
    tokens = some.run(load_format="dummy")["tokens"]
    assert [len(row) for row in tokens] == [12] * 4
    assert PARITY.differing(tokens, some.tokens) == [0, 1, 2, 3]


@cpu_only("the other tests here run the kernel itself, not interpreted")
@needs_triton
@pytest.mark.timeout(900)
def test_equal_with_the_gpu_kernel_interpreted(gated: Known) -> None:
    some = gated.first(6, 12)
    assert PARITY.differing(some.run(changes=["triton"])["tokens"], some.tokens) == []
