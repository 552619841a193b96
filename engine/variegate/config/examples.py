"""A file of labelled examples, read strictly: the first bad row is named by file, line and field.

Knows CSV and JSONL; knows nothing of task files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.errors import UsageError, nearest
from variegate.tabular import BadRow, TableError, csv_rows, jsonl_rows, read_lines

_LONGEST_LABEL = 200  # characters; a longer one is a text in the wrong field


@dataclass(frozen=True, slots=True)
class Examples:
    rows: tuple[tuple[str, str], ...]  # (text, label), as the data files will hold them
    as_they_stand: bool  # the file itself can be the task's data.train: no label had to be changed

    @property
    def label_counts(self) -> Counter[str]:
        return Counter(label for _, label in self.rows)


def read_examples(path: Path, text_field: str, label_field: str) -> Examples:
    """The (text, label) pairs of a .csv or .jsonl file. Raises UsageError with file, line and field of the first bad row."""
    readers = {".csv": csv_rows, ".jsonl": jsonl_rows}
    if path.suffix.lower() not in readers:
        raise UsageError(
            f"{path}: expected a .csv or .jsonl file, got {path.suffix or 'no suffix'!r}: convert it, or rename it to what it is"
        )
    rows, as_they_stand = [], True
    try:
        for line, row in readers[path.suffix.lower()](read_lines(path), str(path)):
            if isinstance(row, BadRow):
                raise UsageError(row.message)
            text = _field(row, text_field, f"{path}:{line}")
            label = _field(row, label_field, f"{path}:{line}")
            if not isinstance(text, str):
                raise UsageError(f"{path}:{line}: field {text_field!r}: expected text, got {text!r}")
            if isinstance(label, bool) or not isinstance(label, str | int):
                raise UsageError(f"{path}:{line}: field {label_field!r}: expected a label as text or whole number, got {label!r}")
            clean = str(label).strip()
            for name, value in ((text_field, text), (label_field, clean)):
                if not value.strip():
                    raise UsageError(f"{path}:{line}: field {name!r} is empty: fill it in, or delete the row")
            if len(clean) > _LONGEST_LABEL or not clean.isprintable():
                raise UsageError(
                    f"{path}:{line}: field {label_field!r}: {clean[:40]!r}… is no label's name (one line, at most {_LONGEST_LABEL}"
                    " characters): is it the right field? Name it with --label-field"
                )
            as_they_stand = as_they_stand and clean == label
            rows.append((text, clean))
    except TableError as error:
        raise UsageError(str(error)) from error
    if not rows:
        raise UsageError(f"{path}: holds no examples: add rows with the fields {text_field!r} and {label_field!r}")
    return Examples(tuple(rows), as_they_stand)


def _field(row: dict[str, Any], name: str, where: str) -> Any:
    if name not in row:
        known = [key for key in row if isinstance(key, str)]
        raise UsageError(
            f"{where}: no field {name!r}{nearest(name, known)} Fields here: {', '.join(known) or 'none'}."
            " Name the right one with --text-field or --label-field"
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


def data_lines(examples: Examples, text_field: str, label_field: str) -> Iterable[bytes]:
    """The examples as JSONL."""
    return ((json.dumps({text_field: text, label_field: label}, ensure_ascii=False) + "\n").encode() for text, label in examples.rows)
