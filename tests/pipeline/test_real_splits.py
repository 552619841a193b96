"""A task's splits as labelled texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.errors import UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.kinds.task import TaskConfig
from variegate.pipeline.real_splits import has_split, read_split


def task(path: Path | None) -> TaskConfig:
    labels = {name: {"phrase": name, "description": name} for name in ("joy", "fear")}
    data = None if path is None else {"test": str(path), "label_field": "kind", "text_field": "say", "out_of_scope_label": "oos"}
    return ClassificationTask.model_validate(
        {"kind": "classification", "name": "f", "text_type": "t", "context": "c", "labels": labels, "data": data}
    )


def test_rows_of_the_tasks_labels(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("say,kind\nhurrah,joy\nwhat?,oos\nhelp,fear\n")
    found = read_split(task(tmp_path / "d.csv"), "test")
    assert (found.texts, found.labels) == (("hurrah", "help"), ("joy", "fear"))
    assert has_split(task(tmp_path / "d.csv"), "test")
    assert not has_split(task(tmp_path / "d.csv"), "train")
    assert not has_split(task(None), "test")


@pytest.mark.parametrize(("content", "says"), [
    (None, "data.test .*d.csv: no such file: correct the path, or set VARIEGATE_DATA"),
    ("say,kind\nhurrah,joi\n", "label 'joi' is not one of task 'f'; did you mean 'joy'?"),
    ("say,kind\nhurrah,oos\n", "every row is out of scope"),
    ("say,label\nhurrah,joy\n", "kind"),
])  # fmt: skip
def test_bad_splits(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "d.csv").write_text(content)
    with pytest.raises(UsageError, match=says.replace("?", r"\?")):
        read_split(task(tmp_path / "d.csv"), "test")
