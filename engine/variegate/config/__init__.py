"""Typed, closed and final configuration: an unknown key is an error, and nothing below this package fills in defaults."""

from variegate.config.load import load_model, load_run, load_task
from variegate.config.model import ModelConfig
from variegate.config.run import DecodingConfig, RunConfig, SuppressionConfig
from variegate.config.strategy import FewShotConfig, ZeroShotConfig
from variegate.kinds.task import LabelConfig, TaskConfig

__all__ = [
    "DecodingConfig",
    "FewShotConfig",
    "LabelConfig",
    "ModelConfig",
    "RunConfig",
    "SuppressionConfig",
    "TaskConfig",
    "ZeroShotConfig",
    "load_model",
    "load_run",
    "load_task",
]
