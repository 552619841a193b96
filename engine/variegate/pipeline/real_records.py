"""A task's real data as records of its kind, split by split. Knows files; draws nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from variegate.config import TaskConfig
from variegate.config.examples import read_examples
from variegate.errors import UsageError, nearest
from variegate.kinds import Fields, TaskKind, kind_of
from variegate.kinds.text import parts_of, text_of
from variegate.overlap import text_hash
from variegate.pipeline.real_splits import has_split
from variegate.store.texts import read_texts
from variegate.tabular import read_lines, suffix_of


def split_path(task: TaskConfig, split: str) -> Path:
    """Raises UsageError where the task names none, or the file is not there."""
    if not has_split(task, split):
        raise UsageError(f"task {task.name!r}: no data.{split}: name a file of real examples there")
    path = Path(getattr(task.data, split))
    if not path.is_file():
        raise UsageError(
            f"task {task.name!r}: data.{split} {path}: no such file: correct the path, or set VARIEGATE_DATA to the folder of the data sets"
        )
    return path


def read_records(task: TaskConfig, split: str) -> list[Fields]:
    """The records of a split, in file order, without those out of scope. Raises UsageError for a bad row, and for an unknown label."""
    path, kind, data = split_path(task, split), kind_of(task), task.data
    assert data is not None  # noqa: S101  # it has a split
    if not kind.labelled:
        return [fields for _, fields in _unlabelled(kind, path)]
    found: list[Fields] = []
    for text, label in read_examples(path, kind.text_fields, data.label_field).rows:
        if label in task.labels:
            found.append(kind.fields(parts_of(text), label))
        elif label != data.out_of_scope_label:
            raise UsageError(
                f"{path}: label {label!r} is not one of task {task.name!r}{nearest(label, task.labels)} Add it to the task, or name it "
                "as data.out_of_scope_label"
            )
    return found


def hashes_of(task: TaskConfig, split: str) -> dict[str, str]:
    """Hash of each text of a split -> where it stands. A bad row counts as none: it is an error where the split is used."""
    kind = kind_of(task)
    if not kind.labelled:
        path = split_path(task, split)
        return {text_hash(text_of(kind.texts(fields))): f"{path}: {where}" for where, fields in _unlabelled(kind, path)}
    found = read_texts(split_path(task, split), text_field=kind.text_fields, label_field="", strict=False)
    return {text_hash(text): f"{found.source}: {id}" for id, text in zip(found.ids, found.texts or (), strict=True)}


def _unlabelled(kind: TaskKind, path: Path) -> Iterator[tuple[str, Fields]]:
    """(where, record) of a .jsonl or .json file of a kind without labels. Raises UsageError for the first that is none."""
    suffix = suffix_of(path)
    if suffix not in (".jsonl", ".json"):
        raise UsageError(
            f"{path}: expected a .jsonl or .json file, got {path.suffix or 'no suffix'!r}: convert it, or rename it to what it is"
        )
    content = "\n".join(read_lines(path))
    try:
        document = json.loads(content) if suffix == ".json" else [json.loads(line) for line in content.splitlines() if line.strip()]
    except ValueError as error:
        raise UsageError(f"{path}: not valid JSON ({error}): correct it, or give another file") from error
    number = 0
    for where, found in kind.read_rows(document):
        number += 1
        if isinstance(found, str):
            raise UsageError(f"{path}: {where}: {found}")
        yield where, found
    if not number:
        raise UsageError(f"{path}: holds no records: add some")


def hash_of(task: TaskConfig, fields: Fields) -> str:
    """What `hashes_of` finds a record by."""
    return text_hash(text_of(kind_of(task).texts(fields)))
