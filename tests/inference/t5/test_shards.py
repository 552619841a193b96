"""Tensor parallelism: each of two ranks holds its half of every sharded weight, and together they hold the checkpoint."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.processes import environment

HERE = Path(__file__).resolve().parent
Tensors = dict[str, torch.Tensor]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, make_tiny_t5: Callable[..., Path]) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("shards") / "tiny")


def load(folder: Path, rank: int, world: int) -> Tensors:
    out = folder.parent / f"{rank}-of-{world}.safetensors"
    command = [sys.executable, str(HERE / "shards_script.py"), str(folder), str(rank), str(world), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return load_file(out)


@pytest.fixture(scope="module")
def ranks(checkpoint: Path) -> list[Tensors]:
    return [load(checkpoint, rank, 2) for rank in (0, 1)]


@pytest.fixture(scope="module")
def weights(checkpoint: Path) -> Tensors:
    return load_file(checkpoint / "model.safetensors")


def halves(weight: torch.Tensor, dim: int) -> list[torch.Tensor]:
    return list(weight.chunk(2, dim=dim))


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_self_attention_is_shared_out_by_heads(ranks: list[Tensors], weights: Tensors, stack: str) -> None:
    name = f"{stack}.block.1.layer.0.SelfAttention"
    for rank, held in enumerate(ranks):
        parts = [halves(weights[f"{name}.{part}.weight"], 0)[rank] for part in "qkv"]
        assert torch.equal(held[f"{name}.qkv.weight"], torch.cat(parts))
        assert torch.equal(held[f"{name}.o.weight"], halves(weights[f"{name}.o.weight"], 1)[rank])


def test_cross_attention_is_shared_out_by_heads(ranks: list[Tensors], weights: Tensors) -> None:
    name = "decoder.block.2.layer.1.EncDecAttention"
    for rank, held in enumerate(ranks):
        assert torch.equal(held[f"{name}.q.weight"], halves(weights[f"{name}.q.weight"], 0)[rank])
        assert torch.equal(held[f"{name}.kv.weight"], torch.cat([halves(weights[f"{name}.{part}.weight"], 0)[rank] for part in "kv"]))


def test_feed_forward_is_shared_out_by_columns(ranks: list[Tensors], weights: Tensors) -> None:
    name = "decoder.block.0.layer.2.DenseReluDense"
    for rank, held in enumerate(ranks):
        assert torch.equal(
            held[f"{name}.wi.weight"], torch.cat([halves(weights[f"{name}.{part}.weight"], 0)[rank] for part in ("wi_0", "wi_1")])
        )
        assert torch.equal(held[f"{name}.wo.weight"], halves(weights[f"{name}.wo.weight"], 1)[rank])


def test_each_rank_has_the_biases_of_its_heads(ranks: list[Tensors], checkpoint: Path) -> None:
    whole = load(checkpoint, 0, 1)
    tables = {name for name in whole if name.endswith("bias_table")}
    assert len(tables) == 3  # one a decoder layer
    for name in tables:
        assert whole[name].shape == (4, 129)
        assert torch.equal(torch.cat([held[name] for held in ranks]), whole[name])
        assert whole[name].any()


def test_vocabulary_is_shared_out_and_norms_are_not(ranks: list[Tensors], weights: Tensors) -> None:
    for name in ("shared.weight", "lm_head.weight"):
        rows = torch.cat([held[name] for held in ranks])
        assert len(rows) >= 1000  # padded to whole blocks of rows on each rank
        assert all(len(held[name]) < 600 for held in ranks)
        assert torch.equal(rows[:500], weights[name][:500])
    for name in ("encoder.final_layer_norm.weight", "decoder.block.2.layer.1.layer_norm.weight"):
        assert all(torch.equal(held[name], weights[name]) for held in ranks)
