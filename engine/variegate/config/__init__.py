"""Typed, closed and final configuration: an unknown key is an error, and nothing below this package fills in defaults."""

from variegate.config.load import load_model, load_run, load_task
from variegate.config.model import ModelConfig
from variegate.config.run import DecodingConfig, RunConfig, SuppressionConfig
from variegate.kinds.task import LabelConfig, TaskConfig

__all__ = [
    "DecodingConfig",
    "LabelConfig",
    "ModelConfig",
    "RunConfig",
    "SuppressionConfig",
    "TaskConfig",
    "load_model",
    "load_run",
    "load_task",
]
