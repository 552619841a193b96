"""Start the engine that a model's configuration names. Each is imported only when it is asked for."""

from __future__ import annotations

from variegate.config import ModelConfig
from variegate.inference.backend import Backend, check_model_path
from variegate.inference.start_steps import IMPORTING, LOADING, OnStep


def start_backend(model: ModelConfig, *, on_step: OnStep = lambda _: None) -> Backend:
    """on_step: told of each step of the start. Raises UsageError for a model that is not there, BackendError for an engine that does
    not start."""
    check_model_path(model)
    on_step(IMPORTING)
    if model.engine.backend == "vllm":
        from variegate.inference.vllm_backend import VllmBackend

        return VllmBackend(model, on_step=on_step)
    from variegate.inference.transformers_backend import TransformersBackend

    on_step(LOADING)
    return TransformersBackend(model)
