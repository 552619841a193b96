"""Writing files so that a crash leaves the old one or the new one, never half of either.

All that Variegate writes goes through here, and what stands at the target is looked at first: only a regular file, or a folder,
is ever replaced or added to. A rename over a device, a pipe, a socket or a link would take it away: as root, the machine's own.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from variegate.errors import StoreError, UsageError

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}


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


# -- what stands at a target -----------------------------------------------------------------------------------


def check_file(path: Path) -> None:
    """Refuse a target where anything but a regular file stands. A link is refused wherever it leads: replacing it would leave
    the file it names as it was, and writing through it could write anywhere.

    Raises UsageError; StoreError where it cannot be looked at.
    """
    _check(path, stat.S_ISREG, "a file")


def check_folder(path: Path) -> None:
    """The same for a folder that is to be written or replaced as a whole."""
    _check(path, stat.S_ISDIR, "a folder")


def _check(path: Path, fits: Callable[[int], bool], wanted: str) -> None:
    with explained(path):
        try:
            mode = path.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):  # the latter is for the writing to explain
            return
        if stat.S_ISLNK(mode):
            raise UsageError(
                f"{path}: is a link to {path.readlink()}, and a link is neither replaced nor followed: name {wanted} itself, or delete the link"
            )
    if not fits(mode):
        found = _KINDS.get(stat.S_IFMT(mode), "a file")
        raise UsageError(f"{path}: is {found}, and {wanted} is to be written there: choose another name")


def check_inside(root: Path, path: Path) -> None:
    """Refuse a path below `root` on whose way a link leads out of it; `root` itself may be one. Raises UsageError."""
    place = path
    while place not in (root, place.parent):
        if place.is_symlink() and not place.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{place}: is a link that leads out of {root}, to {place.readlink()}: put a folder or a file in its place")
        place = place.parent


def open_appending(path: Path, *, buffering: int = 0) -> BinaryIO:
    """Open a regular file to read and to append to, made where it is not there. Unbuffered, closing it cannot fail on a full disk,
    and a write can be short.

    Raises UsageError and StoreError as `check_file`; OSError.
    """
    check_file(path)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    return os.fdopen(descriptor, "a+b", buffering=buffering)


# -- writing ---------------------------------------------------------------------------------------------------


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _synced(path: Path) -> Iterator[BinaryIO]:
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _chunks(data: bytes | Iterable[bytes]) -> Iterable[bytes]:
    return [data] if isinstance(data, bytes) else data


def write_atomic(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file through a temporary one in the same folder: fsync, rename, fsync of the folder.

    Raises UsageError as `check_file`, StoreError when the disk is full, read-only or forbidden; the old file then stands.
    """
    with new_file(path) as file:
        file.writelines(_chunks(data))


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Gives a temporary file beside `path` to write into; when the block ends well, it is synced and renamed to `path`.

    Raises UsageError as `check_file`, StoreError as `write_atomic`. After any error, the block's too, `path` is as it was.
    """
    check_file(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with _synced(temporary) as file:
                yield file
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


@contextmanager
def new_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Gives a temporary folder beside `folder` to write into; when the block ends well, it is synced and renamed to `folder`.

    replace: a folder that is there already goes, but only when the new one is complete beside it.
    Raises UsageError as `check_folder`, StoreError for its own work. After any error, the block's too, `folder` is as it was.
    """
    check_folder(folder)
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
            with _synced(path) as file:
                file.writelines(_chunks(data))


def make_folder(path: Path) -> None:
    """Make a folder to add to, unless it is there; a link to a folder is one. Raises UsageError, StoreError."""
    for place in (path, *path.parents):  # the first that is there says whether there can be a folder
        if os.path.lexists(place):
            if not place.is_dir():
                check_folder(place)
            break
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
