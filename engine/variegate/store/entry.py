"""A committed entry of a shelf: a folder with rows, what its maker said of them, and the hashes of both.

    rows.jsonl      one JSON object a line
    entry.json      name, key, facts, the hash of every file here, and the hash of all that it says itself

An entry is read only when its own name, its hashes and the number of its rows hold, so that a file that was cut, changed by one bit,
taken away, copied to another name or swapped with a neighbour's is noticed. Knows nothing of what rows and keys mean.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from variegate.errors import StoreError
from variegate.store.files import sha256_of
from variegate.store.formats import FORMAT
from variegate.store.sealed import seal, unseal

ROWS = "rows.jsonl"
ENTRY = "entry.json"
_SEAL = "entry_sha256"


class DamagedEntryError(StoreError):
    """An entry is not what it states."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What stood on the shelf, whole, when it was looked for. path: its folder."""

    name: str
    key: str  # hash of everything that its rows depend on
    facts: Mapping[str, Any]
    path: Path
    num_rows: int

    def lines(self) -> Iterator[bytes]:
        """Each row as its line of JSON, with the line end. Raises StoreError."""
        path = self.path / ROWS
        with _reading(path), path.open("rb") as file:
            yield from file

    def rows(self) -> list[dict[str, Any]]:
        """Raises StoreError."""
        return [orjson.loads(line) for line in self.lines()]


def is_entry(path: Path) -> bool:
    """Whether an entry stands, or stood, in `path`. An empty folder is none, nor is one that holds nothing but folders."""
    if not path.is_dir():
        return path.exists()
    if (path / ENTRY).exists() or (path / ROWS).exists():
        return True
    shown = [each for each in path.iterdir() if not each.name.startswith(".")]
    return bool(shown) and not any(each.is_dir() for each in shown)


def read_statement(path: Path, name: str) -> dict[str, Any]:
    """entry.json of the entry `name` in the folder `path`, by itself: its files have not been looked at. Raises DamagedEntryError, StoreError."""
    file = path / ENTRY
    if not path.is_dir():
        raise DamagedEntryError(f"{path}: a file stands where an entry's folder is expected")
    with _reading(file):
        data = file.read_bytes()
    try:
        stated = unseal(data, _SEAL)
    except ValueError as error:
        raise DamagedEntryError(f"{file}: {error}") from error
    if stated["format"] != FORMAT:
        raise DamagedEntryError(f"{file}: is of format {stated['format']}, not {FORMAT}")
    if stated["name"] != name:
        raise DamagedEntryError(f"{file}: states the name {stated['name']!r}, and stands at {name!r}")
    return stated


def read_entry(path: Path, stated: Mapping[str, Any]) -> Entry:
    """The entry with the statement `stated`, its files checked. Raises DamagedEntryError, StoreError."""
    for name, digest in {ROWS: stated["sha256"], **stated["files"]}.items():
        with _reading(path / name):
            if sha256_of(path / name) != digest:
                raise DamagedEntryError(f"{path / name}: is not what {ENTRY} states")
    return Entry(stated["name"], stated["key"], stated["facts"], path, stated["num_rows"])


def unstated_files(path: Path, stated: Mapping[str, Any]) -> list[str]:
    """Names in the folder, hidden ones aside, of which entry.json says nothing."""
    return sorted({each.name for each in path.iterdir() if not each.name.startswith(".")} - {ROWS, ENTRY, *stated["files"]})


def write_entry(
    place: Path, name: str, key: str, rows: Iterable[Mapping[str, Any]], facts: Mapping[str, Any], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """Write the entry's files into the new folder `place`, rows as they come; returns what entry.json states. Syncs nothing."""
    wrong = [each for each in files if "/" in each or each.startswith(".") or each in (ROWS, ENTRY)]
    if wrong:
        raise ValueError(f"an entry cannot hold a file named {wrong[0]!r}")
    whole, num_rows = hashlib.sha256(), 0
    with (place / ROWS).open("wb") as file:
        for row in rows:
            line = orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n"
            whole.update(line)
            file.write(line)
            num_rows += 1
    for each, data in files.items():
        (place / each).write_bytes(data)
    stated = {
        "format": FORMAT,
        "name": name,
        "key": key,
        "sha256": whole.hexdigest(),
        "num_rows": num_rows,
        "files": {each: hashlib.sha256(data).hexdigest() for each, data in files.items()},
        "facts": facts,
    }
    sealed = seal(stated, _SEAL)
    (place / ENTRY).write_bytes(sealed)
    return unseal(sealed, _SEAL)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """A file that is not there is damage; one that cannot be read (rights, a broken disk) is not, and nothing is set aside for it."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise DamagedEntryError(f"{path}: is missing") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
