"""What vllm_backend does around the engine: versions, start-up errors, silence. The engine itself: test_backends.py."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from variegate.config import load_model
from variegate.errors import BackendError
from variegate.inference.vllm_backend import _explain_start, _progress_bar, _quiet, check_version, hidden_module, vllm_version


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
    text = _explain_start(load_model("nano-llama"), "0.32.0", ValueError(message))
    assert message in text
    assert hint in text


def test_quiet_hides_what_c_code_prints_and_gives_the_streams_back() -> None:
    code = (
        "import os; from variegate.inference.vllm_backend import _quiet\n"
        "with _quiet(): os.write(1, b'hidden'); os.write(2, b'hidden'); print('hidden')\n"
        "os.write(1, b'shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("shown", "")
    with pytest.raises(ZeroDivisionError), _quiet():
        _ = 1 / 0


def test_progress_counts_finished_prompts_only() -> None:
    seen: list[int] = []
    bar_class: Any = _progress_bar(seen.append)
    list(bar_class([1, 2], desc="Rendering prompts"))
    bar_class(desc="Rendering prompts").update(5)
    bar = bar_class(total=3, desc="Processed prompts", dynamic_ncols=True, postfix="")
    bar.update(2)
    bar.update(1)
    assert (seen, bar.n) == ([2, 1], 3)
    assert _progress_bar(None) is False


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
