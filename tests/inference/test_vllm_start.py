"""Starting vLLM: versions, arguments, start-up errors, silence."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError
from variegate.inference.vllm_start import (
    arguments_of,
    check_encoder_decoder,
    check_version,
    explain_start,
    hidden_module,
    quiet,
    vllm_version,
)


@pytest.mark.parametrize("version", ["0.26.0", "0.32.0", "0.33.1rc1", "0.32.0+cpu"])
def test_versions_in_range_pass(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["0.25.9", "0.34.0", "1.0.0"])
def test_another_version_is_named_with_the_range(version: str) -> None:
    with pytest.raises(BackendError, match=rf"vLLM {version} is installed, but Variegate needs 0\.26 to 0\.33"):
        check_version(version)


def test_absent_vllm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(BackendError, match="not installed: run `make setup`"):
        vllm_version()


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("To serve at least one request with the models's max seq len (4096), 2 GiB KV cache is needed", "max_model_len or max_num_seqs"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "quantization: bitsandbytes"),
        ("User-specified max_model_len (9999) is greater than the derived max_model_len", "Lower model.engine.max_model_len"),
        ("something else", "variegate doctor"),
    ],
)
def test_start_errors_keep_vllms_words_and_add_a_step(message: str, hint: str) -> None:
    text = explain_start(load_model("nano-llama"), "0.32.0", ValueError(message))
    assert message in text
    assert hint in text


def test_quiet_hides_what_c_code_prints_and_gives_the_streams_back() -> None:
    code = (
        "import os; from variegate.inference.vllm_start import quiet\n"
        "with quiet(): os.write(1, b'hidden'); os.write(2, b'hidden'); print('hidden')\n"
        "os.write(1, b'shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("shown", "")
    with pytest.raises(ZeroDivisionError), quiet():
        _ = 1 / 0


@pytest.mark.slow
def test_a_cache_too_small_is_a_clear_failure(tmp_path: Path) -> None:
    """2,048 tokens of a model with 1 MiB of keys and values a token need 2 GiB of cache where 1 GiB is given: the real
    engine refuses at start."""
    model = tmp_path / "wide"
    shutil.copytree(load_model("nano-llama").path, model, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((model / "config.json").read_text())
    wide = {"num_hidden_layers": 32, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "max_position_embeddings": 2048}
    (model / "config.json").write_text(json.dumps({**config, **wide}))
    engine = (
        "{dtype: float32, load_format: dummy, enforce_eager: true, max_model_len: 2048, max_num_batched_tokens: 2048, cpu_kv_cache_gib: 1}"
    )
    options = [f"model.path={model}", f"model.engine={engine}", f"output={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "variegate.cli.main", "generate", "demo", *(part for option in options for part in ("--set", option))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "KV cache" in done.stderr
    assert "cpu_kv_cache_gib" in done.stderr


def test_a_hidden_module_comes_back() -> None:
    with hidden_module("json"):
        assert "json" not in sys.modules
    assert sys.modules["json"] is json
    with hidden_module("no_such_module"):
        pass
    assert "no_such_module" not in sys.modules


def t5(**engine: Any) -> ModelConfig:
    return ModelConfig.model_validate({"name": "some-t5", "path": "/nowhere", "engine": engine})


def test_an_encoder_decoders_positions_have_no_end() -> None:
    assert arguments_of(t5(max_model_len=2048), gpu=False, encoder_decoder=True)["hf_overrides"] == {"n_positions": 2048}
    own = t5(max_model_len=2048, extra={"hf_overrides": {"n_positions": 900, "other": 1}})
    assert arguments_of(own, gpu=False, encoder_decoder=True)["hf_overrides"] == {"n_positions": 900, "other": 1}
    assert "hf_overrides" not in arguments_of(t5(), gpu=False, encoder_decoder=True)
    assert "hf_overrides" not in arguments_of(t5(max_model_len=2048), gpu=False, encoder_decoder=False)


def test_chunked_prefill_is_off_on_a_cpu_only() -> None:
    assert arguments_of(t5(), gpu=False, encoder_decoder=False)["enable_chunked_prefill"] is False
    assert "enable_chunked_prefill" not in arguments_of(t5(), gpu=True, encoder_decoder=False)


T5 = ["T5ForConditionalGeneration"]


@pytest.mark.parametrize(
    ("engine", "architectures", "said"),
    [
        ({}, ["BartForConditionalGeneration"], "BartForConditionalGeneration: on vLLM, Variegate serves T5"),
        ({}, [], "architecture unknown"),
        ({"max_model_len": 1024, "max_num_batched_tokens": 512}, T5, "max_num_batched_tokens is 512, expected at least 1024"),
        ({"max_num_seqs": 256, "max_num_batched_tokens": 128}, T5, "expected at least 256"),
        ({"extra": {"enable_chunked_prefill": True}}, T5, "enable_chunked_prefill: an encoder reads a prompt whole"),
    ],
)
def test_what_does_not_go_with_an_encoder_decoder(engine: dict[str, Any], architectures: list[str], said: str) -> None:
    with pytest.raises(BackendError, match=said):
        check_encoder_decoder(t5(**engine), architectures)


def test_a_vllm_without_the_hooks_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate.inference.t5 import hooks

    monkeypatch.setattr(hooks, "missing_hooks", lambda: ["vllm.somewhere:thing (needed to run)"])
    with pytest.raises(BackendError, match=r"lacks vllm.somewhere:thing \(needed to run\)"):
        check_encoder_decoder(t5(), T5)


def test_a_t5_that_fits_passes() -> None:
    check_encoder_decoder(t5(max_model_len=1024, max_num_batched_tokens=1024), T5)
