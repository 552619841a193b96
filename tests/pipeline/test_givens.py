"""What records are given, on pairs; the run folder keeps what was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from variegate.config import RunConfig
from variegate.errors import UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.pipeline.givens import find_givens, givens_of, planned_givens
from variegate.store.run_folder import GIVENS, RunFolder

LABELS = {label: {"phrase": label, "description": label} for label in ("yes", "no")}
ROWS = [("Rain", "a", "no"), ("Sun", "b", "yes"), ("rain ", "c", "yes"), ("Wind", "d", "yes")]


def write(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    path.write_text("".join(json.dumps(dict(zip(("premise", "hypothesis", "label"), row, strict=True))) + "\n" for row in rows))
    return path


def config(train: Path, **task: Any) -> RunConfig:
    whole = {
        "kind": "pair",
        "name": "nli",
        "text_type": "hypothesis",
        "context": "c",
        "labels": LABELS,
        "data": {"train": str(train)},
        **task,
    }
    return RunConfig.model_validate({"task": whole, "model": {"name": "m", "path": "m"}, "strategy": {"kind": "zero_shot"}, "output": "o"})


def test_each_once_by_label_and_in_file_order(tmp_path: Path) -> None:
    asked = config(write(tmp_path / "t.jsonl", ROWS))
    assert find_givens(asked.task) == [{"premise": "Rain"}, {"premise": "Sun"}, {"premise": "Wind"}]
    other = config(tmp_path / "t.jsonl", written="premise")
    assert find_givens(other.task) == [{"hypothesis": "a"}, {"hypothesis": "b"}, {"hypothesis": "c"}, {"hypothesis": "d"}]


def test_where_the_model_writes_all_nothing_is_read() -> None:
    whole = {"kind": "classification", "name": "t", "text_type": "t", "context": "c", "labels": LABELS, "data": {"train": "nowhere.csv"}}
    assert find_givens(ClassificationTask.model_validate(whole)) == [{}]


def test_the_folder_keeps_them(tmp_path: Path) -> None:
    asked, folder = config(write(tmp_path / "t.jsonl", ROWS)), RunFolder(tmp_path / "run")
    assert planned_givens(folder, asked) == find_givens(asked.task)
    assert folder.shelf.names(GIVENS) == []  # nothing is written
    first = givens_of(folder, asked)
    written = (tmp_path / "run" / GIVENS / "rows.jsonl").read_bytes()
    assert written.splitlines()[0] == b'{"given":{"premise":"Rain"}}'
    (tmp_path / "t.jsonl").unlink()  # the run goes on with those it has
    assert givens_of(folder, asked) == planned_givens(folder, asked) == first
    write(tmp_path / "t.jsonl", [*ROWS, ("Snow", "e", "no")])
    assert {"premise": "Snow"} in givens_of(folder, asked)
    assert [row["given"] for row in folder.shelf.read(GIVENS).rows()] == givens_of(folder, asked)  # type: ignore[union-attr]
    assert len(list((tmp_path / "run" / "set-aside").glob(f"*/{GIVENS}"))) == 1


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        givens_of(RunFolder(tmp_path / "run"), config(tmp_path / "gone.jsonl"))
    write(tmp_path / "t.jsonl", [("Rain", "a", "maybe")])
    with pytest.raises(UsageError, match="label 'maybe' is not one of task 'nli'"):
        givens_of(RunFolder(tmp_path / "run"), config(tmp_path / "t.jsonl"))
