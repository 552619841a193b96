from __future__ import annotations

from pathlib import Path

import pytest

from variegate.errors import StoreError, UsageError
from variegate.store.vote_folder import VoteFolder

ASKED = {"model": "a" * 64, "temperature": 1.0, "labels": {"x": "X"}}


def test_chunks_come_back_as_written(tmp_path: Path) -> None:
    folder = VoteFolder(tmp_path / "votes")
    rows = [{"answer": "jœy\n", "error": None}, {"answer": "", "error": "too long"}]
    with folder.opened(ASKED):
        assert folder.read("votes/000") is None
        folder.write("votes/000", rows)
        assert folder.read("votes/000") == rows
    with VoteFolder(tmp_path / "votes").opened(ASKED):
        assert folder.read("votes/000") == rows


def test_votes_asked_otherwise_are_not_mixed(tmp_path: Path) -> None:
    folder = VoteFolder(tmp_path)
    with folder.opened(ASKED):
        pass
    with (
        pytest.raises(UsageError, match=r"asked otherwise \(temperature was 1.0, and is 0.5\): choose another folder"),
        folder.opened({**ASKED, "temperature": 0.5}),
    ):
        pass
    with pytest.raises(UsageError, match=r"labels was \{'x': 'X'\}, and is None"), folder.opened({"model": "a" * 64, "temperature": 1.0}):
        pass


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="holds other things than a model's votes"), VoteFolder(tmp_path).opened(ASKED):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with (
        VoteFolder(tmp_path).opened(ASKED),
        pytest.raises(StoreError, match="another process is adding votes"),
        VoteFolder(tmp_path).opened(ASKED),
    ):
        pass
    with VoteFolder(tmp_path).opened(ASKED):
        pass


@pytest.mark.parametrize("name", ["asked.json", "votes/000.jsonl"])
def test_damage_is_named(tmp_path: Path, name: str) -> None:
    folder = VoteFolder(tmp_path)
    with folder.opened(ASKED):
        folder.write("votes/000", [{"answer": "x"}])
    (tmp_path / name).write_text("{")
    with pytest.raises(StoreError, match=f"{name.replace('.', '[.]')}: cannot be read"), folder.opened(ASKED):
        folder.read("votes/000")


def test_a_killed_write_leaves_no_chunk(tmp_path: Path) -> None:
    folder = VoteFolder(tmp_path)
    with folder.opened(ASKED):
        with pytest.raises(TypeError):
            folder.write("votes/000", [{"answer": object()}])
        assert folder.read("votes/000") is None


def test_a_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="choose another folder"), VoteFolder(tmp_path / "file").opened(ASKED):
        pass
