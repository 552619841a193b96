"""Answers by the key of their question: which count, what a failure is worth, and what becomes of damage."""

from __future__ import annotations

import shutil
from pathlib import Path

from variegate.store.answers import Answers
from variegate.store.shelf import Shelf

KEYS = ["a", "b", "c"]


def test_answers_are_found_whoever_asked(tmp_path: Path) -> None:
    first = Answers(Shelf(tmp_path), "seen", "one", {"model": "nano"})
    assert first.known(KEYS) == {}
    first.add([{"key": "a", "n": 1}, {"key": "x", "n": 2}])
    first.add([{"key": "b", "n": 3, "error": None}])
    again = Answers(Shelf(tmp_path), "seen", "two")
    assert again.known(KEYS) == {"a": {"key": "a", "n": 1}, "b": {"key": "b", "n": 3, "error": None}}
    again.add([{"key": "c", "n": 4}])
    assert set(first.known(KEYS)) == {"a", "b", "c"}
    assert Shelf(tmp_path).names() == ["seen/000000", "seen/000001", "seen/000002"]
    entry = Shelf(tmp_path).read("seen/000000")
    assert entry is not None
    assert entry.facts == {"model": "nano"}


def test_a_failure_counts_for_the_same_asking_alone(tmp_path: Path) -> None:
    one, two = (Answers(Shelf(tmp_path), "seen", key) for key in ("one", "two"))
    one.add([{"key": "a", "error": "too long"}])
    assert set(one.known(KEYS)) == {"a"}
    assert two.known(KEYS) == {}
    two.add([{"key": "a", "n": 1}])
    assert one.known(KEYS) == two.known(KEYS) == {"a": {"key": "a", "n": 1}}


def test_damaged_and_missing_entries_leave_no_gap(tmp_path: Path) -> None:
    told: list[str] = []
    answers = Answers(Shelf(tmp_path, on_damage=told.append), "seen", "one")
    for key in KEYS:
        answers.add([{"key": key}])
    path = tmp_path / "seen" / "000000" / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"a"', b'"b"'))
    shutil.rmtree(tmp_path / "seen" / "000001")
    assert set(answers.known(KEYS)) == {"c"}
    assert len(told) == 1
    assert str(path) in told[0]
    assert (tmp_path / "set-aside" / "000-damaged" / "seen" / "000000").is_dir()
    assert list(Shelf(tmp_path).check()) == []
    answers.add([{"key": "a"}, {"key": "b"}])
    assert set(answers.known(KEYS)) == {"a", "b", "c"}
    assert len(told) == 1
