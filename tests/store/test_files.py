"""Atomic writing: the old file or the new one, never half; errors of the operating system say what to do."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import StoreError, UsageError
from variegate.store import files
from variegate.store.files import commit_folder, make_folder, new_folder, sha256_of, write_atomic


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_bytes_and_chunks_and_makes_folders(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a" / "b.txt", b"whole")
    write_atomic(tmp_path / "a" / "c.txt", iter([b"in ", b"parts"]))
    assert (tmp_path / "a" / "b.txt").read_bytes() == b"whole"
    assert (tmp_path / "a" / "c.txt").read_bytes() == b"in parts"
    assert names(tmp_path / "a") == ["b.txt", "c.txt"]


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "records.jsonl"
    write_atomic(target, b"old")

    def broken() -> Iterator[bytes]:
        yield b"half of the new"
        raise StoreError("the source broke")

    with pytest.raises(StoreError, match="the source broke"):
        write_atomic(target, broken())
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["records.jsonl"]


def test_disk_full_keeps_the_old_file_and_leaves_nothing_behind(tiny_disk: Path) -> None:
    target = tiny_disk / "file"
    write_atomic(target, b"old")
    with pytest.raises(StoreError, match=r"disk is full: free some space and run the same command again"):
        write_atomic(target, (b"x" * 4096 for _ in range(1000)))
    assert target.read_bytes() == b"old"
    assert names(tiny_disk) == ["file"]


def test_disk_full_in_a_folder_commit(tiny_disk: Path) -> None:
    commit_folder(tiny_disk / "000000", {"a": b"small"})
    with pytest.raises(StoreError, match="disk is full"):
        commit_folder(tiny_disk / "000001", {"a": b"small", "b": b"x" * 1_000_000})
    assert names(tiny_disk) == ["000000"]


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "disk is full"), (errno.EDQUOT, "quota"), (errno.EIO, "cannot be written")])
def test_every_kind_of_error_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(files.os, "fsync", refuse)
    with pytest.raises(StoreError, match=words):
        write_atomic(tmp_path / "file", b"new")
    assert names(tmp_path) == []


def test_read_only_file_system(tiny_disk: Path) -> None:
    if subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], capture_output=True, check=False).returncode:
        pytest.skip("cannot remount read-only")
    with pytest.raises(StoreError, match=r"read-only: choose another folder"):
        write_atomic(tiny_disk / "file", b"new")
    with pytest.raises(StoreError, match=r"choose another folder"):
        make_folder(tiny_disk / "run")
    with pytest.raises(StoreError, match=r"choose another folder"):
        make_folder(tiny_disk)


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (
        lambda: write_atomic(tmp_path / "file" / "x", b""),
        lambda: commit_folder(tmp_path / "file" / "x", {}),
    ):
        with pytest.raises(StoreError, match="choose another folder"):
            attempt()
    for place in (tmp_path / "file", tmp_path / "file" / "x" / "y"):
        with pytest.raises(UsageError, match="file: is a file, and a folder is to be written there: choose another name"):
            make_folder(place)


def test_a_folder_appears_whole_and_is_never_overwritten(tmp_path: Path) -> None:
    commit_folder(tmp_path / "x", {"a": b"1", "deep/er/b": iter([b"2", b"3"])})
    assert (tmp_path / "x" / "deep" / "er" / "b").read_bytes() == b"23"
    with pytest.raises(StoreError):
        commit_folder(tmp_path / "x", {"a": b"other"})
    assert (tmp_path / "x" / "a").read_bytes() == b"1"
    assert names(tmp_path) == ["x"]


def test_replace_takes_the_old_folder_away_only_when_the_new_one_is_whole(tmp_path: Path) -> None:
    commit_folder(tmp_path / "x", {"old": b"1"})

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise StoreError("the source broke")

    with pytest.raises(StoreError, match="broke"):
        commit_folder(tmp_path / "x", {"new": broken()}, replace=True)
    assert names(tmp_path / "x") == ["old"]
    commit_folder(tmp_path / "x", {"new": b"2"}, replace=True)
    assert names(tmp_path / "x") == ["new"]
    assert names(tmp_path) == ["x"]


def test_sha256_agrees_with_hashlib(tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    (tmp_path / "x").write_bytes(data)
    assert sha256_of(tmp_path / "x") == hashlib.sha256(data).hexdigest()


def test_a_new_folder_appears_when_its_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "x"
    with new_folder(target) as place:
        (place / "inside").mkdir()
        (place / "inside" / "a").write_text("1")
        assert not target.exists()
    assert (target / "inside" / "a").read_text() == "1"

    def fail() -> None:
        with new_folder(target, replace=True) as place:
            (place / "a").write_text("2")
            raise KeyError("the block's own")

    with pytest.raises(KeyError):
        fail()
    with pytest.raises(StoreError), new_folder(target) as place:  # is there, and was not to be replaced
        (place / "a").write_text("2")
    assert (target / "inside" / "a").read_text() == "1"
    with new_folder(target, replace=True) as place:
        (place / "b").write_text("2")
    assert [each.name for each in target.iterdir()] == ["b"]
    assert [each.name for each in target.parent.iterdir()] == ["x"]


# -- what a power failure leaves -------------------------------------------------------------------------------


class Disk:
    """Follows syncs and renames, and tells what a power failure could lose. A sync of a file makes its content certain, one of a
    folder the names in it; a rename makes nothing certain."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.lost: list[str] = []
        self._synced: set[int] = set()  # inodes
        self._names: set[Path] = set()  # folders in which a name changed since their sync
        self._old: set[int] = set()
        self._fsync = os.fsync
        patch.setattr(os, "fsync", self._sync)
        for name in ("rename", "replace"):
            patch.setattr(os, name, self._moving(getattr(os, name)))

    def watch(self, folder: Path, work: Callable[[], object]) -> list[str]:
        """What could be lost of `work`, below `folder`; all that is there before is safe."""
        self.lost, self._names, self._synced = [], set(), set()
        self._old = {path.stat().st_ino for path in folder.rglob("*")}
        work()
        return self.lost + [f"a name in {each.name}" for each in sorted(self._names)]

    def _sync(self, descriptor: int) -> None:
        self._fsync(descriptor)
        self._synced.add(os.fstat(descriptor).st_ino)
        self._names.discard(Path(f"/proc/self/fd/{descriptor}").readlink())

    def _moving(self, move: Callable[..., None]) -> Callable[..., None]:
        def moved(source: Any, target: Any, **more: Any) -> None:
            for path in (Path(source), *Path(source).rglob("*")):
                if path.stat().st_ino not in self._synced | self._old:
                    self.lost.append(f"{path.name} renamed before it was synced")
            move(source, target, **more)
            self._names |= {Path(source).parent.resolve(), Path(target).parent.resolve()}

        return moved


WRITES: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: write_atomic(place / "new", b"content"),
    "a file in parts": lambda place: write_atomic(place / "new", iter([b"con", b"tent"])),
    "over a file": lambda place: write_atomic(place / "file", b"content"),
    "a folder": lambda place: commit_folder(place / "new", {"a": b"1", "deep/er/b": b"2"}),
    "over a folder": lambda place: commit_folder(place / "folder", {"a": b"1", "deep/er/b": b"2"}, replace=True),
}


@pytest.mark.parametrize("what", WRITES)
def test_a_power_failure_right_after_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    write_atomic(tmp_path / "file", b"old")
    commit_folder(tmp_path / "folder", {"old": b"old"})
    assert Disk(monkeypatch).watch(tmp_path, lambda: WRITES[what](tmp_path)) == []


def test_the_disk_tells_careless_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless() -> None:
        (tmp_path / "a").write_text("x")
        (tmp_path / "a").rename(tmp_path / "b")

    assert Disk(monkeypatch).watch(tmp_path, careless) == ["a renamed before it was synced", f"a name in {tmp_path.name}"]
