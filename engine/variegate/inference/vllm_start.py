"""Starting vLLM: its environment, its arguments, and errors in a user's words.

Knows models' configurations; knows no requests.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from variegate.config import ModelConfig
from variegate.config.model import ONLINE_QUANTIZATION
from variegate.devices import cpu_has_bfloat16
from variegate.errors import BackendError
from variegate.inference.compiled import instructions
from variegate.inference.engine_output import shown
from variegate.inference.suppression import VLLM_PROCESSOR, VLLM_WORKER_EXTENSION
from variegate.inference.t5 import ARCHITECTURES
from variegate.inference.vllm_versions import newest_tested


@contextmanager
def hidden_module(name: str) -> Iterator[None]:
    """`name` missing from sys.modules for a while.

    While it starts on the CPU, vLLM 0.32 reads `vars(value)["kernel"]` of all that any module holds. llvmlite.binding.ffi
    holds an object that answers to every attribute, `__dict__` too, with something else: "'_lib_fn_wrapper' object has no
    attribute 'get'". It is there where numba has been used before, by the measures say.
    """
    module = sys.modules.pop(name, None)
    try:
        yield
    finally:
        if module is not None:
            sys.modules[name] = module


def has_processes(model: ModelConfig) -> bool:
    """Whether the engine runs in processes of vLLM's own, whose errors it prints rather than raises."""
    return model.engine.separate_process or model.engine.tensor_parallel_size > 1


def set_environment(model: ModelConfig) -> None:
    """vLLM reads these once, when it is first imported or started; what the user has set stands. Its log tells the steps of its start, and
    is hidden: see `quietened`."""
    engine = model.engine
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1" if engine.separate_process else "0"
    os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(engine.cpu_kv_cache_gib)
    chosen = {"VLLM_LOGGING_LEVEL": "INFO", "VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "true"}
    if engine.tensor_parallel_size > 1:
        chosen["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"  # CUDA cannot be used in a fork of a process that has used it
    if engine.dtype == "float32":
        chosen["TRITON_F32_DEFAULT"] = "ieee"  # else vLLM's attention multiplies float32 in TF32, with 10 bits
    for name, value in chosen.items():
        os.environ.setdefault(name, value)


@contextmanager
def quietened() -> Iterator[None]:
    """Around a start: what vLLM logs in this process afterwards is errors that end it, unless the user asks for more."""
    asked = "VLLM_LOGGING_LEVEL" in os.environ or shown()
    try:
        yield
    finally:
        if not asked:
            os.environ.pop("VLLM_LOGGING_LEVEL", None)
            logger = logging.getLogger("vllm")
            logger.setLevel(logging.CRITICAL)
            for handler in logger.handlers:
                handler.setLevel(logging.CRITICAL)


def arguments_of(model: ModelConfig, *, gpu: bool, encoder_decoder: bool) -> dict[str, Any]:
    """Of `vllm.LLM`. Those that a model file leaves open keep vLLM's defaults."""
    engine = model.engine
    arguments: dict[str, Any] = {
        "model": model.path,
        "revision": model.revision,
        "tokenizer": model.tokenizer,
        "dtype": "float32" if engine.dtype == "auto" and not gpu and not cpu_has_bfloat16() else engine.dtype,
        "tensor_parallel_size": engine.tensor_parallel_size,
        "trust_remote_code": model.trust_remote_code,
        "quantization": engine.quantization,
        "max_model_len": engine.max_model_len,
        "max_num_seqs": engine.max_num_seqs,
        "max_num_batched_tokens": engine.max_num_batched_tokens,
        "enable_prefix_caching": engine.enable_prefix_caching,
        "block_size": engine.block_size,
        "enforce_eager": engine.enforce_eager,
        "load_format": engine.load_format,
        "seed": 0,
        "worker_extension_cls": VLLM_WORKER_EXTENSION,
        "logits_processors": [VLLM_PROCESSOR],
        "use_tqdm_on_load": False,
        **({} if gpu else {"additional_config": {"instructions": instructions()}}),  # part of the key of what is compiled
        **engine.extra,
    }
    if gpu:
        arguments["gpu_memory_utilization"] = engine.gpu_memory_utilization
    else:
        # A prompt prefilled in parts has its seeded generator rewound, which generators on the CPU cannot do: vLLM
        # 0.32 then dies with "CPU Generator does not use offset".
        arguments["enable_chunked_prefill"] = False
    if encoder_decoder and engine.max_model_len:
        # T5's relative positions have no end; vLLM takes n_positions, 512 in the first checkpoints, for one.
        arguments["hf_overrides"] = {"n_positions": engine.max_model_len, **arguments.get("hf_overrides", {})}
    return {name: value for name, value in arguments.items() if value is not None}


def check_encoder_decoder(model: ModelConfig, architectures: list[str]) -> None:
    """Raise BackendError for an encoder-decoder that is not served, or a setting that does not go with one."""
    if not set(architectures) & set(ARCHITECTURES):
        raise BackendError(
            f"model {model.name!r}: encoder-decoder of architecture {', '.join(architectures) or 'unknown'}: on vLLM, Variegate serves T5, "
            "FLAN-T5 and mT5: use engine.backend: transformers"
        )
    engine = model.engine
    least = max(engine.max_model_len or 0, engine.max_num_seqs or 0)
    if engine.max_num_batched_tokens is not None and engine.max_num_batched_tokens < least:
        raise BackendError(
            f"model {model.name!r}: engine.max_num_batched_tokens is {engine.max_num_batched_tokens}, expected at least {least} (max_model_len "
            "and max_num_seqs): an encoder reads a prompt whole, never in parts"
        )
    if engine.extra.get("enable_chunked_prefill"):
        raise BackendError(f"model {model.name!r}: engine.extra.enable_chunked_prefill: an encoder reads a prompt whole: leave it out")
    from variegate.inference.t5.hooks import missing_hooks

    if missing := missing_hooks():
        raise BackendError(
            f"model {model.name!r}: the installed vLLM cannot serve T5: it lacks {'; '.join(missing)}. Install {newest_tested()}, or use "
            "engine.backend: transformers"
        )


def explain_start(model: ModelConfig, version: str, error: BaseException, output: str = "") -> str:
    """vLLM's own words, and what a user can do about the usual ones. output: what its processes printed, quoted."""
    text = (str(error).strip() or type(error).__name__) + output
    hint = "Run `variegate doctor` to check the installation"
    lower = text.lower()
    if "kv cache" in lower or "cache blocks" in lower or "out of memory" in lower or "free memory" in lower:
        hint = (
            "Lower model.engine.max_model_len or max_num_seqs, raise gpu_memory_utilization (GPU) or cpu_kv_cache_gib (CPU), "
            f"use quantization: {ONLINE_QUANTIZATION} (GPU), or free memory held by other processes"
        )
    elif "max_model_len" in lower or "max_position" in lower:
        hint = "Lower model.engine.max_model_len to what the model supports"
    elif "quantization" in lower:
        hint = f"Check model.engine.quantization: {ONLINE_QUANTIZATION} quantize any weights on a GPU; other methods need weights made for them"
    return f"vLLM {version} could not start on model {model.name!r} ({model.path}): {text}\n{hint}"
