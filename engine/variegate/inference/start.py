"""Start the engine that a model's configuration names. Each is imported only when it is asked for."""

from __future__ import annotations

from variegate.config import ModelConfig
from variegate.inference.backend import Backend, check_model_path


def start_backend(model: ModelConfig) -> Backend:
    """Raises UsageError for a model that is not there, BackendError for an engine that does not start."""
    check_model_path(model)
    if model.engine.backend == "vllm":
        from variegate.inference.vllm_backend import VllmBackend

        return VllmBackend(model)
    from variegate.inference.transformers_backend import TransformersBackend

    return TransformersBackend(model)
