"""Task kinds: what a record's fields are, and all that follows from them. Knows no strategy, engine, student or file.

One module a kind. A strategy says what it asks for and how an answer is read; the kind says what makes a record of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from variegate.records import Target
from variegate.registry import Registry

Fields = Mapping[str, Any]


class TaskKind(Protocol):
    """What every other room asks a kind. Fields are a record's columns by name."""

    name: str  # the tag in a task file: `kind: classification`
    columns: Mapping[str, str]  # field -> "string", "label", "list" or "json": data files, exports, Hugging Face features
    written: str  # the field that a model writes
    students: tuple[str, ...]  # kinds of students that can learn it, by name
    scores: tuple[str, ...]  # scores that fit what those students say, by name

    def target(self, fields: Fields) -> Target:
        """What would have to be asked for to get this record."""
        ...

    def assemble(self, target: Target, text: str) -> Fields | str:
        """The record's fields, the target's labels projected onto the text; or the name of the reason why there is none."""
        ...

    def equal(self, fields: Fields) -> str:
        """Two records are one where this is equal: duplicates and leakage."""
        ...

    def embed(self, fields: Fields) -> str:
        """What the measures and a student on embeddings see."""
        ...

    def texts(self, fields: Fields) -> tuple[str, ...]:
        """The texts that a student that reads them reads: one, or the two of a pair."""
        ...

    def show(self, fields: Fields) -> str:
        """For the terminal, pages and the data set card: the text, several ones by name."""
        ...

    def gold(self, fields: Fields) -> Any:
        """What a student must say."""
        ...


KINDS: Registry[TaskKind] = Registry(what="task kind", room="variegate.kinds", constant="KIND", group="variegate.task_kinds")
find_kind = KINDS.find
