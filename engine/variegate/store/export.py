"""A run's kept records, as generated or as curated, in the formats other tools read: JSONL, Parquet, CSV, a Hugging Face folder.

Streams round by round, so memory does not grow with the run; writes through a temporary name, so a target is whole or absent.
Works on a run that has not ended too: it then exports the rounds that are there. Knows nothing of config models or reports.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError, nearest
from variegate.kinds import TaskKind
from variegate.store.card import dataset_card
from variegate.store.files import check_file, check_folder, commit_folder, write_atomic
from variegate.store.kind import kind_of_run
from variegate.store.run_folder import OWN, RunFolder
from variegate.store.settings import part, read_settings
from variegate.store.verdicts import CurationFolder, open_curation

FORMATS = ("jsonl", "parquet", "csv", "hf")

# Columns of a record's origin -> type, in order: behind `id` and those of the task kind, before `extra`, JSON of what is not named here.
ORIGIN_COLUMNS = {
    "strategy": "string",
    "form": "string",
    "model": "string",
    "suppression": "string",
    "round": "int64",
    "slot": "int64",
    "seed": "int64",
    "parents": "list",
    "block": "int64",
    "bias": "string",
    "temperature": "float64",
    "finish_reason": "string",
    "num_prompt_tokens": "int64",
    "num_tokens": "int64",
    "logprob": "float64",
}
# What a curation adds, after the kind's, whose label is then the final one.
CURATED_COLUMNS = {"given_label": "string", "confidence": "float64", "reasons": "list"}
_CHUNK = 1024  # records held at once
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_HF_FILES = {"README.md", "data", "data/train.parquet"}


def export(
    folder: RunFolder, format: str, target: Path, *, curation: str | None = None, overwrite: bool = False, formula_guard: bool = True
) -> Path:
    """Write the kept records of `folder` to `target` and return it.

    format: `jsonl` (one record a line, as in records.jsonl), `parquet` and `csv` (one column per origin field),
        those of the task kind (`squad`), `hf` (a folder with data/train.parquet and a README.md that `datasets.load_dataset` reads).
    curation: the name of a curation of the run: the records that it keeps, `label` the final one, with CURATED_COLUMNS.
    formula_guard: in CSV, a text cell that begins with = + - @, tab or carriage return gets an apostrophe in front, because
        spreadsheets would run it as a formula. This changes such cells; False writes them as they are.
    Raises UsageError when the format or the curation is unknown, or the target exists and `overwrite` is False, or it is a file
    of the run itself; StoreError when there is nothing to export or the target cannot be written.
    """
    kind = kind_of_run(folder)
    known = (*FORMATS, *kind.formats)
    if format not in known:
        raise UsageError(f"format {format!r} is not known{nearest(format, known)} Known: {', '.join(known)}")
    curated = None if curation is None else open_curation(folder, curation)
    _check_target(folder, format, target, overwrite)
    rows = _not_empty(folder, curated)
    columns = columns_of(kind, curated is not None)
    if format == "hf":
        _write_hf(folder, kind, curated, rows, columns, target)
    elif format in kind.formats:
        write_atomic(target, kind.document(format, rows, title=str(part(read_settings(folder), "task", "name"))))
    else:
        chunks: dict[str, Callable[[], Iterator[bytes]]] = {
            "jsonl": lambda: (orjson.dumps(row) + b"\n" for row in rows),
            "parquet": lambda: _parquet(rows, columns),
            "csv": lambda: _csv(rows, columns, formula_guard),
        }
        write_atomic(target, chunks[format]())
    return target


def columns_of(kind: TaskKind, curated: bool) -> dict[str, str]:
    """column -> type, in order. Parquet and the data set card are typed by it."""
    return {"id": "string", **kind.columns, **(CURATED_COLUMNS if curated else {}), **ORIGIN_COLUMNS, "extra": "string"}


def _check_target(folder: RunFolder, format: str, target: Path, overwrite: bool) -> None:
    run, place = folder.path.resolve(), target.resolve()
    if place == run or (place.is_relative_to(run) and place.relative_to(run).parts[0] in OWN):
        raise UsageError(f"{target}: belongs to the run itself: choose another target with -o")
    (check_folder if format == "hf" else check_file)(target)
    if not target.exists():
        return
    if not overwrite:
        raise UsageError(f"{target}: exists already: choose another target with -o, or give --overwrite")
    if format == "hf":
        foreign = sorted(str(path.relative_to(target)) for path in target.rglob("*") if str(path.relative_to(target)) not in _HF_FILES)
        if foreign:
            raise UsageError(
                f"{target}: holds {foreign[0]!r}, which is no part of an earlier export: it is not overwritten. Choose another folder"
            )


def _not_empty(folder: RunFolder, curated: CurationFolder | None) -> Iterator[dict[str, Any]]:
    """Rows as in records.jsonl, or as in curated.jsonl."""
    rows = (record.to_json() for record in folder.records()) if curated is None else curated.rows()
    first = next(rows, None)
    if first is None:
        raise StoreError(f"{folder.path}: no kept record to export (see `variegate report` for why texts were dropped)")
    return chain([first], rows)


def flatten(row: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """A row of records.jsonl or curated.jsonl as one flat row; a column of type json holds JSON, one of type answers SQuAD's answers. columns: those of `columns_of`."""
    origin = dict(row["origin"])
    flat = {name: origin.pop(name, None) if name in ORIGIN_COLUMNS else row.get(name) for name in columns}
    flat |= {name: orjson.dumps(flat[name]).decode() for name, type in columns.items() if type == "json"}
    return {**flat, "extra": orjson.dumps(origin).decode() if origin else None}


def _chunks(rows: Iterator[dict[str, Any]], columns: Mapping[str, str]) -> Iterator[list[dict[str, Any]]]:
    while chunk := [flatten(row, columns) for row in islice(rows, _CHUNK)]:
        yield chunk


# -- CSV -------------------------------------------------------------------------------------------------------


def guarded(cell: Any) -> Any:
    """The cell, with an apostrophe in front where a spreadsheet would take the text for a formula. Numbers pass."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA_STARTS) else cell


def _csv(rows: Iterator[dict[str, Any]], columns: Mapping[str, str], formula_guard: bool) -> Iterator[bytes]:
    buffer = io.StringIO()
    # "\r\n" (RFC 4180): Python up to 3.12 quotes a lone carriage return only where it is part of the line end
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(columns)
    for chunk in _chunks(rows, columns):
        for row in chunk:
            cells: Iterable[Any] = (orjson.dumps(cell).decode() if isinstance(cell, list | dict) else cell for cell in row.values())
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


def _parquet(rows: Iterator[dict[str, Any]], columns: Mapping[str, str]) -> Iterator[bytes]:
    import pyarrow
    import pyarrow.parquet

    # a "json" column holds text: Parquet's own types for nested data differ from one reader to the next
    types = {
        "string": pyarrow.string(),
        "label": pyarrow.string(),
        "json": pyarrow.string(),
        "int64": pyarrow.int64(),
        "float64": pyarrow.float64(),
        "list": pyarrow.list_(pyarrow.string()),
        "answers": pyarrow.struct([("text", pyarrow.list_(pyarrow.string())), ("answer_start", pyarrow.list_(pyarrow.int32()))]),
    }
    schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
    sink = _Sink()
    with pyarrow.parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        for chunk in _chunks(rows, columns):
            writer.write_table(pyarrow.Table.from_pylist(chunk, schema=schema))
            yield sink.take()
    yield sink.take()


# -- Hugging Face ----------------------------------------------------------------------------------------------


def _write_hf(
    folder: RunFolder,
    kind: TaskKind,
    curated: CurationFolder | None,
    rows: Iterator[dict[str, Any]],
    columns: Mapping[str, str],
    target: Path,
) -> None:
    summary = None if curated is None else curated.read_summary()
    files: dict[str, bytes | Iterable[bytes]] = {
        "README.md": dataset_card(folder, kind, columns, summary).encode(),
        "data/train.parquet": _parquet(rows, columns),
    }
    commit_folder(target, files, replace=True)  # what is there is an earlier export: see _check_target
