"""Vectors on disk, one folder per model and precision, found again by a hash of their text. Knows nothing of models.

    vectors.f32   rows of float32, little-endian, only ever appended to
    index         one block per commit: a header, the texts' hashes, checksums
    lock          held while a block is appended

A commit writes and syncs the vectors first, then its index block, so a process killed at any instant leaves at most vectors
without a block, or the beginning of a block: both are ignored, and cut off by the next commit. Several processes may read
and write one folder at a time. Every block carries checksums of its entries and of its vectors, and no vector is returned
before its block's checksum was seen to hold.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int, UInt64

from variegate.embeddings.location import cache_errors
from variegate.errors import StoreError
from variegate.store.files import open_appending, sync_folder

_MAGIC = b"VGVECT01"
_HEADER = struct.Struct("<8sQIII")  # magic, first row, rows, crc of the vectors, crc of the entries
_CHECKED = struct.Struct("<I")  # crc of the header
_HEAD_BYTES = _HEADER.size + _CHECKED.size
# A text's hash, and whether it was longer than the model reads.
_ENTRY = np.dtype([("key", "<u8", (2,)), ("truncated", "u1")])


@dataclass(frozen=True, slots=True)
class _Block:
    first: int  # row
    rows: int
    checksum: int  # crc32 of its vectors


class VectorStore:
    """The vectors of one model at one precision. width: floats in a row.

    A folder that is not there yet reads as an empty one; the first `append` makes it. Raises StoreError when the folder
    cannot be written, or is damaged.
    """

    def __init__(self, folder: Path, width: int) -> None:
        self._folder, self._width = folder, width
        self._vectors, self._index, self._lock = folder / "vectors.f32", folder / "index", folder / "lock"
        self._blocks: list[_Block] = []
        self._verified: set[int] = set()  # blocks whose vectors were checked
        self._parts: list[np.ndarray] = []  # entries, block by block
        self._entries = np.empty(0, dtype=_ENTRY)
        self._order: Int[np.ndarray, " n"] = np.empty(0, dtype=np.int64)  # rows in the order of their keys' first halves
        self._end = 0  # bytes of the index that hold whole blocks

    # -- reading -----------------------------------------------------------------------------------------------

    @property
    def num_rows(self) -> int:
        return self._blocks[-1].first + self._blocks[-1].rows if self._blocks else 0

    def find(self, keys: UInt64[np.ndarray, "n 2"]) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """The row of each text, -1 where it is not here, and whether the text was truncated."""
        if self._lock.is_file():
            with cache_errors(self._lock), self._lock.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
                self._refresh()
        return self._look_up(keys)

    def _look_up(self, keys: UInt64[np.ndarray, "n 2"]) -> tuple[Int[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        if self._parts:
            self._entries = np.concatenate([self._entries, *self._parts])
            self._parts.clear()
            self._order = np.argsort(self._entries["key"][:, 0], kind="stable")
        stored, rows = self._entries["key"], np.full(len(keys), -1, dtype=np.int64)
        place = np.searchsorted(stored[self._order, 0], keys[:, 0]) if len(stored) else np.zeros(len(keys), dtype=np.int64)
        open_ = np.flatnonzero(place < len(stored))
        while len(open_):  # one turn, but for keys that share their first half
            row = self._order[place[open_]]
            same = stored[row, 0] == keys[open_, 0]
            found = same & (stored[row, 1] == keys[open_, 1])
            rows[open_[found]] = row[found]
            place[open_] += 1
            open_ = open_[same & ~found & (place[open_] < len(stored))]
        truncated = np.zeros(len(keys), dtype=bool)
        truncated[rows >= 0] = self._entries["truncated"][rows[rows >= 0]] != 0
        return rows, truncated

    def read(self, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        """These rows' vectors: mapped from the file (privately: writing to them changes no file) when they are consecutive, else copied."""
        with cache_errors(self._vectors):
            mapped = np.memmap(self._vectors, dtype="<f4", mode="c", shape=(self.num_rows, self._width))
        starts = np.array([block.first for block in self._blocks])
        for number in np.unique(np.searchsorted(starts, rows, side="right") - 1).tolist():
            block = self._blocks[number]
            if number not in self._verified and zlib.crc32(mapped[block.first : block.first + block.rows].data) != block.checksum:
                raise self._damaged(f"rows {block.first} to {block.first + block.rows - 1} of vectors.f32 do not fit their checksum")
            self._verified.add(number)
        if len(rows) and np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
            return mapped[rows[0] : rows[0] + len(rows)]
        return np.asarray(mapped[rows])

    def _refresh(self) -> None:
        """Read the blocks that were added since the last time, by this process or another. The lock is held."""
        with cache_errors(self._index):
            if self._index.is_file() and self._index.stat().st_size >= self._end:
                with self._index.open("rb") as file:
                    file.seek(self._end)
                    data = file.read()
            elif self._end:
                raise StoreError(f"embedding cache {self._folder} was deleted or cut while it was in use: run the same command again")
            else:
                return
        place = 0
        while place + _HEAD_BYTES <= len(data):
            magic, first, rows, vectors_crc, entries_crc = _HEADER.unpack_from(data, place)
            (header_crc,) = _CHECKED.unpack_from(data, place + _HEADER.size)
            if not any(data[place:]):  # a file that grew before its bytes arrived, at a power failure
                break
            if magic != _MAGIC or header_crc != zlib.crc32(data[place : place + _HEADER.size]) or first != self.num_rows or not rows:
                raise self._damaged(f"no block begins at byte {self._end + place} of index")
            stop = place + _HEAD_BYTES + rows * _ENTRY.itemsize
            entries = data[place + _HEAD_BYTES : stop]
            if len(entries) < rows * _ENTRY.itemsize:
                break  # the beginning of a block: its process was killed
            if zlib.crc32(entries) != entries_crc:
                raise self._damaged(f"the block at byte {self._end + place} of index does not fit its checksum")
            self._parts.append(np.frombuffer(entries, dtype=_ENTRY))
            self._blocks.append(_Block(first, rows, vectors_crc))
            place = stop
        self._end += place
        needed = self.num_rows * self._width * 4
        if place and (not self._vectors.is_file() or self._vectors.stat().st_size < needed):
            raise self._damaged(f"vectors.f32 is shorter than the {needed:,} bytes that index names")

    def _damaged(self, what: str) -> StoreError:
        return StoreError(
            f"embedding cache {self._folder} is damaged: {what}. Delete that folder and run again: its texts are then encoded anew"
        )

    # -- writing -----------------------------------------------------------------------------------------------

    def prepare(self, num_rows: int) -> None:
        """Find out before the work that `num_rows` can be stored. Raises StoreError."""
        with cache_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            open_appending(self._lock).close()
            if shutil.disk_usage(self._folder).free < num_rows * (self._width * 4 + _ENTRY.itemsize):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def append(
        self, keys: UInt64[np.ndarray, "n 2"], vectors: Float[np.ndarray, "n d"], truncated: Bool[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        """Commit vectors under their texts' hashes; returns their rows. What another process stored meanwhile is not stored again."""
        with cache_errors(self._folder), open_appending(self._lock) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the file, also when the process is killed
            before = self._end
            self._refresh()
            rows = self._look_up(keys)[0] if self._end != before else np.full(len(keys), -1, dtype=np.int64)
            new = np.flatnonzero(rows < 0)
            if not len(new):
                return rows
            first = self.num_rows
            data = np.ascontiguousarray(vectors[new], dtype="<f4")
            entries = np.empty(len(new), dtype=_ENTRY)
            entries["key"], entries["truncated"] = keys[new], truncated[new]
            header = _HEADER.pack(_MAGIC, first, len(new), zlib.crc32(data.data), zlib.crc32(entries.tobytes()))
            _write_at(self._vectors, first * self._width * 4, data.data)
            _write_at(self._index, self._end, header + _CHECKED.pack(zlib.crc32(header)) + entries.tobytes())
            if first == 0:
                sync_folder(self._folder)
            self._refresh()
        rows[new] = np.arange(first, first + len(new))
        return rows


class Scratch:
    """A VectorStore's methods in memory, for one call without a cache."""

    def __init__(self, num_rows: int, width: int) -> None:
        self._vectors = np.empty((num_rows, width), dtype=np.float32)
        self._num_rows = 0

    def append(
        self, keys: UInt64[np.ndarray, "n 2"], vectors: Float[np.ndarray, "n d"], truncated: Bool[np.ndarray, " n"]
    ) -> Int[np.ndarray, " n"]:
        rows = np.arange(self._num_rows, self._num_rows + len(vectors))
        self._vectors[rows[0] : rows[-1] + 1] = vectors
        self._num_rows += len(vectors)
        return rows

    def read(self, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
        return self._vectors if np.array_equal(rows, np.arange(len(self._vectors))) else self._vectors[rows]


def _write_at(path: Path, offset: int, data: bytes | memoryview) -> None:
    """Write after the first `offset` bytes, and nothing may follow: what a killed process left there goes."""
    with open_appending(path, buffering=-1) as file:
        file.truncate(offset)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
