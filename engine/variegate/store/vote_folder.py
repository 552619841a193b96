"""Votes of a model on disk: chunks of rows, each written at once, and what they were asked with. Knows nothing of votes."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError
from variegate.store.files import check_inside, explained, make_folder, open_appending, write_atomic
from variegate.store.rows import dump_lines

ASKED = "asked.json"


class VoteFolder:
    """FOLDER/asked.json and FOLDER/KIND/NAME.jsonl; `asked` is what must not change while votes are added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def opened(self, asked: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder for this process. Raises UsageError where it holds votes that were asked otherwise."""
        if self.path.is_dir() and not (self.path / ASKED).is_file() and any(each.name != "lock" for each in self.path.iterdir()):
            raise UsageError(f"{self.path}: holds other things than a model's votes: choose another folder")
        make_folder(self.path)
        for each in self.path.iterdir():
            check_inside(self.path, each)
        with explained(self.path), open_appending(self.path / "lock") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(f"{self.path}: another process is adding votes here: wait for it, or choose another folder") from None
            self._check(asked)
            yield

    def _check(self, asked: Mapping[str, Any]) -> None:
        path = self.path / ASKED
        if not path.is_file():
            write_atomic(path, orjson.dumps(asked, option=orjson.OPT_INDENT_2) + b"\n")
            return
        try:
            before = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise StoreError(f"{path}: cannot be read: {error}: delete the folder, or choose another") from error
        now = json.loads(json.dumps(asked))
        changed = [name for name in sorted({*now, *before}) if now.get(name) != before.get(name)]
        if changed:
            told = "; ".join(f"{name} was {before.get(name)!r:.60}, and is {now.get(name)!r:.60}" for name in changed[:3])
            raise UsageError(f"{self.path}: holds votes that were asked otherwise ({told}): choose another folder, or ask as before")

    def read(self, name: str) -> list[dict[str, Any]] | None:
        """A chunk; None where it is not there yet. Raises StoreError for a damaged one."""
        path = self.path / f"{name}.jsonl"
        if not path.is_file():
            return None
        try:
            return [orjson.loads(line) for line in path.read_bytes().splitlines()]
        except (OSError, orjson.JSONDecodeError) as error:
            raise StoreError(f"{path}: cannot be read: {error}: delete this file and run the same command again") from error

    def write(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        write_atomic(self.path / f"{name}.jsonl", dump_lines(list(rows)))
