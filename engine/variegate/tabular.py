"""Rows out of text files, one at a time: CSV, TSV, JSONL, a JSON list, lines of text; plain or gzip-compressed.

A row that cannot be read is handed over as a BadRow: whether it ends the reading or is left out is the caller's choice.
What says nothing of where the next row begins (bad UTF-8, a quote left open) is a TableError: it always ends the reading.
Knows nothing of which field is what, and nothing of the package's own errors: callers turn both into theirs.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast


class TableError(ValueError):
    """A file that cannot be read as the format it is said to be. The message names file and line, and says what to do."""


@dataclass(frozen=True, slots=True)
class BadRow:
    reason: str  # few words that are the same for all rows of its kind, for counting
    message: str  # names file and line


BLANK = "blank line"  # the reason of a blank line among lines of text
Row = dict[str, Any] | BadRow
Rows = Iterator[tuple[int, Row]]  # with the number of the row's (last) line, from 1


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file, decompressed where its name ends in .gz. Raises TableError."""
    try:
        with cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            yield from decode_lines(file, str(path))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise TableError(f"{path}: is not a whole gzip file ({error}): copy it again, or correct its name") from error
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or error}") from error


def decode_lines(file: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines with their ends, without a byte order mark. Raises TableError where one is not UTF-8."""
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise TableError(
                f"{name}:{number}: is not UTF-8 text ({error.reason} at byte {error.start} of the line): save it as UTF-8"
            ) from error


def csv_rows(lines: Iterable[str], name: str) -> Rows:
    """Rows of comma-separated values under a header; cells may be quoted and then run over several lines."""
    for line, row, _ in _separated(lines, name, "CSV", ","):
        yield line, row


def tsv_rows(lines: Iterable[str], name: str) -> Rows:
    """Rows of tab-separated values under a header, quoted as in CSV, but each on one line.

    Many TSV files are written without quoting, so that a text may begin with a lone quote. Read as CSV it would swallow the
    rows up to the next quote unseen; a cell of several lines is therefore an error.
    """
    for line, row, cells in _separated(lines, name, "TSV", "\t"):
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise TableError(f"{name}:{line}: not valid TSV: a cell in double quotes runs over several lines{_TSV_HINT}")
        yield line, row


def _separated(lines: Iterable[str], name: str, format: str, delimiter: str) -> Iterator[tuple[int, Row, list[str]]]:
    """(line, row, the row's cells)"""
    reader = csv.reader(_cut(lines), strict=True, delimiter=delimiter)
    header: list[str] | None = None
    try:
        for cells in reader:
            where = f"{name}:{reader.line_num}"
            if not cells:
                continue
            if header is None:
                header = cells
                twice = [each for each, count in Counter(cells).items() if each and count > 1]
                if twice:
                    raise TableError(f"{where}: two columns are called {twice[0]!r}: rename one of them")
            elif len(cells) > len(header):
                message = (
                    f"{where}: more cells than the header has ({len(header)}): put texts that hold a {_NAMES[delimiter]} in double quotes"
                )
                yield reader.line_num, BadRow("more cells than the header", message), cells
            elif len(cells) < len(header):
                message = f"{where}: field {header[len(cells)]!r} is missing: the row has fewer cells than the header"
                yield reader.line_num, BadRow("fewer cells than the header", message), cells
            else:
                yield reader.line_num, dict(zip(header, cells, strict=True)), cells
    except csv.Error as error:
        raise TableError(f"{name}:{reader.line_num}: not valid {format}: {error}{_TSV_HINT if format == 'TSV' else ''}") from error


_NAMES = {",": "comma", "\t": "tab"}
_TSV_HINT = (
    ': where a text begins with a double quote of its own, write the quote twice and quote the whole cell (""" said he"), or save the'
    " file as JSONL"
)


def _cut(lines: Iterable[str]) -> Iterator[str]:
    """Lines cut at lone carriage returns too (an old line end), as `csv` expects its input."""
    for line in lines:
        if "\r" in line.rstrip("\r\n"):
            yield from io.StringIO(line, newline="")
        else:
            yield line


def jsonl_rows(lines: Iterable[str], name: str) -> Rows:
    """One JSON object a line; blank lines are no rows."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, BadRow("not valid JSON", f"{name}:{number}: not valid JSON: {error}")
            continue
        yield number, _object(row, f"{name}:{number}")


def json_rows(lines: Iterable[str], name: str) -> Rows:
    """The objects of a JSON list, counted from 1. The whole file is held in memory while it is read."""
    try:
        items = json.loads("".join(lines))
    except json.JSONDecodeError as error:
        hint = ": is it JSONL (an object a line)? Rename it to .jsonl" if error.msg == "Extra data" else ""
        raise TableError(f"{name}:{error.lineno}: not valid JSON: {error}{hint}") from error
    except (ValueError, RecursionError) as error:
        raise TableError(f"{name}: not valid JSON: {error}") from error
    if not isinstance(items, list):
        raise TableError(f'{name}: expected a list of objects such as [{{"text": …, "label": …}}], got {type(items).__name__}')
    for number, item in enumerate(items, 1):
        yield number, _object(item, f"{name}: row {number}")


# suffix -> reader of the lines of such a file
READERS: dict[str, Callable[[Iterable[str], str], Rows]] = {
    ".jsonl": jsonl_rows,
    ".ndjson": jsonl_rows,
    ".csv": csv_rows,
    ".tsv": tsv_rows,
    ".json": json_rows,
}


def suffix_of(path: Path) -> str:
    """The lower-case suffix that says what a file is: that before .gz, where it is compressed."""
    return Path(path.stem).suffix.lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def _object(row: Any, where: str) -> Row:
    if isinstance(row, dict):
        return row
    return BadRow("not an object", f'{where}: expected an object such as {{"text": …, "label": …}}, got {type(row).__name__}')


def line_rows(lines: Iterable[str], name: str) -> Rows:
    """Every line as {"text": line}, without its end; a blank one is a BadRow."""
    for number, line in enumerate(lines, 1):
        text = line.rstrip("\r\n")
        yield number, {"text": text} if text.strip() else BadRow(BLANK, f"{name}:{number}: the line is blank")
