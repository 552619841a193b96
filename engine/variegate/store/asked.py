"""A folder of what a model was asked and answered: votes on the labels of texts, or on pairs of tasks.

    format.json                                    written first
    asked.json                                     what was asked; last of all, the hash of every entry's rows; sealed
    answers/000/000000/, ... or comparisons/...    entries of a shelf: a row for each question, found by a key of its own
    votes/                                         an entry: what comparisons led to
    set-aside/                                     entries of other askings: they come back, and their rows are found
    lock

Knows keys, rows and files; nothing of what a question is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError, UsageError
from variegate.seeding import digest
from variegate.store.checks import Check, Problems
from variegate.store.entry import read_statement
from variegate.store.files import write_atomic
from variegate.store.formats import FORMAT_FILE, check_format, state_format
from variegate.store.row_lookup import RowLookup
from variegate.store.run_folder import RunFolder
from variegate.store.sealed import seal, unseal
from variegate.store.shelf import Made, Shelf
from variegate.store.verify import Verification

ASKED, ANSWERS, COMPARISONS, VOTES = "asked.json", "answers", "comparisons", "votes"
_MARKS = (ASKED, ANSWERS, COMPARISONS)
_OWN = (FORMAT_FILE, *_MARKS, VOTES, "set-aside", "lock")
_SEAL = "asked_sha256"

Rows = Sequence[Mapping[str, Any]]
Ask = Callable[[Sequence[str], int], Rows]  # keys, and how many questions before them are done -> a row for each, without its key


class AskedFolder:
    """asked: JSON-able, what an answer depends on beside its question. note: told of what is damaged, and what was asked otherwise."""

    def __init__(self, path: Path, asked: Mapping[str, Any], *, note: Callable[[str], None]) -> None:
        self.path, self.asked = path, orjson.loads(orjson.dumps(asked))
        self._shelf, self._note = Shelf(path, on_damage=note), note
        self._used: dict[str, str] = {}  # name -> hash of its rows

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Hold the folder for this process. When the block ends well, asked.json states all that was made in it, and the rest is aside.

        Raises UsageError for a folder of another format, or of other things; StoreError.
        """
        check_format(self.path, [ASKED])
        others = {each.name for each in self.path.iterdir()} - {*_OWN} if self.path.is_dir() else set()
        others = {name for name in others if not name.startswith(".")}
        if others:
            raise UsageError(f"{self.path}: holds other things than a model's votes, such as {min(others)}: choose another folder")
        with RunFolder(self.path).lock(own=_OWN):
            state_format(self.path)
            self._shelf.clear_unfinished()
            self._set_others_aside()
            self._state(self.asked)
            yield
            self._shelf.set_aside({*self._shelf.names()} - {*self._used})
            self._state(self.asked, self._used)

    def made(self, name: str, key: str, make: Callable[[], Rows]) -> list[dict[str, Any]]:
        """Rows of the entry as it is there or was set aside once, else as `make` makes them now. Raises StoreError."""

        def made() -> Made:
            return make(), self.asked

        entry = self._shelf.made(name, key, made)
        self._used[name] = read_statement(entry.path, name)["sha256"]
        return entry.rows()

    def answers(self, parts: Mapping[str, Sequence[str]], chunk: int, ask: Ask) -> dict[str, dict[str, Any]]:
        """Question's key -> its row, of all. parts: folder -> keys; `chunk` of them are an entry, committed as soon as it is answered.

        What was answered in any entry, whatever else was asked there, is not asked again; what failed counts in its own entry alone.
        Raises StoreError; what `ask` raises.
        """
        lookup: RowLookup | None = None
        found: dict[str, dict[str, Any]] = {}

        def rows_of(keys: Sequence[str]) -> Rows:
            nonlocal lookup
            if lookup is None:
                lookup = self._shelf.rows_by_key([ANSWERS, COMPARISONS], keep=lambda row: row.get("error") is None)
            known: dict[str, Mapping[str, Any]] = {**lookup.take(keys)}
            missing = [key for key in keys if key not in known]
            if missing:
                known.update(zip(missing, ask(missing, len(found) + len(known)), strict=True))
            return [{**known[key], "key": key} for key in keys]

        for folder, own in parts.items():
            chunks = {f"{folder}/{first // chunk:06d}": own[first : first + chunk] for first in range(0, len(own), chunk)}
            keys = {name: digest(each, length=32) for name, each in chunks.items()}
            gone = [name for name, key in keys.items() if self._shelf.get(name, key) is None]
            if gone:  # what follows goes first, and comes back: there is a gap at no instant
                self._shelf.set_aside(name for name in self._shelf.names(folder) if name >= gone[0])
            for name, each in chunks.items():
                rows = self.made(name, keys[name], lambda each=each: rows_of(each))  # type: ignore[misc]
                found.update((row["key"], row) for row in rows)
        return found

    def _set_others_aside(self) -> None:
        try:
            then = (_read(self.path) or {"asked": self.asked})["asked"]
        except StoreError as error:
            self._note(f"{error}. It is written anew")
            return
        changed = [name for name in sorted({*self.asked, *then}) if self.asked.get(name) != then.get(name)]
        if changed:
            told = "; ".join(f"{name} was {then.get(name)!r:.60}, and is {self.asked.get(name)!r:.60}" for name in changed[:3])
            self._note(
                f"{self.path}: was asked otherwise before ({told}): those answers are set aside, and come back when it is asked so again"
            )
            self._state(then)
            self._shelf.set_aside(self._shelf.names())

    def _state(self, asked: Mapping[str, Any], entries: Mapping[str, str] | None = None) -> None:
        write_atomic(self.path / ASKED, seal({"asked": asked, "entries": entries}, _SEAL))


def _read(folder: Path) -> dict[str, Any] | None:
    """What asked.json says; None where there is none. Raises StoreError for a damaged one."""
    path = folder / ASKED
    try:
        return unseal(path.read_bytes(), _SEAL) if path.is_file() else None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: {error}") from error


# -- verify ----------------------------------------------------------------------------------------------------


def is_asked(folder: Path) -> bool:
    """Whether `folder` is one of answers, and no run's."""
    return not (folder / "run.yaml").exists() and any((folder / name).exists() for name in _MARKS)


def verify_asked(folder: Path) -> Verification:
    """Check all that can be checked, reading only. Raises UsageError for a folder of another format."""
    check_format(folder, _MARKS)
    shelf, whole, asking = Shelf(folder), Problems(), Problems()
    try:
        stated = _read(folder)
        wrong = None if stated else f"{folder / ASKED}: is missing"
    except StoreError as error:
        stated, wrong = None, str(error)
    for problem in shelf.check():
        whole.add(problem)
    found = {}
    for name in shelf.names():
        try:
            entry = read_statement(folder / name, name)
        except StoreError:
            continue  # told already
        found[name] = entry["sha256"]
        if stated and entry["facts"] != stated["asked"]:
            asking.add(f"{folder / name}: was asked otherwise than {ASKED} states")
    entries: dict[str, str] = (stated or {}).get("entries") or {}
    for name in sorted({*found, *entries} if entries else ()):
        if found.get(name) != entries.get(name):
            wrong_how = "is missing" if name not in found else "has other rows than stated" if name in entries else "is not stated"
            asking.add(f"{folder / name}: {wrong_how}")
    return Verification(
        finished=bool(entries),
        shortfall={},
        checks=(
            Check(f"{ASKED} readable", "FAILED", wrong) if wrong else Check(f"{ASKED} readable", "ok"),
            whole.check("entries whole", f"{len(found)} entries, none missing, each what its entry.json states"),
            asking.check(f"entries as {ASKED} states", "" if entries else "as far as they go: not all was asked yet"),
        ),
    )
