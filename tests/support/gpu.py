"""Tests of real engines where there is a GPU: what an engine may take of it, and which tests are for the CPU alone.

A test that runs anywhere is the rule; one that says what happens without a GPU takes the fixture `no_gpu`.
`python -m tests.support.gpu_skips` lists what is left out.
"""

from __future__ import annotations

import os

import pytest
import torch

HAS_GPU = torch.cuda.is_available()
LEFT_OUT = "there is a GPU: "
SHARE = 0.2  # of its memory: what the bundled models ask for too (configs/models), so that four engines fit


def cpu_only(reason: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(HAS_GPU, reason=f"{LEFT_OUT}{reason}")


def engine_environment(*, v2: bool, **added: str) -> dict[str, str]:
    """For a process that starts vLLM's own `LLM`, and takes `engine_arguments`. v2: which model runner.

    On a CPU V2 also needs the folder suppression/fake_triton on the path.
    """
    chosen = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1", **added}
    if HAS_GPU:
        chosen |= {"VLLM_USE_V2_MODEL_RUNNER": str(int(v2)), "TRITON_F32_DEFAULT": "ieee"}  # as vllm_start sets for float32
    else:
        chosen |= {"FAKE_TRITON": str(int(v2)), "CUDA_VISIBLE_DEVICES": ""}
    return {**{name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}, **chosen}


def engine_arguments() -> dict[str, float]:
    """Of `vllm.LLM`, beside a test's own."""
    return {"gpu_memory_utilization": SHARE} if HAS_GPU else {}
