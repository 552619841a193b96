"""The real examples a few-shot run starts from, drawn from the task's train file, balanced over the labels."""

from __future__ import annotations

from pathlib import Path

import orjson

from variegate.config import TaskConfig
from variegate.config.task import DataConfig
from variegate.errors import UsageError, nearest
from variegate.seeding import derive_rng
from variegate.strategies.pool import Example


def read_examples(task: TaskConfig) -> dict[str, list[str]]:
    """label -> texts of the task's train file, in file order. Rows of the out-of-scope label are left out.

    Raises UsageError naming file and line for a row that is no object, lacks a field, has an empty text or a label that
    the task does not know, and for a file with no rows.
    """
    if task.data is None or task.data.train is None:
        raise UsageError(f"task {task.name!r}: no data.train to take examples from: name a JSONL file there, or set strategy.seed_pool: 0")
    path = Path(task.data.train)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise UsageError(
            f"task {task.name!r}: data.train {task.data.train}: cannot be read ({error.strerror}): correct the path, set VARIEGATE_DATA to the "
            "folder of the data sets, or set strategy.seed_pool: 0"
        ) from error
    found: dict[str, list[str]] = {label: [] for label in task.labels}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        label, text = _parse(task, task.data, line, f"{path}:{number}")
        if label in found:
            found[label].append(text)
    if not any(found.values()):
        raise UsageError(f"{path}: holds no examples of this task: expected JSONL rows with {task.data.text_field!r} and {task.data.label_field!r}")
    return found


def _parse(task: TaskConfig, data: DataConfig, line: bytes, where: str) -> tuple[str, str]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise UsageError(f"{where}: not valid JSON: {error}") from error
    if not isinstance(row, dict):
        raise UsageError(f"{where}: expected an object with text and label, got {type(row).__name__}")
    for field in (data.text_field, data.label_field):
        if not isinstance(row.get(field), str) or not row[field].strip():
            raise UsageError(f"{where}: field {field!r} is missing, empty or no string: fields here are {', '.join(sorted(row))}{nearest(field, row)}")
    label = row[data.label_field]
    if label not in task.labels and label != data.out_of_scope_label:
        raise UsageError(f"{where}: label {label!r} is not one of task {task.name!r}{nearest(label, task.labels)} Add it to the task, or name it as data.out_of_scope_label")
    return label, row[data.text_field]


def draw_seeds(task: TaskConfig, count: int, seed: int) -> list[Example]:
    """`count` real examples, as evenly over the labels as possible (labels that get one more are drawn at random)."""
    if count == 0:
        return []
    texts = read_examples(task)
    labels = [label for label in texts if texts[label]]
    rng = derive_rng(seed, "seed pool", task.name)
    order = rng.sample(labels, len(labels))
    chosen: list[Example] = []
    pools = {label: rng.sample(texts[label], len(texts[label])) for label in labels}
    while len(chosen) < count and any(pools.values()):
        for label in order:
            if pools[label] and len(chosen) < count:
                chosen.append(Example(f"seed:{len(chosen)}", pools[label].pop(), label))
    return chosen
