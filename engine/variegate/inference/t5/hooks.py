"""Where this package takes hold of vLLM, all in one place, and what a vLLM that moved one of these says.

Registering a model is vLLM's own extension point. Two things have none and are wrapped:
- Model Runner V1 runs the encoder of requests in the order they were scheduled, and the decoder reads its outputs in the order
  of the batch; the two differ when a preempted request comes back, which then reads another's text. They are sorted first. V2
  sorts by itself.
- A plain prompt (`LLM.generate("text")`, /v1/completions) would go to the decoder, with nothing for the encoder to read.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib import import_module
from typing import Any

from variegate.inference.t5 import ARCHITECTURES
from variegate.inference.vllm_versions import tested

MODEL = "variegate.inference.t5.model:T5ForConditionalGeneration"
SCHEDULER = "variegate.inference.t5.scheduler.make_scheduler"
RUNNER = "vllm.v1.worker.gpu_model_runner:GPUModelRunner._execute_mm_encoder"
RENDERER = "vllm.renderers.base:BaseRenderer._process_enc_dec"
CONFIGS = "vllm.model_executor.models.config:MODELS_CONFIG_MAP"
# module:attribute -> what it is needed for
HOOKS = {
    "vllm.model_executor.models.registry:ModelRegistry.register_model": "to register the model",
    CONFIGS: "to bound the encoder's length",
    RENDERER: "to send plain prompts to the encoder",
    f"{RENDERER}_async": "to send plain prompts to the encoder",
    RUNNER: "to keep encoder outputs in the batch's order",
    "vllm.model_executor.layers.attention:Attention.process_weights_after_loading": "to fill the table of biases",
    "vllm.model_executor.layers.attention:CrossAttention": "for cross-attention",
    "vllm.v1.core.sched.scheduler:Scheduler.schedule": "to take new requests in groups",
    "vllm.v1.core.sched.async_scheduler:AsyncScheduler.schedule": "to take new requests in groups",
    "vllm.multimodal.processing:EncDecMultiModalProcessor.create_encoder_prompt": "for the encoder's input",
    "vllm.v1.attention.backends.triton_attn:TritonAttentionImpl.forward": "for attention on a GPU",
    "vllm.v1.attention.backends.cpu_attn:CPUAttentionBackendImpl.forward": "for attention on a CPU",
    "vllm.v1.attention.backends.cpu_attn:CPUAttentionMetadataBuilder.build": "for attention on a CPU",
}
_MARK = "__variegate_t5__"


def find(hook: str) -> tuple[Any, str]:
    """(owner, attribute) of a hook. Raises ImportError or AttributeError where this vLLM has it elsewhere."""
    module, _, path = hook.partition(":")
    owner: Any = import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    getattr(owner, name)
    return owner, name


def missing_hooks() -> list[str]:
    """One line for each hook that the installed vLLM lacks; empty where T5 can be served."""
    out = []
    for hook, purpose in HOOKS.items():
        try:
            find(hook)
        except (ImportError, AttributeError) as error:
            out.append(f"{hook} (needed {purpose}): {error}")
    return out


def register() -> None:
    """Make the architectures known. Cheap: it runs in every process of every vLLM of the environment; the rest waits for a T5."""
    from vllm.model_executor.models.registry import ModelRegistry

    for name in ARCHITECTURES:
        if name not in ModelRegistry.get_supported_archs():
            ModelRegistry.register_model(name, MODEL)
    with suppress(ImportError, AttributeError):  # `install` says so where it matters: when a T5 is loaded
        getattr(*find(CONFIGS)).update(dict.fromkeys(ARCHITECTURES, _configuration_class()))


def install() -> None:
    """Wrap what must be wrapped, once: in the process that takes prompts and in the one that runs the model.

    Raises RuntimeError where the installed vLLM lacks a hook.
    """
    missing = missing_hooks()
    if missing:
        raise RuntimeError(
            f"T5 cannot be served by this vLLM, which lacks hooks that Variegate needs ({tested()}):\n- " + "\n- ".join(missing)
        )
    _wrap(RUNNER, _in_batch_order)
    for hook in (RENDERER, f"{RENDERER}_async"):
        _wrap(hook, _to_the_encoder)


def _wrap(hook: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    owner, name = find(hook)
    original = getattr(owner, name)
    if not hasattr(original, _MARK):
        wrapped = wraps(original)(make(original))
        setattr(wrapped, _MARK, original)
        setattr(owner, name, wrapped)


def _configuration_class() -> type[Any]:
    from vllm.model_executor.models.config import VerifyAndUpdateConfig
    from vllm.platforms import current_platform

    class T5Configuration(VerifyAndUpdateConfig):  # type: ignore[misc]
        """What vLLM calls once it knows that the model is a T5."""

        @staticmethod
        def verify_and_update_config(vllm_config: Any) -> None:
            install()
            # vLLM's cross-attention cache has none, and dies at the first request of an engine that was asked for one.
            vllm_config.cache_config.enable_prefix_caching = False
            # Both runners size the cross-attention of captured CUDA graphs by this field, which T5 lacks.
            vllm_config.model_config.hf_config.max_source_positions = vllm_config.model_config.max_model_len
            scheduling = vllm_config.scheduler_config
            if scheduling.scheduler_cls is None and not current_platform.is_cpu():  # a CPU has no graphs to replay
                scheduling.scheduler_cls = SCHEDULER

    return T5Configuration


def _in_batch_order(original: Callable[..., Any]) -> Callable[..., Any]:
    def execute(self: Any, scheduler_output: Any) -> Any:
        scheduled = scheduler_output.scheduled_encoder_inputs
        if self.model_config.is_encoder_decoder and len(scheduled) > 1:
            place = self.input_batch.req_id_to_index
            ordered = sorted(scheduled.items(), key=lambda item: place[item[0]])
            scheduled.clear()
            scheduled.update(ordered)
        return original(self, scheduler_output)

    return execute


def _to_the_encoder(original: Callable[..., Any]) -> Callable[..., Any]:
    def process(self: Any, prompt: Any, *args: Any, **kwargs: Any) -> Any:
        if set(self.model_config.architectures) & set(ARCHITECTURES):
            prompt = with_encoder_input(prompt)
        return original(self, prompt, *args, **kwargs)

    return process


def with_encoder_input(prompt: Any) -> dict[str, Any]:
    """A tokenized prompt of vLLM's with its tokens as what the encoder reads, and a decoder that starts from nothing."""
    encoder, decoder = prompt["encoder_prompt"], prompt["decoder_prompt"]
    if not encoder.get("multi_modal_data"):
        encoder = {**encoder, "prompt_token_ids": [], "multi_modal_data": {"text": {"token_ids": encoder["prompt_token_ids"]}}}
    # The decoder's start token is added by vLLM.
    return {"encoder_prompt": encoder, "decoder_prompt": {"prompt_token_ids": []} if decoder is None else decoder}
