"""The real examples a few-shot run starts from, drawn from the task's train file, balanced over the labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from variegate.config import TaskConfig
from variegate.config.examples import read_examples
from variegate.errors import UsageError, nearest
from variegate.folding import fold
from variegate.kinds import kind_of
from variegate.kinds.text import as_one, folded
from variegate.overlap import find_overlap
from variegate.seeding import derive_rng
from variegate.store.texts import TextSet, read_texts
from variegate.strategies.pool import Example


def real_texts(task: TaskConfig) -> dict[str, list[str]]:
    """label -> texts of the task's train file (CSV or JSONL), in file order; out-of-scope rows are left out.

    Raises UsageError where `read_examples` does, for a label that the task does not know, and when nothing is left.
    """
    if task.data is None or task.data.train is None:
        raise UsageError(f"task {task.name!r}: no data.train to take examples from: name a file there, or set strategy.seed_pool: 0")
    path = Path(task.data.train)
    if not path.is_file():
        raise UsageError(
            f"task {task.name!r}: data.train {path}: no such file: correct the path, set VARIEGATE_DATA to the folder of the data sets, "
            "or set strategy.seed_pool: 0"
        )
    found: dict[str, list[str]] = {label: [] for label in task.labels}
    for text, label in read_examples(path, kind_of(task).text_fields, task.data.label_field).rows:
        if label in found:
            found[label].append(as_one(text))
        elif label != task.data.out_of_scope_label:
            raise UsageError(
                f"{path}: label {label!r} is not one of task {task.name!r}{nearest(label, task.labels)} Add it to the task, or name it "
                "as data.out_of_scope_label"
            )
    if not any(found.values()):
        raise UsageError(f"{path}: every row is out of scope: add rows of the task's labels")
    return found


def draw_seeds(task: TaskConfig, count: int, seed: int) -> list[Example]:
    """`count` real examples, as evenly over the labels as possible (labels that get one more are drawn at random).

    Texts that also stand in the task's dev or test file are left out of the draw where `data.overlap` says so.
    Raises UsageError where `real_texts` does, and when one of those drawn also stands in the dev or test file: it would
    stand in prompts, and a student of what is generated is judged by that file.
    """
    if count == 0:
        return []
    texts = real_texts(task)
    assert task.data is not None  # noqa: S101  # they were read from data.train
    if task.data.overlap == "leave_out":
        texts = _without_held_out(task, texts)
    labels = [label for label in texts if texts[label]]
    rng = derive_rng(seed, "seed pool", task.name)
    order = rng.sample(labels, len(labels))
    chosen: list[Example] = []
    pools = {label: rng.sample(texts[label], len(texts[label])) for label in labels}
    while len(chosen) < count and any(pools.values()):
        for label in order:
            if pools[label] and len(chosen) < count:
                chosen.append(Example(f"seed:{len(chosen)}", pools[label].pop(), label))
    if task.data.overlap == "error":
        _check_not_held_out(task, chosen, seed)
    return chosen


def _held_out(task: TaskConfig) -> Iterator[tuple[str, TextSet]]:
    """The task's dev and test texts, by split. Of a bad row nothing can stand in a prompt; it is an error where the split is used."""
    data = task.data
    assert data is not None  # noqa: S101
    for split, named in (("dev", data.dev), ("test", data.test)):
        if named is not None and Path(named).is_file():
            yield split, read_texts(named, text_field=kind_of(task).text_fields, label_field="", strict=False)


def _without_held_out(task: TaskConfig, texts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Raises UsageError when nothing is left."""
    known = {folded(text) for _, held_out in _held_out(task) for text in held_out.texts or ()}
    left = {label: [text for text in each if fold(text) not in known] for label, each in texts.items()}
    if not any(left.values()):
        raise UsageError(f"task {task.name!r}: every text of data.train also stands in its dev or test data: give another training file")
    return left


def _check_not_held_out(task: TaskConfig, chosen: list[Example], seed: int) -> None:
    """Train and test files of real sets do share some texts: those drawn are what matters."""
    for split, held_out in _held_out(task):
        found = find_overlap([each.text for each in chosen], held_out.texts or ())
        if found:
            place, other = found[0]
            text = repr(chosen[place].text)
            raise UsageError(
                f"task {task.name!r}: {text if len(text) <= 80 else text[:80] + '…'}, drawn from data.train {task.data and task.data.train} as an"
                f" example for prompts, also stands in data.{split} ({held_out.source}: {held_out.ids[other]}), by which students are judged:"
                f" remove it from data.train, leave all such texts out with --set task.data.overlap=leave_out, or draw others with --set"
                f" seed={seed + 1}"
            )
