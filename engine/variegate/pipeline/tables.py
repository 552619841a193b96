"""Rows of a small table with where each stands, strictly: the first bad row is an error. Knows files; knows no fields."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variegate.errors import UsageError
from variegate.tabular import READERS, BadRow, TableError, read_lines, suffix_of


def rows_of(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(`FILE:LINE` or `FILE: row N`, row) of a .jsonl, .ndjson, .csv, .tsv or .json file, each also with .gz behind.

    Raises UsageError where the file cannot be read, a row is bad, or there is none.
    """
    suffix = suffix_of(path)
    if suffix not in READERS:
        raise UsageError(f"{path}: expected one of {', '.join(READERS)}, got {suffix or 'no suffix'!r}: convert it, or rename it")
    if path.is_dir() or not path.exists():
        raise UsageError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}: give a file, and check the path")
    unit, count = ": row " if suffix == ".json" else ":", 0
    try:
        for number, row in READERS[suffix](read_lines(path), str(path)):
            if isinstance(row, BadRow):
                raise UsageError(row.message)
            count += 1
            yield f"{path}{unit}{number}", row
    except TableError as error:
        raise UsageError(str(error)) from error
    if not count:
        raise UsageError(f"{path}: holds no row: add some")


def fields_here(row: dict[str, Any]) -> str:
    return ", ".join(str(name) for name in row) or "none"


def name_in(row: dict[str, Any], field: str, where: str) -> str:
    """A label's or a task's name in a field; "" where it is empty, null or not there. Raises UsageError for anything but text or whole number."""
    value = row.get(field)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{where}: field {field!r}: expected a name as text or whole number, got {value!r:.60}")
    return whole(str(value), field, where).strip()


def whole(value: str, field: str, where: str) -> str:
    """The text, unless it holds half of a character pair, as JSON can and UTF-8 cannot: then UsageError."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{where}: field {field!r}: {value!a:.60} holds half of a character pair: write it again") from error
    return value
