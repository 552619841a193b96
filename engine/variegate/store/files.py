"""Writing files so that a crash leaves the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from variegate.errors import StoreError


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn an operating-system error into one that says what to do."""
    try:
        yield
    except OSError as error:
        hints = {
            errno.ENOSPC: "the disk is full: free some space and run the same command again; finished rounds are kept",
            errno.EDQUOT: "the disk quota is used up: free some space and run the same command again; finished rounds are kept",
            errno.EROFS: "the file system is read-only: choose another folder with `output:` or -o",
            errno.EACCES: "no permission to write there: choose another folder with `output:` or -o",
            errno.EPERM: "not permitted: choose another folder with `output:` or -o",
            errno.EEXIST: "a file stands where a folder is needed: choose another folder with `output:` or -o",
            errno.ENOTDIR: "a part of this path is a file: choose another folder with `output:` or -o",
        }
        raise StoreError(f"{path}: {hints.get(error.errno or 0, f'cannot be written: {error}')}") from error


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def write_atomic(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file through a temporary one in the same folder: fsync, rename, fsync of the folder.

    Raises StoreError when the disk is full, read-only or forbidden; the old file then stands.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(temporary, [data] if isinstance(data, bytes) else data)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` to write into; when the block ends well, it is synced and renamed to `folder`.

    replace: a folder that is there already goes, but only when the new one is complete beside it.
    Raises StoreError for its own work. After any error, the block's too, `folder` is as it was.
    """
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with explained(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
        yield temporary
        with explained(folder):
            _sync_tree(temporary)
            if replace and folder.exists():
                old = temporary.with_name(f"{temporary.name[:-4]}.old.tmp")
                folder.rename(old)
                temporary.rename(folder)
                shutil.rmtree(old)
            else:
                temporary.rename(folder)
            sync_folder(folder.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync_folder(path)  # a file's contents too
    sync_folder(folder)


def commit_folder(folder: Path, files: Mapping[str, bytes | Iterable[bytes]], *, replace: bool = False) -> None:
    """Make `folder` with `files` appear at once: written under a temporary name, synced, renamed. Raises StoreError.

    files: path inside the folder -> its content, whole or in chunks.
    replace: as in `new_folder`.
    """
    with new_folder(folder, replace=replace) as place, explained(folder):
        for name, data in files.items():
            path = place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(path, [data] if isinstance(data, bytes) else data)


def make_folder(path: Path) -> None:
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
