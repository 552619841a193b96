"""A start finds what an earlier one compiled."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.support.gpu import cpu_only
from tests.support.processes import environment
from variegate.config import load_model
from variegate.inference.compiled import found_again, instructions

SCRIPT = """
import sys
from variegate.config import load_model
from variegate.inference.vllm_backend import VllmBackend
VllmBackend(load_model("nano-llama", [f"path={sys.argv[1]}", "engine.load_format=dummy", "engine.max_model_len=64"])).close()
"""


@cpu_only("vLLM's GPU backends find it by themselves")
@pytest.mark.slow
def test_a_second_start_compiles_nothing(tmp_path: Path) -> None:
    """Of vLLM itself on a model of one layer, each in a process of its own, with a cache of their own."""
    model, told = tmp_path / "model", []
    shutil.copytree(load_model("nano-llama").path, model, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 1}))
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(model)],
            env=environment(VARIEGATE_ENGINE_LOG="1", VLLM_CACHE_ROOT=str(tmp_path / "cache")),
            capture_output=True,
            text=True,
            timeout=600,
            check=True,
        )
        told.append(done.stdout + done.stderr)
    assert "saved AOT compiled function" in told[0]
    assert "Directly load AOT compilation" in told[1]
    assert "saved AOT compiled function" not in told[1]
    assert "load failure" not in "".join(told)


def test_only_what_lacks_the_method_gets_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def own(_: Any) -> str:
        return "its own"

    functions = {"plain": lambda: None, "whole": SimpleNamespace(finalize_loading=own)}

    def load(name: str) -> Any:
        return SimpleNamespace(_artifacts=SimpleNamespace(compiled_fn=functions[name]))

    monkeypatch.setattr(torch.compiler, "load_compiled_function", load)
    with found_again():
        assert torch.compiler.load_compiled_function("plain")._artifacts.compiled_fn.finalize_loading(None) is None
        assert torch.compiler.load_compiled_function("whole")._artifacts.compiled_fn.finalize_loading(None) == "its own"
    assert torch.compiler.load_compiled_function is load


def test_another_cpu_has_another_key(tmp_path: Path) -> None:
    for name, flags in (("a", "fpu sse avx2"), ("b", "fpu sse avx2 avx512f")):
        (tmp_path / name).write_text(f"processor\t: 0\nflags\t\t: {flags}\nprocessor\t: 1\nflags\t\t: {flags}\n")
    assert instructions(tmp_path / "a") != instructions(tmp_path / "b")
    assert instructions(tmp_path / "none") == instructions(tmp_path / "nothing")
