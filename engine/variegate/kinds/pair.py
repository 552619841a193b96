"""Two texts and one label: does the first entail the second, do both mean the same? One is given, the model writes the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import StringConstraints, model_validator

from variegate.kinds.labelled import Labelled
from variegate.kinds.task import RESERVED, DataConfig, TaskConfig

FieldName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=100)]


class PairTask(TaskConfig):
    """`first` and `second` are columns of the data files, of the records and of what is exported."""

    kind: Literal["pair"]
    first: FieldName = "premise"
    second: FieldName = "hypothesis"
    written: str | None = None
    """The one that the model writes (`text_type` says what it is); the second where absent. The other is given: drawn from the
    rows of data.train."""
    data: DataConfig
    """The real pairs. `train` holds what is given."""

    @model_validator(mode="after")
    def _sides(self) -> PairTask:
        names = (self.first, self.second)
        for name in names:
            if name in RESERVED:
                raise ValueError(f"a record has a column {name!r} already: rename this one in the data, and here")
        if self.first == self.second:
            raise ValueError(f"first and second are both {self.first!r}: a pair has two columns")
        if self.data.train is None:
            raise ValueError(
                f"data.train: a file of real pairs is needed, from which the {self.second if self.written == self.first else self.first} is given"
            )
        if self.written not in (None, *names):
            raise ValueError(f"written: {self.written!r}: expected one of the pair's two, {self.first} or {self.second}")
        return self


class Pair(Labelled):
    name: ClassVar[str] = "pair"
    config: ClassVar[type[TaskConfig]] = PairTask

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> Pair:
        names = (task["first"], task["second"])
        return cls(names, task.get("written") or names[1], names)


KIND = Pair
