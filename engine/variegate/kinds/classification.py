"""One text, one label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from variegate.kinds.labelled import Labelled
from variegate.kinds.task import DataConfig, TaskConfig


class ClassificationData(DataConfig):
    text_field: str = "text"


class ClassificationTask(TaskConfig):
    kind: Literal["classification"]
    data: ClassificationData | None = None


class Classification(Labelled):
    name: ClassVar[str] = "classification"
    config: ClassVar[type[TaskConfig]] = ClassificationTask

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Classification:
        return cls(("text",), "text", ((task.get("data") or {}).get("text_field", "text"),))


KIND = Classification
