"""T5 in vLLM in half precision, on a checkpoint whose residual stream is beyond float16's range, as real ones' are."""

from __future__ import annotations

import importlib.util
import runpy
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

PARITY = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("parity.py"))))
LARGEST = torch.finfo(torch.float16).max

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, make_tiny_t5: Callable[..., Path]) -> Path:
    folder = make_tiny_t5(tmp_path_factory.mktemp("dtypes") / "large")
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if name.endswith("wo.weight"):
            weights[name] *= 1e5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize(("dtype", "least"), [("float16", 0.9), ("bfloat16", 0.6)])
def test_first_tokens_are_those_of_float32(engines: Any, large: Path, dtype: str, least: float) -> None:
    from transformers import T5ForConditionalGeneration

    prompts = PARITY.make_prompts(1, lengths=range(2, 42))
    wanted = PARITY.reference(large, prompts, 1)
    model = T5ForConditionalGeneration.from_pretrained(large, dtype=torch.float32)
    hidden = model.encoder(torch.tensor([prompts[0].tokens]), output_hidden_states=True).hidden_states[-2]
    assert hidden.abs().max() > 2 * LARGEST  # it would overflow
    found = engines.run(large, prompts, 1, dtype=dtype)["tokens"]
    assert len(PARITY.differing(found, wanted)) <= (1 - least) * len(prompts)
    assert len({tuple(row) for row in found}) > 5
