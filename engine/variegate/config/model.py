"""Which language model, and how its engine is started."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from variegate.closed import Closed, Name
from variegate.config.resources import has_chat_template

ONLINE_QUANTIZATION = "fp8_per_tensor or int8_per_channel_weight_only"
"""vLLM's methods that quantize any weights while it loads them."""


class EngineConfig(Closed):
    """Which engine runs the model, and how it is started. None leaves vLLM's own default."""

    backend: Literal["vllm", "transformers"] = "vllm"
    batch_size: int = Field(default=64, ge=1)
    """Rows in a batch of the transformers backend; vLLM schedules by itself, up to `max_num_seqs`."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """auto: as the model was saved, but float32 on a CPU without bfloat16 instructions, where those types are slow."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    quantization: str | None = None
    """Of the weights. On vLLM, one of its methods: `fp8_per_tensor` and `int8_per_channel_weight_only` quantize any weights as
    they are loaded, on a GPU; others, as `awq`, need weights made for them. On transformers, `bitsandbytes`: 4 bits."""
    max_model_len: int | None = Field(default=None, ge=16)
    """Tokens of a prompt and its completion together; of an encoder-decoder (T5), of each of the two."""
    gpu_memory_utilization: float = Field(default=0.90, gt=0, le=1)
    cpu_kv_cache_gib: int = Field(default=2, ge=1)
    """Key-value cache of the CPU engine, in GiB (VLLM_CPU_KVCACHE_SPACE)."""
    max_num_seqs: int | None = Field(default=None, ge=1)
    """Requests decoded at once, at most. vLLM's default is 1,024 on a GPU of 70 GiB or more, and else 256."""
    max_num_batched_tokens: int | None = Field(default=None, ge=16)
    enable_prefix_caching: bool = True
    block_size: int | None = Field(default=None, ge=1)
    """Tokens in a block of the key-value cache. Prompts share whole blocks only: where prompts are short, small blocks let
    more of them be shared (vLLM's default on a CPU is 128; there it must be a multiple of 32)."""
    enforce_eager: bool = False
    separate_process: bool = False
    """Run the engine core in its own process. Faster on a GPU where the CPU is the bottleneck, but the order in which
    requests enter a batch then depends on timing, so a resumed run need not be byte-identical."""
    load_format: str = "auto"
    """`dummy` starts with random weights, for speed tests."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `vllm.LLM`, passed as they are."""

    @model_validator(mode="after")
    def _quantization(self) -> EngineConfig:
        if self.quantization == "bitsandbytes" and self.backend == "vllm":
            raise ValueError(
                f"quantization: bitsandbytes is not served by vLLM: use {ONLINE_QUANTIZATION} (on a GPU), or backend: transformers"
            )
        if self.quantization and self.load_format == "dummy" and self.backend == "transformers":
            raise ValueError(
                "quantization: bitsandbytes quantizes weights that are loaded, and load_format: dummy loads none: leave one out"
            )
        return self


class ModelConfig(Closed):
    name: Name
    path: str
    """A local folder (relative to the model file) or a Hugging Face hub id."""
    revision: str | None = None
    tokenizer: str | None = None
    """Another folder or hub id for the tokenizer; the model's own when absent."""
    chat: bool = False
    """Send messages through the tokenizer's chat template; plain text otherwise. Where it is not said, a model on this machine
    whose tokenizer has a chat template is a chat model."""
    chat_template: str | None = None
    """Another template: the name of one of the tokenizer's own, or a file."""
    chat_arguments: dict[str, Any] = Field(default_factory=dict)
    """What the template is told beside the messages, such as `enable_thinking: false`."""
    trust_remote_code: bool = False
    """Run the Python code that a model's folder or hub repository brings along (`auto_map` in its files). It can do anything that you can."""
    licence: str | None = None
    engine: EngineConfig = EngineConfig()

    @model_validator(mode="before")
    @classmethod
    def _chat(cls, value: Any) -> Any:
        place = (value.get("tokenizer") or value.get("path")) if isinstance(value, dict) and "chat" not in value else None
        chat = has_chat_template(place, value.get("revision")) if isinstance(place, str) else None
        return value if chat is None else {**value, "chat": chat}

    @model_validator(mode="after")
    def _extra(self) -> ModelConfig:
        taken = {"model", "revision", "tokenizer", "trust_remote_code", "seed", "logits_processors", "worker_extension_cls"} | set(
            EngineConfig.model_fields
        )
        clash = sorted(taken & set(self.engine.extra))
        if clash:
            raise ValueError(f"engine.extra may not set {', '.join(clash)}: Variegate sets it, or it has a field of its own")
        return self
