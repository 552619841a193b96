"""One run's folder: locking, committing rounds, reading them back, and the files written when a run ends.

Knows files and rows; knows nothing of how a round is made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError
from variegate.records import Record
from variegate.store.files import (
    check_file,
    check_inside,
    commit_folder,
    explained,
    make_folder,
    open_appending,
    sha256_of,
    write_atomic,
)
from variegate.store.rows import KEPT, Row, dump_lines, parse_line, parse_row, stored_record

COMPLETIONS = "completions.jsonl"
MEASURES = "measures.json"
# What may stand in a run's folder, and what shows that the folder is a run's (or a study's, which is held by the same lock).
OWN = (
    *("run.yaml", "records.jsonl", "dropped.jsonl", "manifest.json", MEASURES, "report.html", "lock", "rounds", "set-aside"),
    *("inspected.jsonl", "curations", "students"),
)
_MARKS = ("format.json", "lock", "rounds", "manifest.json", "study.json")
NOT_REUSED = "-not-reused"  # ends the name of a set-aside folder that `--resume never` made


class RunFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.rounds_path = path / "rounds"

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """Raises UsageError when there is no run at `path`."""
        if not (path / "run.yaml").is_file():
            raise UsageError(f"{path}: not a run folder (it holds no run.yaml): give the folder that `variegate generate` wrote")
        return cls(path)

    @contextmanager
    def lock(self, *, own: Iterable[str] = OWN) -> Iterator[None]:
        """Hold the folder for this process. own: the names of what is written into it.

        Raises StoreError when another process holds it; UsageError where something of these names is not ours: it stands in a
        folder that is no run's, or is a link that leads out of the folder.
        """
        make_folder(self.path)
        self._check_own(own)
        path = self.path / "lock"
        with explained(path):
            file = open_appending(path)
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().decode("ascii", "replace").strip()
                raise StoreError(
                    f"{self.path}: process {holder or '(unknown)'} is working in this run folder: wait for it, stop it, or choose"
                    " another folder with -o"
                ) from None
            with explained(path):
                file.seek(0)
                file.truncate()
                file.write(str(os.getpid()).encode())
            yield  # the lock goes with the file, also when the process is killed

    def _check_own(self, own: Iterable[str]) -> None:
        there = [self.path / name for name in own if os.path.lexists(self.path / name)]
        if there and not any((self.path / mark).exists() for mark in _MARKS):
            raise UsageError(
                f"{self.path}: holds {there[0].name}, and is no folder that Variegate made: it would be written over. Choose another"
                " folder with `output:` or -o"
            )
        for path in (*there, *(self.path / "curations").glob("*")):
            check_inside(self.path, path)

    # -- rounds ------------------------------------------------------------------------------------------------

    def round_folders(self) -> list[Path]:
        """Committed rounds in order. Raises StoreError when one in between is missing."""
        folders = sorted(path for path in self.rounds_path.glob("[0-9]*") if path.is_dir())
        for index, folder in enumerate(folders):
            if folder.name != f"{index:06d}":
                raise StoreError(
                    f"{self.rounds_path}: round {index:06d} is missing but {folder.name} is there: restore it, or delete the later rounds and run again"
                )
        return folders

    def commit_round(self, index: int, rows: list[Row], facts: Mapping[str, Any]) -> None:
        """`facts` become round.json, with the hash of the completions added. Raises StoreError; the round is then not there."""
        self.retire_manifest()
        data = dump_lines([row.to_json() for row in rows])
        facts = {**facts, "sha256": hashlib.sha256(data).hexdigest()}
        commit_folder(
            self.rounds_path / f"{index:06d}",
            {COMPLETIONS: data, "round.json": orjson.dumps(facts, option=orjson.OPT_INDENT_2)},
        )

    def read_round(self, folder: Path) -> list[dict[str, Any]]:
        path = folder / COMPLETIONS
        try:
            lines = path.read_bytes().splitlines()
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error}") from error
        return [parse_row(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]

    def rows(self) -> Iterator[dict[str, Any]]:
        for folder in self.round_folders():
            yield from self.read_round(folder)

    def records(self) -> Iterator[Record]:
        """Kept records in order, also of a run that has not ended."""
        return (stored_record(row) for row in self.rows() if row["outcome"] == "kept")

    def round_facts(self) -> list[dict[str, Any]]:
        facts = []
        for folder in self.round_folders():
            path = folder / "round.json"
            try:
                facts.append(parse_line(path.read_bytes(), str(path)))
            except OSError as error:
                raise StoreError(f"{path}: cannot be read: {error}") from error
        return facts

    def clear_unfinished(self) -> None:
        """Remove what a killed process left of a round it was writing."""
        for path in [*self.rounds_path.glob(".*.tmp"), *self.path.glob(".*.tmp")]:
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def set_rounds_aside(self, first: int, *, reuse: bool = True) -> list[Path]:
        """Move the rounds from number `first` on to a new folder under set-aside/; returns where they are now."""
        aside = self.path / "set-aside"
        target = aside / f"{len(list(aside.glob('*'))):03d}{'' if reuse else NOT_REUSED}"
        moved = []
        self.retire_manifest()
        with explained(target):
            target.mkdir(parents=True)
            for folder in reversed(self.round_folders()[first:]):  # last first: what stays is gapless at any instant
                moved.append(target / folder.name)
                folder.rename(moved[-1])
        return moved

    def aside_folders(self) -> list[Path]:
        """Set-aside rounds whose rows may be reused."""
        return sorted(
            path for path in (self.path / "set-aside").glob("*/[0-9]*") if path.is_dir() and not path.parent.name.endswith(NOT_REUSED)
        )

    # -- whole-run files ---------------------------------------------------------------------------------------

    def write_config(self, text: str) -> None:
        write_atomic(self.path / "run.yaml", text.encode())

    def record_lines(self) -> Iterator[bytes]:
        """records.jsonl, line by line, from the rounds."""
        return (dump_lines([record.to_json()]) for record in self.records())

    def dropped_lines(self) -> Iterator[bytes]:
        """dropped.jsonl, line by line, from the rounds."""
        for row in self.rows():
            if row["outcome"] != KEPT:
                yield dump_lines(
                    [{"id": row["key"], "label": row["label"], "reason": row["outcome"], "text": row["raw"], "error": row["error"]}]
                )

    def write_results(self) -> dict[str, str]:
        """Write records.jsonl and dropped.jsonl from the rounds; returns file name -> sha256."""
        write_atomic(self.path / "records.jsonl", self.record_lines())
        write_atomic(self.path / "dropped.jsonl", self.dropped_lines())
        return {name: sha256_of(self.path / name) for name in ("records.jsonl", "dropped.jsonl")}

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        write_atomic(self.path / "manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))

    def retire_manifest(self) -> None:
        """Rename the manifest and the measurement of a run that goes on: they describe rounds that are about to change."""
        for name in ("manifest.json", MEASURES):
            path = self.path / name
            if path.is_file():
                with explained(path):
                    previous = path.with_suffix(".previous.json")
                    check_file(previous)
                    path.rename(previous)

    def read_manifest(self, *, previous: bool = False) -> dict[str, Any] | None:
        """None while the run has not ended. previous: the one that was retired last, where there is none."""
        for name in ("manifest.json", *(["manifest.previous.json"] if previous else [])):
            path = self.path / name
            if path.is_file():
                return parse_line(path.read_bytes(), str(path))
        return None
