"""A folder of answers: resumed, asked otherwise, damaged, and what `verify_asked` says of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import StoreError, UsageError
from variegate.store.asked import AskedFolder, is_asked, verify_asked

TEXTS = tuple("abcde")
ENTRIES = [f"answers/{k:03d}/{number:06d}" for k in range(2) for number in range(3)]


@pytest.fixture(autouse=True)
def no_syncing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncing, tested in `test_shelf`, only takes time here."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


class Model:
    """Two answers a text, two texts an entry. told: what the folder said."""

    def __init__(self, *, failing: str = "", dies_at: int | None = None) -> None:
        self.asked: list[list[str]] = []
        self.told: list[str] = []
        self._failing, self._dies_at = failing, dies_at

    def vote(self, folder: Path, *, temperature: float = 1.0, texts: Sequence[str] = TEXTS) -> list[tuple[str, str | None]]:
        """(answer, error) of vote 0 of all texts, then of vote 1; and a summary."""
        asked = {"kind": "letters", "temperature": temperature}
        keys = [[f"{temperature} {text} {k}" for text in texts] for k in range(2)]

        def ask(missing: Sequence[str], done: int) -> list[dict[str, Any]]:
            self.asked.append([*missing])
            if len(self.asked) == self._dies_at:
                raise KeyboardInterrupt
            return [{"answer": f"says {key}", "error": "too long" if self._failing and self._failing in key else None} for key in missing]

        store = AskedFolder(folder, asked, note=self.told.append)
        with store.opened():
            rows = store.answers({f"answers/{k:03d}": own for k, own in enumerate(keys)}, 2, ask)
            store.made("votes", f"{sorted(rows)}", lambda: [{"n": len(rows)}])
        return [(rows[key]["answer"], rows[key]["error"]) for own in keys for key in own]


def right(texts: Sequence[str] = TEXTS, temperature: float = 1.0) -> list[tuple[str, str | None]]:
    return [(f"says {temperature} {text} {k}", None) for k in range(2) for text in texts]


def live(folder: Path) -> dict[str, bytes]:
    """All but what is set aside, and the lock."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: data for name, data in found.items() if not name.startswith(("set-aside", "lock"))}


def failures(folder: Path) -> list[str]:
    return [check.detail for check in verify_asked(folder).checks if check.status == "FAILED"]


def test_made_once_and_found_again(tmp_path: Path) -> None:
    first, again = Model(), Model()
    assert first.vote(tmp_path / "v") == right()
    assert [len(each) for each in first.asked] == [2, 2, 1, 2, 2, 1]
    before = live(tmp_path / "v")
    entries = {f"{name}/{file}" for name in [*ENTRIES, "votes"] for file in ("entry.json", "rows.jsonl")}
    assert {*before} == {"format.json", "asked.json", *entries}
    assert again.vote(tmp_path / "v") == right()
    assert (again.asked, again.told, live(tmp_path / "v")) == ([], [], before)
    assert verify_asked(tmp_path / "v").finished
    assert failures(tmp_path / "v") == []


def test_stopped_it_goes_on(tmp_path: Path) -> None:
    Model().vote(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        Model(dies_at=3).vote(tmp_path / "v")
    found = verify_asked(tmp_path / "v")
    assert (found.ok, found.finished) == (True, False)
    rest = Model()
    assert rest.vote(tmp_path / "v") == right()
    assert len(rest.asked) == 4
    assert live(tmp_path / "v") == live(tmp_path / "whole")


def test_asked_otherwise_it_is_set_aside_and_comes_back(tmp_path: Path) -> None:
    Model().vote(tmp_path)
    before = live(tmp_path)
    hot = Model()
    assert hot.vote(tmp_path, temperature=2.0) == right(temperature=2.0)
    assert len(hot.asked) == 6
    assert "was asked otherwise before (temperature was 1.0, and is 2.0): those answers are set aside" in hot.told[0]
    assert sorted(path.name for path in (tmp_path / "set-aside").iterdir()) == ["000"]
    assert failures(tmp_path) == []
    back = Model()
    assert back.vote(tmp_path) == right()
    assert back.asked == []
    assert live(tmp_path) == before


def test_only_what_is_new_is_asked(tmp_path: Path) -> None:
    """A text before the others moves all of them to other places."""
    Model().vote(tmp_path / "v")
    more = Model()
    assert more.vote(tmp_path / "v", texts=("x", *TEXTS)) == right(("x", *TEXTS))
    assert more.asked == [["1.0 x 0"], ["1.0 x 1"]]
    fewer = Model()
    assert fewer.vote(tmp_path / "v", texts=("x", "c")) == right(("x", "c"))
    assert fewer.asked == []
    assert {name[:18] for name in live(tmp_path / "v") if name.startswith("answers")} == {ENTRIES[0], ENTRIES[3]}
    assert failures(tmp_path / "v") == []


def test_a_failure_is_tried_again_where_anything_changed(tmp_path: Path) -> None:
    first = Model(failing="b")
    assert [error for _, error in first.vote(tmp_path)].count("too long") == 2
    same, other = Model(), Model()
    assert [error for _, error in same.vote(tmp_path)].count("too long") == 2
    assert same.asked == []
    assert other.vote(tmp_path, texts=("b", "c")) == right(("b", "c"))
    assert other.asked == [["1.0 b 0"], ["1.0 b 1"]]


# -- damage ----------------------------------------------------------------------------------------------------


def neighbour_of(path: Path) -> Path:
    """The file of that name in the entry beside, or in the folder beside."""
    entry = path.parent
    if entry.name == "votes":
        return entry.parent / "answers" / "000" / "000000" / path.name
    if entry.name.isdecimal():
        return entry.parent / f"{int(entry.name) ^ 1:06d}" / path.name
    return entry.parent / "beside" / path.name


def swap(path: Path) -> None:
    mine, other = path.read_bytes(), neighbour_of(path).read_bytes()
    path.write_bytes(other)
    neighbour_of(path).write_bytes(mine)


HARMS: dict[str, Callable[[Path], Any]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "flip": lambda path: path.write_bytes(path.read_bytes()[:-3] + bytes([path.read_bytes()[-3] ^ 1]) + path.read_bytes()[-2:]),
    "delete": Path.unlink,
    "double": lambda path: path.write_bytes(path.read_bytes() * 2),
    "swap": swap,
}
FILES = [f"{entry}/{file}" for entry in ("answers/000/000000", "answers/001/000001", "votes") for file in ("rows.jsonl", "entry.json")]


@pytest.mark.parametrize("name", [*FILES, "asked.json"])
@pytest.mark.parametrize("harm", HARMS)
def test_every_damaged_file_is_noticed_and_none_is_used(tmp_path: Path, name: str, harm: str) -> None:
    folder = tmp_path / "v"
    Model().vote(folder)
    Model().vote(tmp_path / "beside", temperature=2.0)
    before = live(folder)
    HARMS[harm](folder / name)
    assert len(failures(folder)) >= 1
    mending = Model()
    assert mending.vote(folder) == right()
    assert live(folder) == before
    assert failures(folder) == []
    if name == "asked.json":
        words = {"delete": "", "swap": "was asked otherwise before"}.get(harm, "It is written anew")
        assert [words in told for told in mending.told] == [True] * bool(words)
    else:
        aside = [told for told in mending.told if "000-damaged, and made again" in told]
        assert len(aside) == (2 if harm == "swap" else 1)
        assert any(f"{folder / name}: " in told for told in aside)


@pytest.mark.parametrize("name", [*ENTRIES, "votes"])
def test_whole_entries_that_are_gone_or_elsewhere(tmp_path: Path, name: str) -> None:
    folder, beside = tmp_path / "v", tmp_path / "beside"
    Model().vote(folder)
    Model().vote(beside, temperature=2.0)
    before = live(folder)

    def gone() -> None:
        shutil.rmtree(folder / name)

    def from_beside() -> None:
        gone()
        shutil.copytree(beside / name, folder / name)

    def doubled() -> None:
        shutil.copytree(folder / name, folder / "answers" / "000" / "000003")

    def swapped() -> None:
        other = folder / ("answers/000/000000" if name == "votes" else neighbour_of(folder / name / "x").parent)
        if not other.exists():  # the last has none after it
            other = folder / "answers" / "000" / "000000"
        spare = tmp_path / "spare"
        (folder / name).rename(spare)
        other.rename(folder / name)
        spare.rename(other)

    for harm in (gone, from_beside, doubled, swapped):
        if harm is swapped and name == "answers/000/000000":
            continue  # the neighbour's turn
        harm()
        assert len(failures(folder)) >= 1, harm.__name__
        assert Model().vote(folder) == right()
        assert live(folder) == before
        assert failures(folder) == []


def test_an_entry_of_another_asking_is_noticed_before_the_end_too(tmp_path: Path) -> None:
    Model().vote(tmp_path / "beside", temperature=2.0)
    with pytest.raises(KeyboardInterrupt):
        Model(dies_at=3).vote(tmp_path / "v")
    shutil.rmtree(tmp_path / "v" / ENTRIES[0])
    shutil.copytree(tmp_path / "beside" / ENTRIES[0], tmp_path / "v" / ENTRIES[0])
    assert failures(tmp_path / "v") == [f"{tmp_path}/v/{ENTRIES[0]}: was asked otherwise than asked.json states"]
    assert Model().vote(tmp_path / "v") == right()


# -- other folders ---------------------------------------------------------------------------------------------


def test_an_old_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "votes").mkdir()
    (tmp_path / "votes" / "000-00000000.jsonl").write_text('{"answer": "x", "error": null}\n')
    (tmp_path / "asked.json").write_text(json.dumps({"kind": "letters", "temperature": 1.0}))
    before = live(tmp_path)
    for read in (lambda: Model().vote(tmp_path), lambda: verify_asked(tmp_path)):
        with pytest.raises(UsageError, match=r"is of format 1, and Variegate \S+ works on format 2: choose another folder") as error:
            read()
        assert "\n" not in str(error.value)
    assert live(tmp_path) == before
    Model().vote(tmp_path / "new")
    (tmp_path / "new" / "format.json").write_text('{"format": 3}')
    with pytest.raises(UsageError, match="is of format 3"):
        Model().vote(tmp_path / "new")


@pytest.mark.parametrize("name", ["thesis.txt", "run.yaml", "study.yaml"])
def test_a_folder_of_other_things_is_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    (tmp_path / "format.json").write_text('{"format": 2}')
    with pytest.raises(UsageError, match=f"holds other things than a model's votes, such as {name}: choose another folder"):
        Model().vote(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "format.json"])


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with AskedFolder(tmp_path, {"kind": "letters"}, note=print).opened(), pytest.raises(StoreError, match="is working in this folder"):
        Model().vote(tmp_path)
    assert Model().vote(tmp_path) == right()


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file, and a folder is to be written there"):
        Model().vote(tmp_path / "file")


def test_what_is_a_folder_of_answers(tmp_path: Path) -> None:
    assert not is_asked(tmp_path)
    Model().vote(tmp_path)
    assert is_asked(tmp_path)
    (tmp_path / "asked.json").unlink()
    assert is_asked(tmp_path)
    (tmp_path / "run.yaml").write_text("")
    assert not is_asked(tmp_path)
