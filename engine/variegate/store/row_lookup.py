"""Rows of many entries, found by a key of their own. Holds keys and places; rows stay on disk until they are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError
from variegate.store.entry import ROWS, Entry

_OFFSETS = 1 << 44  # a place is a file's number times this, plus the row's offset in bytes: one integer a key


class RowLookup:
    """key -> row. Of rows of one key the last added counts. field: of the key in a row."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._places: dict[str, int] = {}
        self._folders: list[Path | None] = []
        self._numbers: dict[Path, int] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        place = self._places.get(key)
        return place is not None and self._folders[place // _OFFSETS] is not None

    def add(self, entry: Entry, keep: Callable[[Mapping[str, Any]], bool]) -> None:
        """Every row of `entry` that `keep` accepts. Raises StoreError."""
        base = len(self._folders) * _OFFSETS
        self._numbers[entry.path] = len(self._folders)
        self._folders.append(entry.path)
        for line in entry.lines():
            row = orjson.loads(line)
            if keep(row):
                self._places[row[self._field]] = base
            base += len(line)

    def moved(self, old: Path, new: Path | None) -> None:
        """The entry in the folder `old` lies in `new` now; None: it is gone, and its rows with it."""
        number = self._numbers.pop(old, None)
        if number is not None:
            self._folders[number] = new
            if new is not None:
                self._numbers[new] = number

    def take(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows there are for `keys`. Raises StoreError where a file changed since its rows were looked through."""
        by_folder: dict[Path, list[tuple[int, str]]] = {}
        for key in keys:
            place = self._places.get(key)
            folder = None if place is None else self._folders[place // _OFFSETS]
            if place is not None and folder is not None:
                by_folder.setdefault(folder, []).append((place % _OFFSETS, key))
        found: dict[str, dict[str, Any]] = {}
        for folder, places in by_folder.items():
            path = folder / ROWS
            try:
                with path.open("rb") as file:
                    for offset, key in sorted(places):
                        file.seek(offset)
                        found[key] = self._row(file.readline(), key)
            except (OSError, ValueError) as error:
                raise StoreError(f"{path}: changed while it was in use ({error}): run the same command again") from error
        return found

    def _row(self, line: bytes, key: str) -> dict[str, Any]:
        row: dict[str, Any] = orjson.loads(line)
        if row.get(self._field) != key:
            raise ValueError(f"the row of {key} is not where it was")
        return row
