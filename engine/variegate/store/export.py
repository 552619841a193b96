"""A run's kept records in the formats other tools read: JSONL, Parquet, CSV, a Hugging Face data set folder.

Streams round by round, so memory does not grow with the run; writes through a temporary name, so a target is whole or absent.
Works on a run that has not ended too: it then exports the rounds that are there. Knows nothing of config models or reports.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError, nearest
from variegate.records import Record
from variegate.store.card import dataset_card
from variegate.store.files import commit_folder, write_atomic
from variegate.store.run_folder import MEASURES, RunFolder

FORMATS = ("jsonl", "parquet", "csv", "hf")

# column -> type, in order. Parquet and the data set card are typed by it; `extra` is JSON of origin fields not named here.
COLUMNS = {
    "id": "string",
    "text": "string",
    "label": "string",
    "strategy": "string",
    "form": "string",
    "model": "string",
    "suppression": "string",
    "round": "int64",
    "slot": "int64",
    "seed": "int64",
    "parents": "list",
    "alpha": "float64",
    "temperature": "float64",
    "finish_reason": "string",
    "num_prompt_tokens": "int64",
    "num_tokens": "int64",
    "logprob": "float64",
    "extra": "string",
}
_ORIGIN = tuple(COLUMNS)[3:-1]
_CHUNK = 1024  # records held at once
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_HF_FILES = {"README.md", "data", "data/train.parquet"}


def export(folder: RunFolder, format: str, target: Path, *, overwrite: bool = False, formula_guard: bool = True) -> Path:
    """Write the kept records of `folder` to `target` and return it.

    format: `jsonl` (one record a line, as in records.jsonl), `parquet` and `csv` (one column per origin field),
        `hf` (a folder with data/train.parquet and a README.md that `datasets.load_dataset` reads).
    formula_guard: in CSV, a text cell that begins with = + - @, tab or carriage return gets an apostrophe in front, because
        spreadsheets would run it as a formula. This changes such cells; False writes them as they are.
    Raises UsageError when the format is unknown, or the target exists and `overwrite` is False, or it is a file of the run
    itself; StoreError when there is nothing to export or the target cannot be written.
    """
    if format not in FORMATS:
        raise UsageError(f"format {format!r} is not known{nearest(format, FORMATS)} Known: {', '.join(FORMATS)}")
    _check_target(folder, format, target, overwrite)
    records = _not_empty(folder)
    if format == "hf":
        _write_hf(folder, records, target)
    else:
        chunks: dict[str, Callable[[], Iterator[bytes]]] = {
            "jsonl": lambda: (orjson.dumps(record.to_json()) + b"\n" for record in records),
            "parquet": lambda: _parquet(records),
            "csv": lambda: _csv(records, formula_guard),
        }
        write_atomic(target, chunks[format]())
    return target


def _check_target(folder: RunFolder, format: str, target: Path, overwrite: bool) -> None:
    run, place = folder.path.resolve(), target.resolve()
    own = {"run.yaml", "records.jsonl", "dropped.jsonl", "manifest.json", MEASURES, "report.html", "lock", "rounds", "set-aside"}
    if place == run or (place.is_relative_to(run) and place.relative_to(run).parts[0] in own):
        raise UsageError(f"{target}: belongs to the run itself: choose another target with -o")
    if not target.exists():
        return
    if not overwrite:
        raise UsageError(f"{target}: exists already: choose another target with -o, or give --overwrite")
    if target.is_dir() and format != "hf":
        raise UsageError(f"{target}: is a folder, and {format} is written to a file: choose another target with -o")
    if format == "hf":
        if not target.is_dir():
            raise UsageError(f"{target}: is a file, and hf is written to a folder: choose another target with -o")
        foreign = sorted(str(path.relative_to(target)) for path in target.rglob("*") if str(path.relative_to(target)) not in _HF_FILES)
        if foreign:
            raise UsageError(
                f"{target}: holds {foreign[0]!r}, which is no part of an earlier export: it is not overwritten. Choose another folder"
            )


def _not_empty(folder: RunFolder) -> Iterator[Record]:
    records = folder.records()
    first = next(records, None)
    if first is None:
        raise StoreError(f"{folder.path}: no kept record to export (see `variegate report` for why texts were dropped)")
    return chain([first], records)


def flatten(record: Record) -> dict[str, Any]:
    """A record as one flat row with the keys of COLUMNS."""
    origin = dict(record.origin)
    row: dict[str, Any] = {"id": record.id, "text": record.text, "label": record.label}
    row |= {name: origin.pop(name, None) for name in _ORIGIN}
    row["extra"] = orjson.dumps(origin).decode() if origin else None
    return row


def _chunks(records: Iterator[Record]) -> Iterator[list[dict[str, Any]]]:
    while rows := [flatten(record) for record in islice(records, _CHUNK)]:
        yield rows


# -- CSV -------------------------------------------------------------------------------------------------------


def guarded(cell: Any) -> Any:
    """The cell, with an apostrophe in front where a spreadsheet would take the text for a formula. Numbers pass."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _csv(records: Iterator[Record], formula_guard: bool) -> Iterator[bytes]:
    buffer = io.StringIO()
    # "\r\n" (RFC 4180): Python up to 3.12 quotes a lone carriage return only where it is part of the line end
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for rows in _chunks(records):
        for row in rows:
            cells: Iterable[Any] = (orjson.dumps(cell).decode() if isinstance(cell, list) else cell for cell in row.values())
            writer.writerow([guarded(cell) for cell in cells] if formula_guard else list(cells))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()


# -- Parquet ---------------------------------------------------------------------------------------------------


class _Sink(io.RawIOBase):
    """A file that only remembers what was written since the last `take`: lets Parquet stream through `write_atomic`."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._length += len(part)
        return len(part)

    def tell(self) -> int:
        return self._length

    def take(self) -> bytes:
        data = b"".join(self._parts)
        self._parts.clear()
        return data


def _parquet(records: Iterator[Record]) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    types = {"string": pyarrow.string(), "int64": pyarrow.int64(), "float64": pyarrow.float64(), "list": pyarrow.list_(pyarrow.string())}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    sink = _Sink()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for rows in _chunks(records):
            writer.write_table(pyarrow.Table.from_pylist(rows, schema=schema))
            yield sink.take()
    yield sink.take()


# -- Hugging Face ----------------------------------------------------------------------------------------------


def _write_hf(folder: RunFolder, records: Iterator[Record], target: Path) -> None:
    files: dict[str, bytes | Iterable[bytes]] = {
        "README.md": dataset_card(folder, COLUMNS).encode(),
        "data/train.parquet": _parquet(records),
    }
    commit_folder(target, files, replace=True)  # what is there is an earlier export: see _check_target
