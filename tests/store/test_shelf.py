"""The shelf: entries appear whole, are found by their key, checked by their hashes, set aside and brought back; rows by their own key.

Hashes are compared with hashlib's over the files, bytes with what a shelf that was never disturbed holds.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from variegate.errors import StoreError
from variegate.store import files
from variegate.store.shelf import Entry, Shelf

Row = dict[str, Any]


@pytest.fixture
def damage() -> list[str]:
    return []


@pytest.fixture
def shelf(tmp_path: Path, damage: list[str]) -> Shelf:
    return Shelf(tmp_path / "shelf", on_damage=damage.append)


def rows_of(number: int, version: str = "a") -> list[Row]:
    return [{"key": f"{version}{number}-{place}", "text": f"text {place} of {number} ☃"} for place in range(3)]


def put_rounds(shelf: Shelf, count: int, version: str = "a") -> None:
    for number in range(count):
        shelf.put(f"rounds/{number:06d}", f"{version}{number}", rows_of(number, version), {"kept": number})


def tree(folder: Path) -> dict[str, bytes]:
    """path -> content of all files, folders left out."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse() -> Any:
    raise AssertionError("nothing was to be made")


# -- entries -------------------------------------------------------------------------------------------------------


def test_what_is_put_is_got_and_states_the_hashes_of_its_files(shelf: Shelf) -> None:
    put = shelf.put("rounds/000000", "k", iter(rows_of(0)), {"seconds": 1.5}, {"state.json": b"{}"})
    got = shelf.get("rounds/000000", "k")
    assert got == put == Entry("rounds/000000", "k", {"seconds": 1.5}, shelf.path / "rounds" / "000000", 3)
    assert got.rows() == rows_of(0)
    assert b"".join(got.lines()) == (got.path / "rows.jsonl").read_bytes()
    stated = json.loads((got.path / "entry.json").read_bytes())
    assert stated["sha256"] == hashlib.sha256((got.path / "rows.jsonl").read_bytes()).hexdigest()
    assert stated["files"] == {"state.json": hashlib.sha256(b"{}").hexdigest()}
    assert (stated["format"], stated["name"], stated["key"], stated["num_rows"]) == (2, "rounds/000000", "k", 3)
    assert list(shelf.check()) == []


def test_another_key_and_another_name_are_not_there(shelf: Shelf, damage: list[str]) -> None:
    put_rounds(shelf, 1)
    assert shelf.get("rounds/000000", "other") is None
    assert shelf.get("rounds/000001") is None
    assert shelf.get("rounds") is None
    assert shelf.get("rounds/000000") is not None
    assert damage == []


def test_numbers_of_numpy_become_plain_ones(shelf: Shelf) -> None:
    put = shelf.put("x", "k", [{"key": "1", "odds": np.float32(0.1)}], {"values": np.arange(3), "large": np.float32(1e20)})
    assert put.facts["values"] == [0, 1, 2]
    got = shelf.get("x", "k")
    assert got == put
    assert got.rows() == [{"key": "1", "odds": 0.1}]


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../b", "a//b", ".hidden", "a/", "set-aside/000/x"])
def test_a_name_cannot_leave_the_shelf(shelf: Shelf, name: str) -> None:
    for attempt in (lambda: shelf.put(name, "k", []), lambda: shelf.get(name), lambda: shelf.set_aside([name])):
        with pytest.raises(ValueError, match="cannot be the name"):
            attempt()


@pytest.mark.parametrize("name", ["rows.jsonl", "entry.json", "a/b", ".hidden"])
def test_a_file_of_an_entry_cannot_take_the_place_of_another(shelf: Shelf, name: str) -> None:
    with pytest.raises(ValueError, match="cannot hold a file named"):
        shelf.put("x", "k", [], files={name: b""})
    assert shelf.names() == []


def test_an_error_among_the_rows_leaves_nothing(shelf: Shelf) -> None:
    def broken() -> Iterator[Row]:
        yield {"key": "1"}
        raise StoreError("the source broke")

    put_rounds(shelf, 1)
    before = tree(shelf.path)
    with pytest.raises(StoreError, match="the source broke"):
        shelf.put("rounds/000000", "other", broken())
    assert tree(shelf.path) == before


def test_disk_full_is_explained_and_leaves_what_was_there(tiny_disk: Path) -> None:
    shelf = Shelf(tiny_disk / "shelf")
    put_rounds(shelf, 1)
    before = tree(shelf.path)
    with pytest.raises(StoreError, match="disk is full"):
        shelf.put("rounds/000001", "k", ({"key": str(number), "text": "x" * 1000} for number in range(10_000)))
    assert tree(shelf.path) == before


def test_rows_are_written_as_they_come(shelf: Shelf) -> None:
    """A source of 30,000 rows of 1 kB is never whole in memory: the file grows while it gives."""
    seen = []

    def source() -> Iterator[Row]:
        for number in range(30_000):
            if number in (10_000, 20_000):
                seen.append(sum(path.stat().st_size for path in shelf.path.rglob("rows.jsonl")))
            yield {"key": str(number), "text": "x" * 1000}

    shelf.put("x", "k", source())
    assert 8e6 < seen[0] < 12e6 < 18e6 < seen[1] < 22e6


def test_an_entry_of_the_name_is_set_aside_for_a_new_one(shelf: Shelf) -> None:
    shelf.put("x", "1", [{"key": "old"}])
    shelf.put("x", "2", [{"key": "new"}])
    assert shelf.get("x", "2") is not None
    assert (shelf.path / "set-aside" / "000" / "x" / "rows.jsonl").read_bytes() == b'{"key":"old"}\n'


def test_names_are_in_the_order_of_their_numbers(shelf: Shelf) -> None:
    for name in ("rounds/1000000", "rounds/000999999", "rounds/999998", "b/10-x", "b/9-x", "b/9-x²", "a"):
        shelf.put(name, "k", [])
    assert shelf.names("rounds") == ["rounds/999998", "rounds/000999999", "rounds/1000000"]
    assert shelf.names() == ["a", "b/9-x", "b/9-x²", "b/10-x", "rounds/999998", "rounds/000999999", "rounds/1000000"]
    assert shelf.names("nothing") == []


def test_order_of_operations_on_disk(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are synced before the entry's folder is renamed, and the folder that it appears in after."""
    log: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.rename

    def logged_fsync(descriptor: int) -> None:
        log.append(("sync", Path(f"/proc/self/fd/{descriptor}").readlink().name))
        fsync(descriptor)

    def logged_rename(old: Any, new: Any, **more: Any) -> None:
        log.append(("rename", Path(new).name))
        rename(old, new, **more)

    monkeypatch.setattr(files.os, "fsync", logged_fsync)
    monkeypatch.setattr(os, "rename", logged_rename)
    shelf.put("deep/x", "k", rows_of(0))
    moment = log.index(("rename", "x"))
    assert {("sync", "rows.jsonl"), ("sync", "entry.json")} <= set(log[:moment])
    assert ("sync", "deep") in log[moment:]
    assert ("sync", "shelf") in log  # in which `deep` was made
    log.clear()
    shelf.set_aside(["deep/x"])
    moment = log.index(("rename", "x"))
    assert log[moment + 1 :] == [("sync", "deep"), ("sync", "deep")]  # set-aside/000/deep, deep


# -- made, set aside, brought back ---------------------------------------------------------------------------------


def test_made_once_found_by_its_key_and_brought_back(shelf: Shelf) -> None:
    made: list[str] = []

    def make(key: str) -> Entry:
        def build() -> tuple[list[Row], Row]:
            made.append(key)
            return [{"key": key}], {"of": key}

        return shelf.made("stage", key, build)

    assert make("1").facts == {"of": "1"}
    assert make("1").rows() == [{"key": "1"}]
    assert make("2").rows() == [{"key": "2"}]
    assert made == ["1", "2"]
    first = make("1")
    assert (first.rows(), first.path) == ([{"key": "1"}], shelf.path / "stage")
    assert make("2").rows() == [{"key": "2"}]
    assert made == ["1", "2"]
    assert shelf.names() == ["stage"]
    assert len(list((shelf.path / "set-aside").iterdir())) == 1  # emptied folders go


def test_set_aside_is_numbered_by_the_highest(shelf: Shelf) -> None:
    for number in range(3):
        shelf.put("x", str(number), [])
        shelf.set_aside(["x"])
    (shelf.path / "set-aside" / "notes").mkdir()
    shutil.rmtree(shelf.path / "set-aside" / "000")
    shelf.put("x", "3", [])
    assert shelf.set_aside(["x"], reuse=False) == shelf.path / "set-aside" / "003-not-reused"
    shelf.put("x", "4", [])
    assert shelf.set_aside(["x", "nothing"]) == shelf.path / "set-aside" / "004"
    assert shelf.set_aside(["x"]) is None
    (shelf.path / "set-aside" / "004").rename(shelf.path / "set-aside" / "1000")
    shelf.put("x", "5", [])
    assert shelf.set_aside(["x"]) == shelf.path / "set-aside" / "1001"


def test_one_object_sets_aside_to_one_folder(shelf: Shelf) -> None:
    for name in ("x", "y"):
        shelf.put(name, "1", [])
        shelf.set_aside([name])
    shelf.put("z", "1", [])
    shelf.set_aside(["z"], reuse=False)
    shelf.put("x", "2", [])
    shelf.set_aside(["x"])
    Shelf(shelf.path).put("x", "3", [])
    Shelf(shelf.path).set_aside(["x"])
    there = sorted(path.relative_to(shelf.path / "set-aside").as_posix() for path in (shelf.path / "set-aside").glob("*/*"))
    assert there == ["000/x", "000/y", "001-not-reused/z", "002/x", "003/x"]


def test_reading_moves_nothing(shelf: Shelf, damage: list[str]) -> None:
    put_rounds(shelf, 1)
    assert shelf.read("rounds/000000") == shelf.get("rounds/000000")
    assert shelf.read("rounds/000001") is None
    (shelf.path / "rounds" / "000000" / "rows.jsonl").write_bytes(b"")
    before = tree(shelf.path)
    with pytest.raises(StoreError, match=r"is not what entry\.json states"):
        shelf.read("rounds/000000")
    assert (tree(shelf.path), damage) == (before, [])


def test_what_was_set_aside_for_good_does_not_come_back(shelf: Shelf) -> None:
    shelf.put("x", "1", [{"key": "old"}])
    shelf.set_aside(["x"], reuse=False)
    assert shelf.made("x", "1", lambda: ([{"key": "new"}], {})).rows() == [{"key": "new"}]
    assert len(shelf.rows_by_key([""], keep=bool)) == 1


def test_the_last_of_its_key_comes_back_and_a_damaged_one_does_not(shelf: Shelf, damage: list[str]) -> None:
    for text in ("first", "second", "third"):
        shelf.put("x", "1", [{"key": text}])
        shelf.set_aside(["x"])
    (shelf.path / "set-aside" / "002" / "x" / "rows.jsonl").write_bytes(b"")
    assert shelf.made("x", "1", refuse).rows() == [{"key": "second"}]
    assert len(damage) == 1
    assert "set-aside/002/x/rows.jsonl: is not what entry.json states" in damage[0]


def test_the_last_goes_first(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    put_rounds(shelf, 11)
    (shelf.path / "rounds" / "000010").rename(shelf.path / "rounds" / "10")
    moved = []
    rename = os.rename
    monkeypatch.setattr(os, "rename", lambda old, new, **more: (moved.append(Path(old).name), rename(old, new, **more)))
    shelf.set_aside(["rounds/000009", "rounds/10", "rounds/000008"])
    assert moved == ["10", "000009", "000008"]


def test_single_files_can_be_set_aside_too(shelf: Shelf) -> None:
    shelf.put("000-x", "1", [])
    (shelf.path / "summary.json").write_text("{}")
    aside = shelf.set_aside(["summary.json", "000-x"])
    assert aside is not None
    assert sorted(path.name for path in aside.iterdir()) == ["000-x", "summary.json"]


def test_dropped_parts_are_gone(shelf: Shelf) -> None:
    put_rounds(shelf, 2)
    lookup = shelf.rows_by_key(["rounds"], keep=bool)
    shelf.drop(["rounds/000000", "rounds/000007"])
    assert shelf.names() == ["rounds/000001"]
    assert not list(shelf.path.rglob("*.tmp"))
    assert "a0-1" not in lookup
    assert lookup.take(["a0-1", "a1-1"]) == {"a1-1": rows_of(1)[1]}


def test_what_a_killed_process_left_goes(shelf: Shelf) -> None:
    put_rounds(shelf, 1)
    before = tree(shelf.path)
    (shelf.path / "rounds" / ".000001.abc.tmp" / ".inside.tmp").mkdir(parents=True)
    (shelf.path / ".x.tmp").write_bytes(b"half")
    assert shelf.names() == ["rounds/000000"]
    shelf.clear_unfinished()
    assert tree(shelf.path) == before
    assert not (shelf.path / "rounds" / ".000001.abc.tmp").exists()


# -- rows ----------------------------------------------------------------------------------------------------------


def test_rows_are_found_by_key_the_newest_first(shelf: Shelf) -> None:
    put_rounds(shelf, 2, "a")
    shelf.put("rounds/000002", "x", [{"key": "both", "text": "set aside"}, {"key": "failed", "error": "no"}])
    shelf.set_aside(shelf.names("rounds"))
    put_rounds(shelf, 1, "b")
    shelf.put("rounds/000001", "x", [{"key": "both", "text": "first"}])
    shelf.put("rounds/000002", "x", [{"key": "both", "text": "committed"}])
    shelf.put("parts/0", "x", [{"key": "part"}])
    shelf.put("other/0", "x", [{"key": "other"}])
    lookup = shelf.rows_by_key(["parts", "rounds"], keep=lambda row: "error" not in row)
    assert len(lookup) == 6 + 3 + 2
    assert "failed" not in lookup
    assert "other" not in lookup
    assert lookup.take(["both", "nothing", "a1-2", "part"]) == {
        "both": {"key": "both", "text": "committed"},
        "a1-2": rows_of(1)[2],
        "part": {"key": "part"},
    }
    assert list(shelf.rows_by_key(["rounds"], keep=bool, key="a0").take(["a0-0", "both"])) == ["a0-0"]
    texts = shelf.rows_by_key(["parts", "other"], keep=bool, field="key")
    assert sorted(texts.take(["part", "other", "both"])) == ["other", "part"]


def test_the_lookup_follows_what_is_moved(shelf: Shelf) -> None:
    put_rounds(shelf, 3)
    lookup = shelf.rows_by_key(["rounds"], keep=bool)
    shelf.set_aside(["rounds/000001", "rounds/000002"])
    assert lookup.take(["a2-0", "a0-0"]) == {"a2-0": rows_of(2)[0], "a0-0": rows_of(0)[0]}
    shelf.made("rounds/000001", "a1", refuse)
    assert lookup.take(["a1-0"]) == {"a1-0": rows_of(1)[0]}
    shelf.set_aside(["rounds/000001"], reuse=False)
    assert "a1-0" not in lookup


def test_a_damaged_entry_gives_no_rows(shelf: Shelf, damage: list[str]) -> None:
    put_rounds(shelf, 2)
    path = shelf.path / "rounds" / "000001" / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"text 2", b"text 9"))
    lookup = shelf.rows_by_key(["rounds"], keep=bool)
    assert len(lookup) == 3
    assert len(damage) == 1
    assert str(path) in damage[0]
    assert path.is_file()  # a look-up moves nothing


def test_a_file_that_changes_under_a_lookup_is_noticed(shelf: Shelf) -> None:
    put_rounds(shelf, 1)
    lookup = shelf.rows_by_key(["rounds"], keep=bool)
    path = shelf.path / "rounds" / "000000" / "rows.jsonl"
    path.write_bytes(b"\n".join(reversed(path.read_bytes().splitlines())))
    with pytest.raises(StoreError, match="changed while it was in use"):
        lookup.take(["a0-0", "a0-1", "a0-2"])


# -- damage --------------------------------------------------------------------------------------------------------

ENTRY_FILES = ("rows.jsonl", "entry.json", "state.json")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def swap(path: Path) -> None:
    neighbour = path.parent.parent / "000002" / path.name
    mine, other = path.read_bytes(), neighbour.read_bytes()
    path.write_bytes(other)
    neighbour.write_bytes(mine)


def copy_over(path: Path) -> None:
    shutil.copyfile(path.parent.parent / "000002" / path.name, path)


def as_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Callable[[Path], Any]] = [cut, halve, empty, lengthen, Path.unlink, swap, copy_over, as_folder]


def three(shelf: Shelf) -> None:
    for number in range(3):
        shelf.put(f"rounds/{number:06d}", f"k{number}", rows_of(number), {"number": number}, {"state.json": b'{"at": %d}' % number})


@pytest.mark.parametrize("name", ENTRY_FILES)
@pytest.mark.parametrize("harm", DAMAGES, ids=lambda harm: harm.__name__)
def test_damage_is_noticed_named_set_aside_and_made_again(shelf: Shelf, damage: list[str], name: str, harm: Callable[[Path], Any]) -> None:
    three(shelf)
    before = tree(shelf.path)
    harm(shelf.path / "rounds" / "000001" / name)
    assert any("000001" in problem for problem in shelf.check())
    assert damage == []  # a check moves nothing and tells nobody else
    assert shelf.get("rounds/000001") is None
    assert len(damage) == 1
    assert "rounds/000001" in damage[0]
    assert "set-aside/000-damaged" in damage[0]
    assert (shelf.path / "set-aside" / "000-damaged" / "rounds" / "000001").is_dir()
    assert shelf.rows_by_key(["rounds"], keep=bool).take(["a1-0", "a1-1"]) == {}
    for number in range(3):
        if shelf.get(f"rounds/{number:06d}", f"k{number}") is None:
            shelf.put(f"rounds/{number:06d}", f"k{number}", rows_of(number), {"number": number}, {"state.json": b'{"at": %d}' % number})
    after = {path: data for path, data in tree(shelf.path).items() if not path.startswith("set-aside")}
    assert after == before
    assert list(shelf.check()) == []


@pytest.mark.parametrize("name", ENTRY_FILES)
def test_a_flipped_bit_in_any_byte_counts(shelf: Shelf, name: str) -> None:
    three(shelf)
    path = shelf.path / "rounds" / "000001" / name
    data = path.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        assert len(list(shelf.check("rounds"))) == 1, place
    path.write_bytes(data)
    assert list(shelf.check("rounds")) == []


def test_an_entry_that_is_asked_for_by_its_own_name_is_checked(shelf: Shelf) -> None:
    three(shelf)
    shelf.put("seeds", "k", rows_of(0))
    assert shelf.names("seeds") == ["seeds"]
    path = shelf.path / "seeds" / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-2] + b"\n")
    assert len(list(shelf.check("seeds"))) == len(list(shelf.check())) == 1
    assert list(shelf.check("rounds")) == []


def test_whole_entries_swapped_copied_and_lost(shelf: Shelf, damage: list[str]) -> None:
    three(shelf)
    rounds = shelf.path / "rounds"
    shutil.copytree(rounds / "000001", rounds / "000003")
    assert list(shelf.check()) == [f"{rounds}/000003/entry.json: states the name 'rounds/000001', and stands at 'rounds/000003'"]
    assert shelf.get("rounds/000003", "k1") is None
    shutil.copytree(rounds / "000001", rounds / "000001 (copy)")
    assert len(list(shelf.check())) == 1
    assert shelf.get("rounds/000001 (copy)") is None
    (rounds / "000000").rename(rounds / "spare")
    (rounds / "000001").rename(rounds / "000000")
    (rounds / "spare").rename(rounds / "000001")
    assert len(list(shelf.check())) == 2
    assert shelf.get("rounds/000000") is None
    assert shelf.get("rounds/000001") is None
    assert len(damage) == 4
    assert list(shelf.check()) == [f"{rounds}: 000000 (and 1 more) is missing, and 000002 is there"]


def test_a_file_where_a_folder_belongs_and_an_extra_file(shelf: Shelf, damage: list[str]) -> None:
    three(shelf)
    (shelf.path / "rounds" / "000001" / "rows2.jsonl").write_bytes(b"")
    (shelf.path / "rounds" / "000001" / ".nfs0001").write_bytes(b"")
    assert [problem.rpartition("/")[2] for problem in shelf.check()] == ["rows2.jsonl: is no part of the entry"]
    shutil.rmtree(shelf.path / "rounds" / "000002")
    (shelf.path / "rounds" / "000002").write_bytes(b"")
    assert shelf.get("rounds/000002") is None
    assert "a file stands where an entry's folder is expected" in damage[0]


def test_a_file_that_cannot_be_read_is_not_taken_for_damage(shelf: Shelf, damage: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    three(shelf)

    def refused(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(StoreError, match="cannot be read: Permission denied"):
        shelf.get("rounds/000001")
    assert damage == []
    assert (shelf.path / "rounds" / "000001").is_dir()


def test_damage_is_never_silent(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    three(shelf)
    empty(shelf.path / "rounds" / "000000" / "rows.jsonl")
    with pytest.warns(UserWarning, match="is not what"):
        assert shelf.get("rounds/000000") is None
