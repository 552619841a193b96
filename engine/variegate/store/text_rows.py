"""Which fields of a row hold text, label and vector, and which rows are good: the rules of `texts.read_texts`.

Knows rows as mappings; knows nothing of files and formats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.errors import UsageError, nearest
from variegate.kinds.pair import USUAL
from variegate.kinds.text import Text, text_of
from variegate.tabular import BLANK, BadRow

# Tried when no field is named: the first name alone, then the others where exactly one of them is there.
TEXT_FIELDS = ("text", "sentence", "utterance", "content", "query", "tokens")
TEXT_PAIRS = USUAL[:2]  # tried after TEXT_FIELDS
LABEL_FIELDS = ("label", "intent", "category", "class")
FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class Fields:
    text: tuple[str, ...]  # several: each its own text; none: there are only vectors
    label: str | None
    vector: str | None
    no_label: bool = False  # no field of LABEL_FIELDS was there

    def columns(self, names: Sequence[str]) -> list[str]:
        """Those of the columns `names` that have to be read."""
        return [name for name in names if name in (*self.text, self.label, self.vector, "id")]


@dataclass(frozen=True, slots=True)
class Asked:
    """The fields as the caller names them; None: to be found."""

    text: str | tuple[str, ...] | None = None
    label: str | None = None  # "": no labels are wanted
    vector: str | None = None

    def choose(self, names: Sequence[str], where: str) -> Fields:
        """Raises UsageError when a field that was named is not among `names`, or the text's cannot be told."""
        labels = [name for name in LABEL_FIELDS if name in names]
        found = labels[0] if len(labels) == 1 or "label" in labels else None
        label = found if self.label is None else self.label or None
        text = self._text(names, where)
        for option, wanted in (("text", text), ("label", (label,)), ("vector", (self.vector,))):
            for name in wanted:
                if name is not None and name not in names:
                    raise UsageError(missing(name, option, names, where))
                if name is not None and list(names).count(name) > 1:
                    raise UsageError(f"{where}: two columns are called {name!r}: rename one of them")
        return Fields(text, label, self.vector, no_label=self.label is None and not labels)

    def _text(self, names: Sequence[str], where: str) -> tuple[str, ...]:
        if isinstance(self.text, tuple):
            return self.text
        if self.text is not None:
            return (self.text,) if self.text in names or "," not in self.text else tuple(each.strip() for each in self.text.split(","))
        if TEXT_FIELDS[0] in names:
            return (TEXT_FIELDS[0],)
        found: list[tuple[str, ...]] = [(name,) for name in TEXT_FIELDS[1:] if name in names]
        found = found or [pair for pair in TEXT_PAIRS if set(pair) <= set(names)]
        if len(found) == 1:
            return found[0]
        if found:
            first, second = (" and ".join(map(repr, each)) for each in found[:2])
            raise UsageError(
                f"{where}: no field 'text', and both {first} and {second} are there. Name the one that holds the text with --text-field"
            )
        if self.vector is not None:
            return ()
        raise UsageError(
            f"{where}: no field 'text' and none of {', '.join(TEXT_FIELDS[1:])}{nearest('text', names)} Fields here: "
            f"{', '.join(names) or 'none'}. Name the one that holds the text with --text-field (or several, with commas)"
        )


def missing(name: str, option: str, names: Sequence[str], where: str) -> str:
    return (
        f"{where}: no field {name!r}{nearest(name, names)} Fields here: {', '.join(names) or 'none'}."
        f" Name the right one with --{option}-field"
    )


class _RowError(UsageError):
    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Collector:
    """Takes rows, keeps the texts, labels, ids and vectors of the good ones.

    name: of the source, in messages.
    unit: what a row is there, "line" or "row".
    strict: a bad row raises UsageError; else it is counted in `skipped` under its reason.
    """

    def __init__(self, name: str, asked: Asked, *, unit: str, strict: bool) -> None:
        self.name, self.asked, self.unit, self.strict = name, asked, unit, strict
        self.texts: list[Text] = []
        self.labels: list[str] = []
        self.ids: list[str] = []
        self.skipped: Counter[str] = Counter()
        self.fields: Fields | None = None  # chosen by the first row
        self.class_names: Sequence[str] = ()  # what the whole numbers of the label field mean, where that is known
        self._first_skipped = ""
        self._label_texts: dict[str, str] = {}  # one string object per label
        self._values = bytearray()  # the vectors, one after the other
        self._dtype: np.dtype[Any] | None = None
        self._width = 0

    def choose(self, names: Sequence[str]) -> Fields:
        """The fields of a source, or of a part of it, whose columns are known before its rows."""
        fields = self.asked.choose(names, self.name)
        if self.fields not in (None, fields):
            raise UsageError(f"{self.name}: its files have different columns: name one of the files, or name the fields with --text-field")
        self.fields = fields
        return fields

    def add(self, number: int, row: Mapping[str, Any] | BadRow) -> None:
        """Raises UsageError where the row is bad and `strict` holds."""
        where = f"{self.name}:{number}" if self.unit == "line" else f"{self.name}: row {number}"
        try:
            if isinstance(row, BadRow):
                raise _RowError(row.reason, row.message)
            if self.fields is None:
                self.fields = self._choose_by(row, where)
            text = self._text(row, self.fields, where) if self.fields.text else None
            label = self._label(row, self.fields.label, where) if self.fields.label is not None else None
            vector = self._vector(row, self.fields.vector, where) if self.fields.vector is not None else None
        except _RowError as bad:
            self.leave_out(bad.reason, str(bad))
            return
        if self.fields.no_label:
            self._refuse_late_label(row, where)
        if text is not None:
            self.texts.append(text)
        if label is not None:
            self.labels.append(self._label_texts.setdefault(label, label))
        if vector is not None:
            self._dtype, self._width = vector.dtype, len(vector)
            self._values += vector.tobytes()
        self.ids.append(_id(row.get("id")) or f"{self.unit} {number}")

    def leave_out(self, reason: str, message: str) -> None:
        """Count a bad row. Raises UsageError with `message` where `strict` holds; a blank line of plain text is no error."""
        if self.strict and reason != BLANK:
            raise UsageError(f"{message}; or leave such rows out with --skip-bad-rows")
        self._first_skipped = self._first_skipped or message
        self.skipped[reason] += 1

    def check_any(self) -> Fields:
        """The fields that were read. Raises UsageError when no good row came."""
        if self.fields is None or not self.ids:
            why = f": all {self.skipped.total()} rows were left out, the first because: {self._first_skipped}" if self.skipped else ""
            raise UsageError(f"{self.name}: holds no record{why or ': give a source with at least one'}")
        return self.fields

    def vectors(self) -> Float[np.ndarray, "n d"] | None:
        if self._dtype is None:
            return None
        return np.frombuffer(self._values, self._dtype).reshape(-1, self._width)

    # -- one row -----------------------------------------------------------------------------------------------

    def _choose_by(self, row: Mapping[str, Any], where: str) -> Fields:
        try:
            return self.asked.choose(list(row), where)
        except UsageError as error:
            if self.strict:
                raise
            raise _RowError("no such field", str(error)) from error  # the next row may have it

    def _get(self, row: Mapping[str, Any], name: str, option: str, where: str) -> Any:
        if name not in row:
            raise _RowError("no such field", missing(name, option, list(row), where))
        return row[name]

    def _text(self, row: Mapping[str, Any], fields: Fields, where: str) -> Text:
        parts = []
        for name in fields.text:
            value = self._get(row, name, "text", where)
            if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
                value = " ".join(value)  # a list of words
            if value is not None and not isinstance(value, str):
                raise _RowError(
                    "text is not text", f"{where}: field {name!r}: expected text, got {_short(value)}: name another field with --text-field"
                )
            if value is None or not value.strip():
                raise _RowError("empty text", f"{where}: field {name!r} is empty: fill it in, or delete the row")
            if not _is_unicode(value):
                raise _RowError(
                    "text is not Unicode", f"{where}: field {name!r}: {_short(value)} holds half of a character pair: write the text again"
                )
            parts.append(value)
        return text_of(parts)

    def _label(self, row: Mapping[str, Any], name: str, where: str) -> str:
        value = self._get(row, name, "label", where)
        if isinstance(value, float) and self.asked.label is not None:  # a number that was asked for as a label: a share, a temperature
            value = f"{value:g}"
        if isinstance(value, bool) or not (value is None or isinstance(value, str | int)):
            raise _RowError(
                "label is no name",
                f"{where}: field {name!r}: expected a label as text or whole number, got {_short(value)}: {_ANOTHER_LABEL}",
            )
        if self.class_names and isinstance(value, int):
            if not 0 <= value < len(self.class_names):
                raise _RowError(
                    "no label",
                    f"{where}: field {name!r}: {value} is the number of none of the {len(self.class_names)} classes: {_ANOTHER_LABEL}",
                )
            value = self.class_names[value]
        label = "" if value is None else str(value).strip()
        if not label:
            raise _RowError("no label", f"{where}: field {name!r} is empty: fill it in, or delete the row, or {_ANOTHER_LABEL}")
        if not _is_unicode(label):
            raise _RowError(
                "label is no name", f"{where}: field {name!r}: {_short(label)} holds half of a character pair: {_ANOTHER_LABEL}"
            )
        return label

    def _refuse_late_label(self, row: Mapping[str, Any], where: str) -> None:
        late = next((name for name in LABEL_FIELDS if name in row), None)
        if late is not None:
            raise UsageError(
                f"{where}: has a field {late!r}, and the rows before it have none: name it with --label-field, or read no labels with"
                " --label-field ''"
            )

    def _vector(self, row: Mapping[str, Any], name: str, where: str) -> Float[np.ndarray, " d"]:
        """float64 for a list of numbers, as stored for an array."""
        value = self._get(row, name, "vector", where)
        try:
            vector = np.asarray(value)
        except ValueError:  # lists of unequal length inside
            vector = np.empty((), object)
        if vector.ndim != 1 or vector.dtype.kind not in "fiu" or not len(vector):
            raise _RowError("vector is not numbers", f"{where}: field {name!r}: expected a list of numbers, got {_short(value)}")
        vector = vector.astype(vector.dtype if isinstance(value, np.ndarray) and vector.dtype in FLOATS else np.float64, copy=False)
        if not np.isfinite(vector).all():
            raise _RowError(NOT_FINITE, f"{where}: field {name!r}: the vector holds NaN or infinity: encode this text again")
        if self._width and len(vector) != self._width:
            raise _RowError(
                "vector of another width",
                f"{where}: field {name!r}: a vector of {len(vector)} numbers after ones of {self._width}: encode it again",
            )
        if self._dtype not in (None, vector.dtype):
            raise _RowError("vector of another type", f"{where}: field {name!r}: {vector.dtype} after {self._dtype}: convert the column")
        return vector


NOT_FINITE = "vector holds NaN or infinity"
_ANOTHER_LABEL = "name another field with --label-field, or read no labels with --label-field ''"


def _id(value: Any) -> str:
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _is_unicode(text: str) -> bool:
    """False for a lone surrogate, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _short(value: Any) -> str:
    shown = ascii(value) if isinstance(value, str) and not _is_unicode(value) else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:60]}…"
