"""What the installed vLLM would do with our arguments on an H200, as far as its Python decides it: no GPU is needed, nor used."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.support.gpu import cpu_only
from tests.support.processes import run_script

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: vLLM's GPU kernels cannot be imported"),
    cpu_only("test_backends.py asks a real one"),
]


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    script = Path(__file__).with_name("gpu_script.py")
    answers: dict[str, Any] = run_script(script)
    return answers


@pytest.mark.parametrize("name", ["llama", "llama32", "fp8", "int8", "t5", "t5 in float32"])
def test_every_engine_takes_model_runner_v2_and_its_graphs(name: str, found: dict[str, Any]) -> None:
    t5 = name.startswith("t5")
    assert (found[name]["v2"], found[name]["async"]) == (True, True)
    assert found[name]["graphs"] == ("FULL_DECODE_ONLY" if t5 else "FULL_AND_PIECEWISE")
    assert found[name]["scheduler"] == ("make_scheduler" if t5 else "AsyncScheduler")
    assert found[name]["prefix"] == (not t5)


def test_seats_are_vllms_own_number_unless_one_is_asked_for(found: dict[str, Any]) -> None:
    assert (found["llama"]["seats"], found["t5 in float32"]["seats"]) == (1024, 64)


def test_the_quantization_that_errors_name_can_be_configured(found: dict[str, Any]) -> None:
    assert [found[name]["quantized"] for name in ("llama", "fp8", "int8")] == [None, *["OnlineQuantizationConfig"] * 2]


def test_float32_gets_the_attention_that_would_multiply_in_tf32(found: dict[str, Any]) -> None:
    """What `set_environment` sets TRITON_F32_DEFAULT for: where this changes, it may go."""
    assert [found[name]["attention"] for name in ("llama", "llama32")] == [["FLASH_ATTN"], ["TRITON_ATTN"]]
    assert [found[name]["attention"] for name in ("t5", "t5 in float32")] == [["FLASH_ATTN"] * 2, ["TRITON_ATTN"] * 2]


def test_t5_is_built_with_its_own_attention_and_two_kinds_of_caches(found: dict[str, Any]) -> None:
    assert found["built"] == {
        "state": "EncoderDecoderModelState",
        "caches": [["FullAttentionSpec", 4], ["CrossAttentionSpec", 4]],
        "layout": "LBNHC",  # blocks, heads, slots: what `BiasedForward` takes apart
        "attention": [["BiasedTritonBackend"], ["CrossAttention_FlashAttentionBackend"]],
        "graphs": "ALWAYS",
    }
