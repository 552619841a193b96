"""The store of vectors against a dictionary, through kills, damage, full disks and a second process."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.processes import start_python
from variegate.embeddings.cache import Scratch, VectorStore
from variegate.embeddings.location import default_cache
from variegate.embeddings.texts import hash_texts
from variegate.errors import StoreError

WIDTH = 8


def names(start: int, stop: int) -> list[str]:
    return [f"text {number}" for number in range(start, stop)]


def vectors_of(texts: list[str]) -> np.ndarray:
    """What is stored for these texts in every test: a function of the text."""
    return np.stack([np.random.default_rng(list(text.encode())).standard_normal(WIDTH, dtype=np.float32) for text in texts])


def add(store: VectorStore, start: int, stop: int) -> np.ndarray:
    texts = names(start, stop)
    return store.append(hash_texts(texts), vectors_of(texts), np.array([number % 7 == 0 for number in range(start, stop)]))


def check(folder: Path, start: int, stop: int) -> int:
    """Everything found is right; returns how many were found."""
    store, texts = VectorStore(folder, WIDTH), names(start, stop)
    rows, truncated = store.find(hash_texts(texts))
    found = np.flatnonzero(rows >= 0)
    if len(found):
        np.testing.assert_array_equal(store.read(rows[found]), vectors_of([texts[i] for i in found]))
        assert truncated[found].tolist() == [(start + int(i)) % 7 == 0 for i in found]
    return len(found)


def filled(folder: Path, blocks: int = 3, size: int = 5) -> VectorStore:
    store = VectorStore(folder, WIDTH)
    store.prepare(blocks * size)
    for block in range(blocks):
        add(store, block * size, block * size + size)
    return store


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_agrees_with_a_dictionary(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("cache") / "store"
    store, known = VectorStore(folder, WIDTH), set()
    store.prepare(1)
    for _ in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans()):
            store = VectorStore(folder, WIDTH)
        batch = data.draw(st.lists(st.integers(0, 40), min_size=1, unique=True))
        batch = [number for number in batch if number not in known]
        texts = [f"text {number}" for number in batch]
        if batch:
            rows = store.append(hash_texts(texts), vectors_of(texts), np.zeros(len(batch), dtype=bool))
            np.testing.assert_array_equal(store.read(rows), vectors_of(texts))
        known.update(batch)
        asked = data.draw(st.lists(st.integers(0, 50), min_size=1))
        rows, _ = store.find(hash_texts([f"text {number}" for number in asked]))
        assert [row >= 0 for row in rows] == [number in known for number in asked]
        held = [number for number in asked if number in known]
        if held:
            np.testing.assert_array_equal(store.read(rows[rows >= 0]), vectors_of([f"text {number}" for number in held]))


def test_consecutive_rows_are_mapped_and_the_file_is_safe_from_writers(tmp_path: Path) -> None:
    filled(tmp_path)
    store = VectorStore(tmp_path, WIDTH)
    rows, _ = store.find(hash_texts(names(2, 13)))
    vectors = store.read(rows)
    assert isinstance(vectors, np.memmap)
    vectors[:] = 0
    assert check(tmp_path, 0, 15) == 15
    assert not isinstance(store.read(rows[::-1]), np.memmap)


def test_keys_that_share_their_first_half(tmp_path: Path) -> None:
    keys = np.array([[5, 1], [5, 2], [4, 1], [5, 3], [2**64 - 1, 0]], dtype=np.uint64)
    vectors = np.arange(5 * WIDTH, dtype=np.float32).reshape(5, WIDTH)
    store = VectorStore(tmp_path, WIDTH)
    store.append(keys, vectors, np.zeros(5, dtype=bool))
    wanted = np.array([[5, 3], [5, 4], [5, 1], [2**64 - 1, 0], [2**64 - 1, 1], [0, 0], [5, 2]], dtype=np.uint64)
    assert store.find(wanted)[0].tolist() == [3, -1, 0, 4, -1, -1, 1]


def test_a_second_process_sees_what_the_first_stored_and_stores_no_text_twice(tmp_path: Path) -> None:
    one, two = filled(tmp_path, blocks=1), VectorStore(tmp_path, WIDTH)
    add(two, 5, 10)
    rows = add(one, 3, 12)  # 3 .. 9 are there, five of them without `one` knowing
    assert one.num_rows == 12
    np.testing.assert_array_equal(one.read(rows), vectors_of(names(3, 12)))
    assert check(tmp_path, 0, 12) == 12
    assert len(add(two, 0, 12)) == 12
    assert two.num_rows == 12


# -- kills ---------------------------------------------------------------------------------------------------------


def test_every_state_a_kill_can_leave_is_read_and_mended(tmp_path: Path) -> None:
    """Vectors come first, then the block: cut the index at every byte, and the vectors anywhere behind the last whole block."""
    filled(tmp_path / "whole")
    sizes = []
    for blocks in range(4):
        shutil.rmtree(tmp_path / "part", ignore_errors=True)
        filled(tmp_path / "part", blocks=blocks)
        sizes.append((tmp_path / "part" / "index").stat().st_size if blocks else 0)
    index, vectors = (tmp_path / "whole" / name for name in ("index", "vectors.f32"))
    index_bytes, vector_bytes = index.read_bytes(), vectors.read_bytes()
    assert len(index_bytes) == sizes[3]
    rng = random.Random(0)
    for cut in range(len(index_bytes)):
        whole = sum(size <= cut for size in sizes[1:])
        index.write_bytes(index_bytes[:cut])
        vectors.write_bytes(vector_bytes[: rng.randint(whole * 5 * WIDTH * 4, len(vector_bytes))])
        assert check(tmp_path / "whole", 0, 15) == whole * 5
        if cut % 7 == 0:
            add(VectorStore(tmp_path / "whole", WIDTH), 0, 15)
            assert check(tmp_path / "whole", 0, 15) == 15


def test_a_tail_of_zeros_is_ignored(tmp_path: Path) -> None:
    """What a file system may leave after a power failure: the length, not yet the bytes."""
    filled(tmp_path)
    with (tmp_path / "index").open("ab") as file:
        file.write(bytes(300))
    assert check(tmp_path, 0, 15) == 15
    add(VectorStore(tmp_path, WIDTH), 15, 20)
    assert check(tmp_path, 0, 20) == 20


WRITER = """
from tests.embeddings.test_cache import WIDTH, VectorStore, add
from pathlib import Path
store = VectorStore(Path({folder!r}), WIDTH)
store.prepare(1)
print("ready", flush=True)
for start in range(0, 200_000, 50):
    add(store, start, start + 50)
"""


def start_writer(folder: Path) -> subprocess.Popen[str]:
    return start_python(WRITER.format(folder=str(folder)), ready="ready")


@pytest.mark.slow
def test_killed_writers(tmp_path: Path) -> None:
    """Two processes write the same texts and are killed, three times over."""
    found = 0
    for wait in (0.05, 0.11, 0.17):
        writers = [start_writer(tmp_path) for _ in range(2)]
        time.sleep(wait)
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        before, found = found, check(tmp_path, 0, 20_000)
        assert found >= before
    assert found > 0
    assert VectorStore(tmp_path, WIDTH).find(hash_texts(["x"]))[0].tolist() == [-1]


# -- damage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["index", "vectors.f32"])
def test_every_flipped_byte_is_noticed(tmp_path: Path, name: str) -> None:
    filled(tmp_path)
    path = tmp_path / name
    data = path.read_bytes()
    for place in range(0, len(data), 3):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        with pytest.raises(StoreError, match=r"is damaged: .*Delete that folder and run again"):
            check(tmp_path, 0, 15)


def test_lost_vectors_are_noticed(tmp_path: Path) -> None:
    filled(tmp_path)
    with (tmp_path / "vectors.f32").open("rb+") as file:
        file.truncate(100)
    with pytest.raises(StoreError, match=r"vectors.f32 is shorter than the 480 bytes"):
        check(tmp_path, 0, 15)
    (tmp_path / "vectors.f32").unlink()
    with pytest.raises(StoreError, match="is damaged"):
        check(tmp_path, 0, 15)


def test_a_folder_deleted_while_it_is_in_use(tmp_path: Path) -> None:
    store = filled(tmp_path / "x")
    shutil.rmtree(tmp_path / "x")
    with pytest.raises(StoreError, match=r"no such file|No such file"):
        add(store, 15, 20)
    store.prepare(1)
    with pytest.raises(StoreError, match="deleted or cut while it was in use: run the same command again"):
        add(store, 15, 20)


# -- places that cannot be written ----------------------------------------------------------------------------------


def test_a_full_disk_is_seen_before_the_work(tiny_disk: Path) -> None:
    with pytest.raises(StoreError, match=r"disk is full: free some space .*VARIEGATE_CACHE"):
        VectorStore(tiny_disk / "x", WIDTH).prepare(10_000)


def test_a_disk_that_fills_keeps_what_was_committed(tiny_disk: Path, fill_disk: Callable[[], None]) -> None:
    store = filled(tiny_disk / "x")
    fill_disk()
    with pytest.raises(StoreError, match="disk is full"):
        add(store, 15, 2000)
    assert check(tiny_disk / "x", 0, 2000) == 15
    (tiny_disk / "filler").unlink()
    add(VectorStore(tiny_disk / "x", WIDTH), 15, 1000)
    assert check(tiny_disk / "x", 0, 2000) == 1000


def test_a_read_only_cache_answers_but_takes_nothing(tiny_disk: Path) -> None:
    filled(tiny_disk / "x")
    if subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], capture_output=True, check=False).returncode:
        pytest.skip("cannot remount read-only")
    assert check(tiny_disk / "x", 0, 15) == 15
    store = VectorStore(tiny_disk / "x", WIDTH)
    for attempt in (lambda: store.prepare(1), lambda: add(store, 15, 20)):
        with pytest.raises(StoreError, match="read-only: set VARIEGATE_CACHE to another folder, or encode without a cache"):
            attempt()


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="VARIEGATE_CACHE"):
        VectorStore(tmp_path / "file" / "x", WIDTH).prepare(1)


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.delenv("VARIEGATE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert default_cache() == Path("/home/someone/.cache/variegate/embeddings")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/someone")
    assert default_cache() == Path("/var/cache/someone/variegate/embeddings")
    monkeypatch.setenv("VARIEGATE_CACHE", "~/vectors")
    assert default_cache() == Path("/home/someone/vectors")


def test_scratch_does_the_same_in_memory() -> None:
    scratch, texts = Scratch(10, WIDTH), names(0, 10)
    first = scratch.append(hash_texts(texts[:4]), vectors_of(texts[:4]), np.zeros(4, dtype=bool))
    second = scratch.append(hash_texts(texts[4:]), vectors_of(texts[4:]), np.zeros(6, dtype=bool))
    rows = np.concatenate([first, second])
    np.testing.assert_array_equal(scratch.read(rows), vectors_of(texts))
    np.testing.assert_array_equal(scratch.read(rows[::-1]), vectors_of(texts)[::-1])
