"""What a person judged of a run's records: RUN/inspected.jsonl, a line a judgement, appended to and never rewritten.

    {"id": "...", "label": "joy", "scope": "in", "at": "..."}      this record's label is joy
    {"id": "...", "label": null, "scope": "out", "at": "..."}      this text is outside the task
    {"id": "...", "undone": true, "at": "..."}                     the last judgement of this record that stands is taken back

Of several judgements of one record that stand the last one holds. Knows nothing of terminals, or of which records are shown.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from variegate.errors import StoreError, nearest
from variegate.store.files import explained, open_appending
from variegate.store.run_folder import RunFolder
from variegate.store.settings import labels_of, read_settings

INSPECTED = "inspected.jsonl"


@dataclass(frozen=True, slots=True)
class Inspected:
    id: str  # of the record
    label: str | None  # one of the task's; None where the text is out of scope
    in_scope: bool
    at: str  # when, ISO 8601

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, "label": self.label, "scope": "in" if self.in_scope else "out", "at": self.at}


def read_inspected(folder: RunFolder) -> dict[str, Inspected]:
    """Record id -> the judgement that holds, the record judged last at the end. Empty where nothing was judged yet.

    Records that were set aside since, because the run's settings changed, are left out. A last line that a kill cut short is
    no judgement. Raises StoreError, naming the line, where the file is damaged, or names an id that is no record of the run
    or a label that is not the task's.
    """
    return standing(_read(folder, folder.path / INSPECTED))


def standing(history: tuple[Inspected, ...]) -> dict[str, Inspected]:
    """Record id -> its last judgement in `history`, in the order of those last judgements."""
    found: dict[str, Inspected] = {}
    for each in history:
        found.pop(each.id, None)
        found[each.id] = each
    return found


@contextmanager
def open_inspected(folder: RunFolder, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[InspectedLog]:
    """Hold RUN/inspected.jsonl for this process, to add to it. Others may read it meanwhile, and the run may go on.

    Raises StoreError where another process holds it, where it cannot be written, and as `read_inspected`.
    """
    path = folder.path / INSPECTED
    with explained(path):
        file = open_appending(path)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, also when that is killed
        except BlockingIOError:
            raise StoreError(f"{path}: is open in another `variegate inspect`: end that one first (its key q)") from None
        history = _read(folder, path)
        yield InspectedLog(file, path, history, clock)


class InspectedLog:
    """history: the judgements that stand, oldest first. Every change is on disk when its call returns.

    torn: whether a kill had cut the last line short; the next change removes what is left of it.
    """

    def __init__(self, file: BinaryIO, path: Path, history: tuple[Inspected, ...], clock: Callable[[], datetime]) -> None:
        self._file, self._path, self._clock = file, path, clock
        self.history = history
        self.torn = _torn(path.read_bytes()) > 0

    def judge(self, id: str, label: str | None) -> Inspected:
        """Append a judgement; label None: out of scope. Raises StoreError, and the file is then as it was."""
        judged = Inspected(id, label, label is not None, self._now())
        self._append(judged.to_json())
        self.history = (*self.history, judged)
        return judged

    def undo(self) -> Inspected:
        """Take back the last judgement that stands, and return it. Raises StoreError as `judge`."""
        last = self.history[-1]
        self._append({"id": last.id, "undone": True, "at": self._now()})
        self.history = self.history[:-1]
        return last

    def _now(self) -> str:
        return self._clock().isoformat(timespec="seconds")

    def _append(self, value: dict[str, Any]) -> None:
        with explained(self._path):
            data = self._path.read_bytes()
            size = len(data) - _torn(data)
            if size < len(data):
                os.ftruncate(self._file.fileno(), size)
            line = (b"\n" if size and data[size - 1 : size] != b"\n" else b"") + orjson.dumps(value) + b"\n"
            try:
                written = self._file.write(line)
                if written != len(line):
                    self._file.write(line[written:])  # a full disk says so now
                os.fsync(self._file.fileno())
            except OSError:
                os.ftruncate(self._file.fileno(), size)
                raise


# -- reading ---------------------------------------------------------------------------------------------------


def _torn(data: bytes) -> int:
    """The length of a last line that was cut short: it has no line end and is no JSON object."""
    tail = data[data.rfind(b"\n") + 1 :]
    try:
        return 0 if not tail or isinstance(orjson.loads(tail), dict) else len(tail)
    except orjson.JSONDecodeError:
        return len(tail)


def _read(folder: RunFolder, path: Path) -> tuple[Inspected, ...]:
    """The judgements that stand, oldest first."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    lines = data[: len(data) - _torn(data)].split(b"\n")
    rows = [(f"{path}:{number}", _parse(line, f"{path}:{number}")) for number, line in enumerate(lines, 1) if line.strip()]
    return _replay(rows, _Known(folder)) if rows else ()


class _Known:
    """What the ids and labels of judgements may be."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self.labels = labels_of(read_settings(folder))
        self.ids = {record.id for record in folder.records()}
        self._aside: set[str] | None = None

    def is_aside(self, id: str) -> bool:
        """Whether the record is one of those that were set aside. They are read when the first such question comes."""
        if self._aside is None:
            self._aside = self._folder.ids_aside()
        return id in self._aside


def _replay(rows: list[tuple[str, dict[str, Any]]], known: _Known) -> tuple[Inspected, ...]:
    history: list[Inspected] = []
    for where, row in rows:
        id = row["id"]
        if id not in known.ids and not known.is_aside(id):
            raise StoreError(f"{where}: {id!r} is the id of no record of this run{nearest(id, known.ids)} {_MEND}")
        if "undone" in row:
            place = next((place for place in reversed(range(len(history))) if history[place].id == id), None)
            if place is None:
                raise StoreError(f"{where}: no judgement of {id!r} stands before it, so none can be taken back. {_MEND}")
            del history[place]
            continue
        if id in known.ids and row["label"] is not None and row["label"] not in known.labels:
            raise StoreError(f"{where}: the task has no label {row['label']!r}{nearest(row['label'], known.labels)} {_MEND}")
        history.append(Inspected(id, row["label"], row["scope"] == "in", row["at"]))
    return tuple(each for each in history if each.id in known.ids)


def _parse(line: bytes, where: str) -> dict[str, Any]:
    """A judgement or an undoing, its fields checked for type."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(f"{where}: not valid JSON ({error}). {_MEND}") from error
    if not isinstance(row, dict) or not isinstance(row.get("id"), str) or not isinstance(row.get("at"), str):
        raise StoreError(f"{where}: expected an object with `id` and `at` as text, got {line[:80].decode(errors='replace')!r}. {_MEND}")
    if "undone" in row:
        if row["undone"] is not True:
            raise StoreError(f"{where}: field 'undone': expected true, got {row['undone']!r}. {_MEND}")
        return row
    label, scope = row.get("label", 0), row.get("scope")
    if not (label is None or isinstance(label, str)) or scope not in ("in", "out"):
        raise StoreError(f"{where}: expected a `label` (text or null) and a `scope` (in or out), got {label!r} and {scope!r}. {_MEND}")
    if (label is None) != (scope == "out"):
        raise StoreError(f"{where}: label {label!r} with scope {scope!r}: out of scope means no label, and in scope a label. {_MEND}")
    return row


_MEND = "Restore the file, or delete this line"
