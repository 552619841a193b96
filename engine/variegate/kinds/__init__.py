"""Task kinds: what a record's fields are, and all that follows from them. Knows no strategy, engine, student or file.

One module a kind: the class of its task files, and the kind itself, which is made for one task (`kind_of`). A strategy says what
it asks for and how an answer is read; the kind says what makes a record of it. Installed packages add kinds through entry points
of the group `variegate.task_kinds`, which name a module of the same form. See docs/kinds.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

from variegate.errors import UsageError
from variegate.kinds.task import TaskConfig
from variegate.records import Target
from variegate.registry import Registry

Fields = Mapping[str, Any]


class TaskKind(Protocol):
    """What every other room asks a kind. Fields are a record's columns by name."""

    name: ClassVar[str]  # the tag in a task file: `kind: classification`
    config: ClassVar[type[TaskConfig]]  # of task files; its `kind` is Literal[name]
    like: ClassVar[tuple[str, ...]]  # kinds whose every record this one's is too: the strategies that serve them serve it
    students: ClassVar[tuple[str, ...]]  # kinds of students that can learn it, by name: their configuration's `kind`
    scores: ClassVar[tuple[str, ...]]  # scores that fit what those students say, by name
    categories: ClassVar[tuple[str, ...]]  # of an exported data set, as the Hugging Face hub names tasks

    labelled: ClassVar[bool]  # whether a record has one label, and the data files a column with it; else `read_rows` reads those
    answer_lines: ClassVar[tuple[str, ...]]  # names of the lines of a model's answer, `NAME: ...`; none where it is the text alone
    formats: ClassVar[tuple[str, ...]]  # of exports, beside those that every kind has; `document` writes them

    columns: Mapping[
        str, str
    ]  # field -> "string", "label", "list", "json" or "answers" (SQuAD's), in order: records, exports, Hugging Face features
    written: str  # the field that a model writes
    text_names: tuple[str, ...]  # the fields that hold what `texts` gives, in that order
    text_fields: tuple[str, ...]  # the columns of the task's data files that hold the same

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> TaskKind:
        """The kind for one task. task: a task file's content as plain values, valid by `config`."""
        ...

    def fields(self, texts: Sequence[str], label: str) -> Fields:
        """The fields of a real example. texts: in the order of `text_fields`."""
        ...

    def target(self, fields: Fields) -> Target:
        """What would have to be asked for to get this record."""
        ...

    def givens(self, rows: Iterable[Fields]) -> list[Fields]:
        """What a target's given fields can be, out of the fields of real examples: each once, in order; [{}] where nothing is given."""
        ...

    def assemble(self, target: Target, text: str) -> Fields | str:
        """The record's fields, the target's labels projected onto the text; or the name of the reason why there is none."""
        ...

    def read_rows(self, document: Any) -> Iterator[tuple[str, Fields | str]]:
        """(where, record, or what is wrong) of each row of a data file's content. Of kinds that are not `labelled`."""
        ...

    def document(self, format: str, rows: Iterable[Mapping[str, Any]], title: str) -> Iterator[bytes]:
        """The records as one file of a format of `formats`."""
        ...

    def said(self, fields: Fields) -> str:
        """What a model would have answered to give this record."""
        ...

    def equal(self, fields: Fields) -> str:
        """Two records are one where this, folded, is equal: duplicates and leakage."""
        ...

    def embed(self, fields: Fields) -> str:
        """What the measures and a student on embeddings see."""
        ...

    def texts(self, fields: Fields) -> tuple[str, ...]:
        """The texts that a student that reads them reads: one, or the two of a pair."""
        ...

    def show(self, fields: Fields) -> str:
        """For the terminal, pages and the data set card: the text, several ones by name, a line each."""
        ...

    def gold(self, fields: Fields) -> Any:
        """What a student must say."""
        ...


KINDS: Registry[type[TaskKind]] = Registry(what="task kind", room="variegate.kinds", constant="KIND", group="variegate.task_kinds")
find_kind = KINDS.find


def check_one_text(kind: TaskKind, what: str, instead: str) -> None:
    """Raise UsageError where the kind's records have several texts. what: what serves one alone; instead: what to do."""
    if len(kind.text_names) > 1:
        raise UsageError(f"{what}, and records of task kind {kind.name!r} have {len(kind.text_names)}: {instead}")


def check_labelled(kind: TaskKind, what: str, instead: str) -> None:
    """Raise UsageError where the kind's records have no label. what: what serves labels alone; instead: what to do."""
    if not kind.labelled:
        raise UsageError(f"{what}, and records of task kind {kind.name!r} have none: {instead}")


def kind_of(task: TaskConfig | Mapping[str, Any]) -> TaskKind:
    """The kind of a task, made for it. task: its configuration, or the same as a run folder's run.yaml holds it.

    Raises UsageError where no such kind is known, VariegateError where its package cannot be loaded.
    """
    plain = task.model_dump(mode="json") if isinstance(task, TaskConfig) else task
    return find_kind(str(plain.get("kind"))).of(plain)
