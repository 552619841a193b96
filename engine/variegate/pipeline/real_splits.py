"""A task's real data as labelled texts, split by split. Knows files; trains nothing."""

from __future__ import annotations

from pathlib import Path

from variegate.config import TaskConfig
from variegate.errors import UsageError, nearest
from variegate.kinds import kind_of
from variegate.store.texts import read_texts
from variegate.students.data import LabelledTexts


def has_split(task: TaskConfig, name: str) -> bool:
    """Whether the task names a file for `train`, `dev` or `test`."""
    return bool(task.data and getattr(task.data, name))


def read_split(
    task: TaskConfig,
    name: str,
    *,
    with_out_of_scope: bool = False,
    where_missing: str = "correct the path, or set VARIEGATE_DATA to the folder of the data sets",
) -> LabelledTexts:
    """`train`, `dev` or `test` of the task, which names a file for it: the rows that carry one of its labels.

    with_out_of_scope: those of data.out_of_scope_label too. where_missing: what to do where there is no such file.
    Raises UsageError where the file is not there, a row is bad, a label is unknown, or every row is out of scope.
    """
    data = task.data
    assert data is not None  # noqa: S101  # see `has_split`
    path = Path(getattr(data, name))
    if not path.is_file():
        raise UsageError(f"task {task.name!r}: data.{name} {path}: no such file: {where_missing}")
    found = LabelledTexts.of(read_texts(path, text_field=kind_of(task).text_fields, label_field=data.label_field))
    for id, label in zip(found.ids, found.labels, strict=True):
        if label not in task.labels and label != data.out_of_scope_label:
            raise UsageError(
                f"{path}: {id}: label {label!r} is not one of task {task.name!r}{nearest(label, task.labels)} Add it to the task, or name it "
                "as data.out_of_scope_label"
            )
    if with_out_of_scope:
        return found
    found = found.take(place for place, label in enumerate(found.labels) if label in task.labels)
    if not len(found):
        raise UsageError(f"{path}: every row is out of scope: add rows of the task's labels")
    return found
