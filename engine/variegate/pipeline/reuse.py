"""Rows of earlier rounds, found by key: what a changed configuration left unchanged is not generated again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from variegate.errors import StoreError
from variegate.records import Completion
from variegate.store.rows import parse_row, stored_completion
from variegate.store.run_folder import COMPLETIONS


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise StoreError(f"{path}: cannot be read ({error.strerror}): restore it, or delete its round's folder and run again") from error


class Reuse:
    """key -> place in a file of completions; only keys and places are held in memory."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Path, int]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add_rounds(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            path = folder / COMPLETIONS
            offset = 0
            with _opened(path) as file:
                for number, line in enumerate(file, 1):
                    row = parse_row(line, f"{path}:{number}")
                    if row["error"] is None:  # what failed is worth another try
                        self._places[row["key"]] = (path, offset)
                    offset += len(line)

    def take(self, keys: Iterable[str]) -> dict[str, Completion]:
        """The completions there are for `keys`."""
        by_file: dict[Path, list[int]] = {}
        for key in keys:
            if key in self._places:
                path, offset = self._places[key]
                by_file.setdefault(path, []).append(offset)
        found: dict[str, Completion] = {}
        for path, offsets in by_file.items():
            with _opened(path) as file:
                for offset in sorted(offsets):
                    file.seek(offset)
                    row = parse_row(file.readline(), str(path))
                    found[row["key"]] = stored_completion(row)
        return found
