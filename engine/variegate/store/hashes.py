"""A folder that states the hash of every file in it, so that those who read it later notice what was damaged.

    hashes.json      file -> SHA-256; sealed, and written last

Of a folder below that states its own, the statement alone is stated. Knows nothing of what the files are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from variegate.errors import StoreError
from variegate.store.files import sha256_of, write_atomic
from variegate.store.formats import FORMAT
from variegate.store.sealed import seal, unseal

HASHES = "hashes.json"
_SEAL = "hashes_sha256"


def write_hashes(folder: Path) -> None:
    """Raises StoreError; OSError where a file cannot be read."""
    files = {name: sha256_of(folder / name) for name in _own_files(folder)}
    write_atomic(folder / HASHES, seal({"format": FORMAT, "files": files}, _SEAL))


def read_hashes(folder: Path, *, again: str) -> dict[str, str]:
    """File -> SHA-256, each seen to hold. again: what to do about damage. Raises StoreError for the first that is damaged."""
    try:
        stated = _stated(folder)
    except StoreError as error:
        raise StoreError(f"{error}: {again}") from error
    for problem in _damaged(folder, stated):
        raise StoreError(f"{problem}: it was damaged after it was written: {again}")
    return stated


def damage_in(folder: Path) -> Iterator[str]:
    """What is wrong here and in folders below that state their own, in words; files of which nothing is stated too."""
    try:
        stated = _stated(folder)
    except StoreError as error:
        yield str(error)
        return
    yield from _damaged(folder, stated)
    for name in _own_files(folder):
        if name not in stated:
            yield f"{folder / name}: is no part of it"
    for name in stated:
        inner = (folder / name).parent
        if inner != folder and name.endswith(HASHES):
            yield from damage_in(inner)


def _stated(folder: Path) -> dict[str, str]:
    path = folder / HASHES
    try:
        stated = unseal(path.read_bytes(), _SEAL)
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path}: {error}") from error
    if stated["format"] != FORMAT:
        raise StoreError(f"{path}: is of format {stated['format']}, not {FORMAT}")
    files: dict[str, str] = stated["files"]
    return files


def _damaged(folder: Path, stated: dict[str, str]) -> Iterator[str]:
    for name, digest in stated.items():
        path = folder / name
        try:
            if sha256_of(path) != digest:
                yield f"{path}: is not what {HASHES} states"
        except OSError as error:
            yield f"{path}: cannot be read: {error.strerror}"


def _own_files(folder: Path) -> list[str]:
    """Names of visible files below, this folder's statement aside; of a folder that states its own that statement alone."""
    found = []
    for path in sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.name != HASHES):
        if not path.is_dir():
            found.append(path.name)
        elif (path / HASHES).exists():
            found.append(f"{path.name}/{HASHES}")
        else:
            found += [f"{path.name}/{name}" for name in _own_files(path)]
    return found
