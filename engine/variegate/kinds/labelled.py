"""What kinds with one label a record share: one text or several, of which the model writes one. Derive from it for a kind like that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from variegate.kinds import Fields
from variegate.kinds.text import as_one, comparable, folded, shown, text_of
from variegate.records import Target


class Labelled:
    """text_names: the record's fields that hold texts, in order. written: the one of them that the model writes."""

    like: ClassVar[tuple[str, ...]] = ()
    students: ClassVar[tuple[str, ...]] = ("logistic_regression", "linear_svc", "finetune")
    scores: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1")
    categories: ClassVar[tuple[str, ...]] = ("text-classification",)
    labelled: ClassVar[bool] = True
    answer_lines: ClassVar[tuple[str, ...]] = ()
    formats: ClassVar[tuple[str, ...]] = ()

    def __init__(self, text_names: Sequence[str], written: str, text_fields: Sequence[str]) -> None:
        self.columns: Mapping[str, str] = {**dict.fromkeys(text_names, "string"), "label": "label"}
        self.written = written
        self.text_names = tuple(text_names)
        self.text_fields = tuple(text_fields)

    def fields(self, texts: Sequence[str], label: str) -> Fields:
        return {**dict(zip(self.text_names, texts, strict=True)), "label": label}

    def target(self, fields: Fields) -> Target:
        return Target((fields["label"],), self._given(fields))

    def givens(self, rows: Iterable[Fields]) -> list[Fields]:
        if self.text_names == (self.written,):
            return [{}]
        found: dict[str, Fields] = {}
        for given in map(self._given, rows):
            found.setdefault(folded(text_of(tuple(given.values()))), given)
        return list(found.values())

    def _given(self, fields: Fields) -> Fields:
        return {name: fields[name] for name in self.text_names if name != self.written}

    def assemble(self, target: Target, text: str) -> Fields | str:
        values = {**target.given, self.written: text, "label": target.labels[0]}
        return {name: values[name] for name in self.columns}

    def read_rows(self, document: Any) -> Iterator[tuple[str, Fields | str]]:
        raise NotImplementedError(f"{type(self).__name__}: its data files are read by their text and label fields")

    def document(self, format: str, rows: Iterable[Mapping[str, Any]], title: str) -> Iterator[bytes]:
        raise NotImplementedError(f"{type(self).__name__}: has no formats of its own")

    def said(self, fields: Fields) -> str:
        return str(fields[self.written])

    def texts(self, fields: Fields) -> tuple[str, ...]:
        return tuple(fields[name] for name in self.text_names)

    def equal(self, fields: Fields) -> str:
        return comparable(text_of(self.texts(fields)))

    def embed(self, fields: Fields) -> str:
        return as_one(text_of(self.texts(fields)))

    def show(self, fields: Fields) -> str:
        return shown(text_of(self.texts(fields)), self.text_names)

    def gold(self, fields: Fields) -> Any:
        return str(fields["label"])
