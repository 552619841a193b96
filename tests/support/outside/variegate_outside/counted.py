"""The task kind `counted`: a text, its label, and the number of its words; texts of too few words are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from variegate.kinds import Fields
from variegate.kinds.labelled import Labelled
from variegate.kinds.task import TaskConfig
from variegate.records import Target


class CountedTask(TaskConfig):
    kind: Literal["counted"]
    fewest: int = 3
    """Words that a text must have."""


class Counted(Labelled):
    name: ClassVar[str] = "counted"
    config: ClassVar[type[TaskConfig]] = CountedTask
    like: ClassVar[tuple[str, ...]] = ("classification",)

    def __init__(self, fewest: int) -> None:
        super().__init__(("text",), "text", ("text",))
        self.columns = {"text": "string", "words": "json", "label": "label"}
        self.fewest = fewest

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Counted:
        return cls(task.get("fewest", 3))

    def fields(self, texts: Sequence[str], label: str) -> Fields:
        (text,) = texts
        return {"text": text, "words": len(text.split()), "label": label}

    def assemble(self, target: Target, text: str) -> Fields | str:
        fields = self.fields([text], target.labels[0])
        return fields if fields["words"] >= self.fewest else "too_few_words"

    def show(self, fields: Fields) -> str:
        return f"{fields['text']} ({fields['words']} words)"


KIND = Counted
