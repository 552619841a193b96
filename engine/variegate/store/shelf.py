"""The one shelf: made once, found by its key, never lost, set aside when the configuration changed.

Two grains: an *entry* (a round, a stage, a score: name and key, restored whole when its key comes back) and a *row* (an answer, an
observation, a vote: found by a key of its own in any entry). Every entry is checked by its hashes before it is used; a damaged one
is named, set aside and not there. Names may hold slashes: `rounds/000007`.

    NAME/rows.jsonl, NAME/entry.json      an entry (see `entry`)
    set-aside/003/NAME/                   one of an earlier configuration: comes back with its key, and its rows are found
    set-aside/004-not-reused/NAME/        one that was asked not to; `-damaged`: one that is not what it states

Knows names, keys, rows and files; nothing of what they are. One process at a time (`RunFolder.lock`).
"""

from __future__ import annotations

import re
import shutil
import uuid
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from variegate.errors import StoreError
from variegate.store.entry import DamagedEntryError, Entry, is_entry, read_entry, read_statement, unstated_files, write_entry
from variegate.store.files import explained, new_folder, sync_folder
from variegate.store.row_lookup import RowLookup

__all__ = ["Entry", "Made", "RowLookup", "Shelf"]

Made = tuple[Iterable[Mapping[str, Any]], Mapping[str, Any]]  # rows, facts

ASIDE = "set-aside"
NOT_REUSED = "-not-reused"
DAMAGED = "-damaged"


def warn(message: str) -> None:
    warnings.warn(message, stacklevel=2)


class Shelf:
    """Entries below the folder `path`. on_damage: told in words of each damaged entry that is met."""

    def __init__(self, path: Path, *, on_damage: Callable[[str], None] = warn) -> None:
        self.path, self.tell = path, on_damage
        self._lookups: weakref.WeakSet[RowLookup] = weakref.WeakSet()
        self._aside: dict[str, Path] = {}  # ending -> the folder that this shelf sets aside to

    # -- entries -----------------------------------------------------------------------------------------------

    def get(self, name: str, key: str | None = None) -> Entry | None:
        """The entry, where it is there, whole, and of this key. A damaged one is named and set aside, and not there. Raises StoreError."""
        path = self._place(name)
        if not is_entry(path):
            return None
        try:
            stated = read_statement(path, name)
            return read_entry(path, stated) if key in (None, stated["key"]) else None
        except DamagedEntryError as error:
            self.set_damaged_aside(name, error)
            return None

    def read(self, name: str) -> Entry | None:
        """The entry, for those who may move nothing: None where there is none. Raises StoreError for a damaged one."""
        path = self._place(name)
        return read_entry(path, read_statement(path, name)) if is_entry(path) else None

    def put(
        self,
        name: str,
        key: str,
        rows: Iterable[Mapping[str, Any]],
        facts: Mapping[str, Any] | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Entry:
        """Make the entry appear at once, whole: written beside its place, synced, renamed. Rows are written as they come.

        facts: JSON-able, kept beside the rows. files: more files of the entry, by name. An entry that stands there is set aside.
        Raises StoreError; the entry is then not there.
        """
        path = self._place(name)
        self._make_parents(path)
        with new_folder(path) as place, explained(path):
            stated = write_entry(place, name, key, rows, facts or {}, files or {})
            if is_entry(path):
                self.set_aside([name])
        return Entry(name, key, stated["facts"], path, stated["num_rows"])

    def made(self, name: str, key: str, make: Callable[[], Made]) -> Entry:
        """The entry as it is there; else as it was set aside once, moved back; else made now. One of another key is set aside."""
        found = self.get(name, key)
        if found is not None:
            return found
        place = self._restorable(name, key)
        if place is None:
            rows, facts = make()
            return self.put(name, key, rows, facts)
        if is_entry(self._place(name)):
            self.set_aside([name])
        self._move(place, self._place(name))
        self._prune(place.parent)
        restored = self.get(name, key)
        if restored is None:
            raise StoreError(f"{self._place(name)}: changed while it was in use: run the same command again")
        return restored

    def set_aside(self, names: Iterable[str], *, reuse: bool = True) -> Path | None:
        """Move entries, or single files, to a folder under set-aside/; returns it, or None where none of them is there.

        Nothing is deleted. The last goes first, so that what stays has no gap at any instant. The folder is a new one, or the one
        that this object made before where nothing of these names lies there.
        reuse: False where neither entries nor rows may be used again.
        """
        return self._set_aside(names, "" if reuse else NOT_REUSED)

    def set_damaged_aside(self, name: str, error: StoreError) -> None:
        """Name and set aside an entry, or a single file, that is not what it states: it is made again."""
        aside = self._set_aside([name], DAMAGED)
        self.tell(f"{error}. It was damaged after it was written: it is set aside in {aside}, and made again")

    def drop(self, names: Iterable[str]) -> None:
        """Delete entries whose rows stand elsewhere: spooled parts that a committed round has taken in."""
        for name in names:
            path = self._place(name)
            if path.is_dir():
                hidden = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")  # half deleted is never seen as damaged
                self._move(path, hidden, forget=True)
                with explained(path):
                    shutil.rmtree(hidden)

    def names(self, prefix: str = "") -> list[str]:
        """Of all entries below the folder `prefix`, or of the one that it is, damaged ones too, numbers by their value: 000999999
        before 1000000."""
        root = self.path / prefix
        entries = [root] if prefix and is_entry(root) else self._entries(root)
        found = (path.relative_to(self.path).as_posix() for path in entries)
        return sorted((name for name in found if not name.startswith(f"{ASIDE}/")), key=_order)

    # -- rows --------------------------------------------------------------------------------------------------

    def rows_by_key(
        self, prefixes: Sequence[str], *, field: str = "key", keep: Callable[[Mapping[str, Any]], bool], key: str | None = None
    ) -> RowLookup:
        """Rows below the folders `prefixes` that `keep` accepts, by their `field`; of two the one not set aside, and then the later.

        key: of entries of this key alone. A damaged entry is skipped, and named. The lookup follows what this shelf moves or drops.
        """
        lookup = RowLookup(field)
        aside = [path for folder in self._aside_folders() for prefix in prefixes for path in self._sorted_entries(folder / prefix)]
        for path in [*aside, *(self._place(name) for prefix in prefixes for name in self.names(prefix))]:
            try:
                stated = read_statement(path, self._name(path))
                if key in (None, stated["key"]):
                    lookup.add(read_entry(path, stated), keep)
            except DamagedEntryError as error:
                self.tell(f"{error}. It was damaged after it was written: its rows are not used")
        self._lookups.add(lookup)
        return lookup

    # -- the whole ---------------------------------------------------------------------------------------------

    def check(self, prefix: str = "") -> Iterator[str]:
        """What is wrong below the folder `prefix`, in words: entries that are not what they state, files of which they say nothing,
        and numbers that are missing where names are numbers. Reads only."""
        numbers: dict[str, list[int]] = {}
        for name in self.names(prefix):
            path = self._place(name)
            folder, _, last = name.rpartition("/")
            if last.isdecimal():
                numbers.setdefault(folder, []).append(int(last))
            try:
                stated = read_statement(path, name)
                read_entry(path, stated)
                yield from (f"{path / each}: is no part of the entry" for each in unstated_files(path, stated))
            except StoreError as error:
                yield str(error)
        for folder, there in numbers.items():
            missing = sorted(set(range(max(there) + 1)) - set(there))
            if missing:
                more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
                yield f"{self.path / folder}: {missing[0]:06d}{more} is missing, and {max(there):06d} is there"

    def clear_unfinished(self) -> None:
        """Remove what a killed process left of entries it was writing or dropping."""
        for path in sorted(self.path.rglob(".*.tmp")):
            if path.exists():  # not inside one that went just now
                with explained(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    # -- places ------------------------------------------------------------------------------------------------

    def _place(self, name: str) -> Path:
        parts = name.split("/")
        if parts[0] == ASIDE or any(not part or part.startswith(".") for part in parts):  # nor can one leave the shelf
            raise ValueError(f"{name!r} cannot be the name of an entry")
        return self.path / name

    def _name(self, place: Path) -> str:
        """Of the entry in the folder `place`, which may be set aside."""
        parts = place.relative_to(self.path).parts
        return "/".join(parts[2:] if parts[0] == ASIDE else parts)

    def _entries(self, folder: Path) -> Iterator[Path]:
        if folder.is_dir():
            for path in folder.iterdir():
                if path.is_dir() and not path.name.startswith("."):
                    if is_entry(path):
                        yield path
                    else:
                        yield from self._entries(path)

    def _sorted_entries(self, folder: Path) -> list[Path]:
        return sorted(self._entries(folder), key=lambda path: _order(path.as_posix()))

    def _aside_folders(self) -> list[Path]:
        """Whose entries may be used again, the oldest first."""
        found = (path for path in (self.path / ASIDE).glob("*") if path.name.isdecimal())
        return sorted(found, key=lambda path: int(path.name))

    def _restorable(self, name: str, key: str) -> Path | None:
        """Where the entry of this name and key was set aside last, whole."""
        for folder in reversed(self._aside_folders()):
            path = folder / name
            if is_entry(path):
                try:
                    stated = read_statement(path, name)
                    if stated["key"] == key:
                        return read_entry(path, stated).path
                except DamagedEntryError as error:
                    self.tell(f"{error}. It was damaged after it was set aside: it is not used")
        return None

    # -- moving ------------------------------------------------------------------------------------------------

    def _set_aside(self, names: Iterable[str], ending: str) -> Path | None:
        there = [path for path in (self._place(name) for name in sorted(set(names), key=_order, reverse=True)) if path.exists()]
        if not there:
            return None
        folder = self._aside.get(ending)
        if folder is None or not folder.is_dir() or any((folder / path.relative_to(self.path)).exists() for path in there):
            found = (re.match(r"\d+", path.name) for path in (self.path / ASIDE).glob("*"))
            folder = self.path / ASIDE / f"{max((int(each[0]) for each in found if each), default=-1) + 1:03d}{ending}"
            self._aside[ending] = folder
        for path in there:
            self._move(path, folder / path.relative_to(self.path), forget=bool(ending))
        return folder

    def _move(self, old: Path, new: Path, *, forget: bool = False) -> None:
        self._make_parents(new)
        with explained(new):
            old.rename(new)
            sync_folder(new.parent)
            if old.parent != new.parent:
                sync_folder(old.parent)
        for lookup in self._lookups:
            lookup.moved(old, None if forget else new)

    def _make_parents(self, path: Path) -> None:
        """The folders above `path`, each synced into the one above it."""
        missing = [each for each in path.parents if not each.exists()]
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            for each in reversed(missing):
                sync_folder(each.parent)

    def _prune(self, folder: Path) -> None:
        """Remove set-aside folders that hold nothing any more."""
        while folder != self.path / ASIDE and not any(folder.iterdir()):
            with explained(folder):
                folder.rmdir()
            folder = folder.parent


def _order(name: str) -> list[tuple[int, int, str]]:
    """Sorts numbers inside names by their value."""
    return [(1, int(part), part) if part.isdecimal() else (0, 0, part) for part in re.split(r"(\d+)", name)]
