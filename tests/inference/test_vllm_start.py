"""Starting vLLM: versions, environment, arguments, start-up errors."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.gpu import cpu_only
from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError
from variegate.inference.vllm_start import (
    arguments_of,
    check_encoder_decoder,
    explain_start,
    hidden_module,
    set_environment,
)


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("To serve at least one request with the models's max seq len (4096), 2 GiB KV cache is needed", "max_model_len or max_num_seqs"),
        ("CUDA out of memory. Tried to allocate 2 GiB", "quantization: fp8_per_tensor or int8_per_channel_weight_only (GPU)"),
        ("Unknown quantization method: nf5", "Check model.engine.quantization: fp8_per_tensor"),
        ("User-specified max_model_len (9999) is greater than the derived max_model_len", "Lower model.engine.max_model_len"),
        ("something else", "variegate doctor"),
    ],
)
def test_start_errors_keep_vllms_words_and_add_a_step(message: str, hint: str) -> None:
    text = explain_start(load_model("nano-llama"), "0.32.0", ValueError(message))
    assert message in text
    assert hint in text


def test_a_start_error_quotes_what_a_process_printed_and_reads_its_hint_there() -> None:
    error = RuntimeError("Engine core initialization failed. See root cause above.")
    text = explain_start(load_model("nano-llama"), "0.32.0", error, "\nIts processes printed:\n  ValueError: no KV cache")
    assert "ValueError: no KV cache" in text
    assert "Lower model.engine.max_model_len" in text


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"dtype": "float32"}, {"TRITON_F32_DEFAULT": "ieee", "VLLM_WORKER_MULTIPROC_METHOD": None, "VLLM_LOGGING_LEVEL": "INFO"}),
        ({"dtype": "bfloat16", "tensor_parallel_size": 2}, {"TRITON_F32_DEFAULT": None, "VLLM_WORKER_MULTIPROC_METHOD": "spawn"}),
        ({"separate_process": True}, {"VLLM_ENABLE_V1_MULTIPROCESSING": "1", "VLLM_LOGGING_LEVEL": "INFO"}),
    ],
)
def test_the_environment_follows_from_the_model(
    engine: dict[str, Any], expected: dict[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_CPU_KVCACHE_SPACE", "VARIEGATE_ENGINE_LOG", *expected):
        monkeypatch.setenv(name, "as it was")  # so that what is set here is put back
        monkeypatch.delenv(name)
    set_environment(t5(**engine))
    assert {name: os.environ.get(name) for name in expected} == expected


def test_asking_for_a_gpu_does_not_start_cuda() -> None:
    """A process forked later could not use it."""
    code = "import os, variegate; print(os.environ['PYTORCH_NVML_BASED_CUDA_CHECK'])"
    environment = {name: value for name, value in os.environ.items() if name != "PYTORCH_NVML_BASED_CUDA_CHECK"}
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment).stdout == "1\n"


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "rounded"), [("float32", False), ("bfloat16", True)])
def test_a_float32_engine_multiplies_in_float32_on_a_gpu(dtype: str, rounded: bool, tmp_path: Path) -> None:
    """vLLM's Triton attention leaves the precision of its products open, and Triton's default is TF32, which keeps 10 bits."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    environment.pop("TRITON_F32_DEFAULT", None)
    command = [sys.executable, str(Path(__file__).with_name("product_script.py")), dtype]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (int(done.stdout) > 0) == rounded


@cpu_only("a CPU's cache is bounded by cpu_kv_cache_gib, a GPU's by what it has")
@pytest.mark.slow
@pytest.mark.parametrize("separate", ["false", "true"])
def test_a_cache_too_small_is_a_clear_failure(tmp_path: Path, separate: str) -> None:
    """2,048 tokens of a model with 1 MiB of keys and values a token need 2 GiB of cache where 1 GiB is given: the real
    engine refuses at start. In a process of its own it prints why, and raises no more than that it failed."""
    model = tmp_path / "wide"
    shutil.copytree(load_model("nano-llama").path, model, ignore=shutil.ignore_patterns("*.safetensors"))
    config = json.loads((model / "config.json").read_text())
    wide = {"num_hidden_layers": 32, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256, "max_position_embeddings": 2048}
    (model / "config.json").write_text(json.dumps({**config, **wide}))
    engine = (
        "{dtype: float32, load_format: dummy, enforce_eager: true, max_model_len: 2048, max_num_batched_tokens: 2048, "
        f"cpu_kv_cache_gib: 1, separate_process: {separate}}}"
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


@pytest.mark.parametrize(("instructions", "gpu", "dtype", "given"), [
    ({"avx512_bf16": True}, False, "auto", "auto"),
    ({"avx2": True}, False, "auto", "float32"),
    ({}, False, "auto", "float32"),
    ({}, True, "auto", "auto"),
    ({}, False, "bfloat16", "bfloat16"),
])  # fmt: skip
def test_no_lower_precision_is_chosen_for_a_cpu_that_is_slow_in_it(
    monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool], gpu: bool, dtype: str, given: str
) -> None:
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: instructions, raising=False)
    model = load_model("nano-llama", [f"engine.dtype={dtype}"])
    assert arguments_of(model, gpu=gpu, encoder_decoder=False)["dtype"] == given
