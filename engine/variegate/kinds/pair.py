"""Two texts and one label: does the first entail the second, do both mean the same? One is given, the model writes the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import model_validator

from variegate.kinds.labelled import Labelled
from variegate.kinds.task import RESERVED, DataConfig, TaskConfig

# How the two columns are usually called, where nobody names them.
USUAL = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question", "sentence"), ("question1", "question2"))

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


def wrong_side(name: str) -> str | None:
    """Why no text of a pair can be called so, or None."""
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot be a column of a record: use letters, digits and underscores, a letter first: rename it in the data"
    return f"every record has a column {name!r} already: rename this one in the data" if name in RESERVED else None


class PairTask(TaskConfig):
    """`first` and `second` are columns of the data files, of the records and of what is exported."""

    kind: Literal["pair"]
    first: str = "premise"
    second: str = "hypothesis"
    written: str | None = None
    """The one that the model writes (`text_type` says what it is); the second where absent. The other is given: drawn from the
    rows of data.train."""
    data: DataConfig
    """The real pairs. `train` holds what is given."""

    @model_validator(mode="after")
    def _sides(self) -> PairTask:
        names = (self.first, self.second)
        for name in names:
            if wrong := wrong_side(name):
                raise ValueError(wrong)
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
