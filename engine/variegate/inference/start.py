"""Start an engine by name. Each is imported only when it is asked for."""

from __future__ import annotations

from variegate.config import ModelConfig
from variegate.errors import BackendError
from variegate.inference.backend import Backend, check_model_path


def start_backend(name: str, model: ModelConfig, *, batch_size: int = 64) -> Backend:
    """Start the engine `name` ("vllm" or "transformers") on a model. Raises UsageError or BackendError."""
    check_model_path(model)
    if name == "vllm":
        from variegate.inference.vllm_backend import VllmBackend

        return VllmBackend(model)
    if name == "transformers":
        from variegate.inference.transformers_backend import TransformersBackend

        return TransformersBackend(model, batch_size=batch_size)
    raise BackendError(f"no backend {name!r}: expected 'vllm' or 'transformers'")
