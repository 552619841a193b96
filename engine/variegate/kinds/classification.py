"""One text, one label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from variegate.kinds import Fields
from variegate.kinds.task import DataConfig, TaskConfig
from variegate.records import Target


class ClassificationData(DataConfig):
    text_field: str = "text"


class ClassificationTask(TaskConfig):
    kind: Literal["classification"]
    data: ClassificationData | None = None


class Classification:
    name: ClassVar[str] = "classification"
    config: ClassVar[type[TaskConfig]] = ClassificationTask
    students: ClassVar[tuple[str, ...]] = ("logistic_regression", "linear_svc", "finetune")
    scores: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    categories: ClassVar[tuple[str, ...]] = ("text-classification",)

    def __init__(self, text_field: str = "text") -> None:
        self.columns: Mapping[str, str] = {"text": "string", "label": "label"}
        self.written = "text"
        self.text_fields = (text_field,)

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Classification:
        return cls((task.get("data") or {}).get("text_field", "text"))

    def fields(self, texts: Sequence[str], label: str) -> Fields:
        (text,) = texts
        return {"text": text, "label": label}

    def target(self, fields: Fields) -> Target:
        return Target((fields["label"],))

    def givens(self, rows: Iterable[Fields]) -> list[Fields]:
        return [{}]

    def assemble(self, target: Target, text: str) -> Fields | str:
        return {"text": text, "label": target.labels[0]}

    def equal(self, fields: Fields) -> str:
        return fields["text"]

    def embed(self, fields: Fields) -> str:
        return fields["text"]

    def texts(self, fields: Fields) -> tuple[str, ...]:
        return (fields["text"],)

    def show(self, fields: Fields) -> str:
        return fields["text"]

    def gold(self, fields: Fields) -> str:
        return fields["label"]


KIND = Classification
