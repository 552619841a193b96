"""A file of labelled examples, read strictly: the first bad row is named by file, line and field.

Knows CSV and JSONL; knows nothing of task files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.errors import UsageError, nearest
from variegate.kinds.pair import USUAL
from variegate.kinds.text import Text, parts_of, text_of
from variegate.tabular import BadRow, TableError, csv_rows, jsonl_rows, read_lines

_LONGEST_LABEL = 200  # characters; a longer one is a text in the wrong field


@dataclass(frozen=True, slots=True)
class Examples:
    rows: tuple[tuple[Text, str], ...]  # (text, label), as the data files will hold them
    as_they_stand: bool  # the file itself can be the task's data.train: no label had to be changed

    @property
    def label_counts(self) -> Counter[str]:
        return Counter(label for _, label in self.rows)


def read_examples(path: Path, text_fields: Sequence[str], label_field: str) -> Examples:
    """The (text, label) of each row of a .csv or .jsonl file. text_fields: one, or several whose texts belong together.

    Raises UsageError with file, line and field of the first bad row.
    """
    rows, as_they_stand = [], True
    for where, row in _rows(path):
        texts = [_field(row, name, where) for name in text_fields]
        label = _field(row, label_field, where)
        for name, text in zip(text_fields, texts, strict=True):
            if not isinstance(text, str):
                raise UsageError(f"{where}: field {name!r}: expected text, got {text!r}")
        if isinstance(label, bool) or not isinstance(label, str | int):
            raise UsageError(f"{where}: field {label_field!r}: expected a label as text or whole number, got {label!r}")
        clean = str(label).strip()
        for name, value in (*zip(text_fields, texts, strict=True), (label_field, clean)):
            if not value.strip():
                raise UsageError(f"{where}: field {name!r} is empty: fill it in, or delete the row")
        if len(clean) > _LONGEST_LABEL or not clean.isprintable():
            raise UsageError(
                f"{where}: field {label_field!r}: {clean[:40]!r}… is no label's name (one line, at most {_LONGEST_LABEL}"
                " characters): is it the right field? Name it with --label-field"
            )
        as_they_stand = as_they_stand and clean == label
        rows.append((text_of(texts), clean))
    if not rows:
        fields = ", ".join(map(repr, text_fields))
        raise UsageError(f"{path}: holds no examples: add rows with the fields {fields} and {label_field!r}")
    return Examples(tuple(rows), as_they_stand)


def find_pair(path: Path, label_field: str) -> tuple[str, str]:
    """The two fields of a file of pairs: usual names, else the two that hold text beside the label. Raises UsageError."""
    where, row = next(_rows(path), (str(path), {}))
    for first, second in USUAL:
        if first in row and second in row:
            return first, second
    texts = [name for name, value in row.items() if name not in (label_field, "id") and isinstance(value, str)]
    if len(texts) != 2:
        raise UsageError(
            f"{where}: holds no pair of fields with usual names, and {len(texts)} fields of text beside {label_field!r}: name the two with"
            f" --text-field FIRST,SECOND. Fields here: {', '.join(map(str, row)) or 'none'}"
        )
    return texts[0], texts[1]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file and line, row). Raises UsageError."""
    readers = {".csv": csv_rows, ".jsonl": jsonl_rows}
    if path.suffix.lower() not in readers:
        raise UsageError(
            f"{path}: expected a .csv or .jsonl file, got {path.suffix or 'no suffix'!r}: convert it, or rename it to what it is"
        )
    try:
        for line, row in readers[path.suffix.lower()](read_lines(path), str(path)):
            if isinstance(row, BadRow):
                raise UsageError(row.message)
            yield f"{path}:{line}", row
    except TableError as error:
        raise UsageError(str(error)) from error


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        known = [key for key in row if isinstance(key, str)]
        raise UsageError(
            f"{where}: no field {name!r}{nearest(name, known)} Fields here: {', '.join(known) or 'none'}."
            " Name the right one with --text-field or --label-field, or say with --kind pair that each row has two texts"
        )
    return row[name]


def warnings(examples: Examples) -> list[str]:
    """What looks wrong about the labels without being an error."""
    counts = examples.label_counts
    found = []
    if len(counts) == 1:
        found.append(f"all rows have one label, {next(iter(counts))!r}: a classifier needs two")
    if len(counts) > 20 and len(counts) > len(examples.rows) / 2:
        found.append(f"{len(counts)} labels in {len(examples.rows)} rows: is the label field the right one?")
    folded: dict[str, str] = {}
    for label in sorted(counts):
        if (other := folded.setdefault(label.casefold(), label)) != label:
            found.append(f"labels {other!r} and {label!r} differ in case alone: are they one?")
    return found


def default_name(path: Path) -> str:
    """A task name out of a file name: `My reviews (v2).csv` -> `my-reviews-v2`."""
    return re.sub(r"[^a-z0-9._]+", "-", path.stem.lower()).strip("-._") or "task"


def data_lines(examples: Examples, text_fields: Sequence[str], label_field: str) -> Iterable[bytes]:
    """The examples as JSONL."""
    for text, label in examples.rows:
        row = {**dict(zip(text_fields, parts_of(text), strict=True)), label_field: label}
        yield (json.dumps(row, ensure_ascii=False) + "\n").encode()
