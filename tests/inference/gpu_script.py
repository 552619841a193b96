"""What vLLM makes of our engines' arguments on an H200, and of T5, as JSON. On any machine: see tests/support/fake_gpu. Not a test."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from typing import Any

import torch

from tests.support import fake_gpu
from variegate.config import load_model
from variegate.inference import t5
from variegate.inference.vllm_start import arguments_of


def configured(name: str, **engine: Any) -> Any:
    """As `VllmBackend` does."""
    from vllm.engine.arg_utils import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    model = load_model(name, [f"engine.{key}={json.dumps(value)}" for key, value in engine.items()])
    arguments = arguments_of(model, gpu=True, encoder_decoder="t5" in name)
    assert set(arguments) <= {each.name for each in dataclasses.fields(EngineArgs)}
    return EngineArgs(**arguments).create_engine_config(UsageContext.LLM_CLASS)


def told(name: str, **engine: Any) -> dict[str, Any]:
    from vllm.config import set_current_vllm_config
    from vllm.v1.attention.selector import get_attn_backend

    config = configured(name, **engine)
    scheduling, compiling = config.scheduler_config, config.compilation_config
    with set_current_vllm_config(config):
        kinds = ("decoder", "encoder_decoder") if "t5" in name else ("decoder",)
        model = config.model_config
        backends = [get_attn_backend(model.get_head_size(), model.dtype, "auto", attn_type=kind).get_name() for kind in kinds]
    return {
        "v2": config.use_v2_model_runner, "async": scheduling.async_scheduling, "seats": scheduling.max_num_seqs,
        "scheduler": scheduling.get_scheduler_cls().__name__, "graphs": compiling.cudagraph_mode.name, "prefix": config.cache_config.enable_prefix_caching,
        "attention": backends, "quantized": type(config.quant_config).__name__ if config.quant_config else None,
    }  # fmt: skip


def built() -> dict[str, Any]:
    """T5's model, its caches and its attention, up to where a kernel would run."""
    from vllm.config import set_current_vllm_config
    from vllm.distributed import init_distributed_environment, initialize_model_parallel
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.utils.torch_utils import set_default_torch_dtype
    from vllm.v1.attention.backends.utils import get_supported_kv_cache_layouts, resolve_kv_cache_layout
    from vllm.v1.core.kv_cache_utils import get_kv_cache_configs
    from vllm.v1.worker.gpu.attn_utils import get_kv_cache_spec, init_attn_backend
    from vllm.v1.worker.gpu.model_states import resolve_model_state_cls
    from vllm.v1.worker.worker_base import get_current_attn_backends

    config = configured("nano-t5", dtype="bfloat16", enforce_eager=False)
    with set_current_vllm_config(config), tempfile.TemporaryDirectory() as meeting:
        init_distributed_environment(1, 0, f"file://{meeting}/store", 0, "gloo")
        initialize_model_parallel(1, 1, backend="gloo")
        with set_default_torch_dtype(config.model_config.dtype):
            model = initialize_model(vllm_config=config)
        spec = get_kv_cache_spec(config)
        layouts = [layout.name for layout in get_supported_kv_cache_layouts(get_current_attn_backends(config))]
        layout = resolve_kv_cache_layout(config, [layouts], list(spec.values()))
        (caches,) = get_kv_cache_configs(config, [spec], [8 << 30])
        groups, support, _ = init_attn_backend(caches, config, torch.device("cpu"))
        return {
            "state": resolve_model_state_cls(config, model).__name__,
            "caches": [(type(group.kv_cache_spec).__name__, len(group.layer_names)) for group in caches.kv_cache_groups],
            "layout": layout.name,
            "attention": [[each.backend.__name__ for each in group] for group in groups],
            "graphs": support.min_cg_support.name,
        }


if __name__ == "__main__":
    os.environ.update(VLLM_LOGGING_LEVEL="ERROR", VLLM_ENABLE_V1_MULTIPROCESSING="0", HF_HUB_OFFLINE="1")
    fake_gpu.install()
    t5.register()
    print(
        json.dumps(
            {
                "llama": told("nano-llama", dtype="bfloat16"),
                "llama32": told("nano-llama"),
                "fp8": told("nano-llama", dtype="bfloat16", quantization="fp8_per_tensor"),
                "int8": told("nano-llama", dtype="bfloat16", quantization="int8_per_channel_weight_only"),
                "t5": told("nano-t5", dtype="bfloat16", enforce_eager=False),
                "t5 in float32": told("nano-t5", enforce_eager=False, max_num_seqs=64),
                "built": built(),
            }
        )
    )
