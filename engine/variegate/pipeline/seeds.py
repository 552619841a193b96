"""The real examples that a run starts from: drawn from the task's train file, balanced over the labels, and kept in the run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from variegate.config import RunConfig, TaskConfig
from variegate.config.examples import read_examples
from variegate.errors import UsageError, nearest
from variegate.kinds import kind_of
from variegate.kinds.text import Text, as_one, folded, parts_of, text_of
from variegate.overlap import find_overlap
from variegate.seeding import derive_rng, digest
from variegate.store.entry import Entry, read_entry, read_statement
from variegate.store.files import sha256_of
from variegate.store.run_folder import SEEDS, RunFolder
from variegate.store.texts import TextSet, read_texts
from variegate.strategies.pool import Example

_NONE = "ask for no examples (few_shot: strategy.seed_pool: 0; promptmix: strategy.shots: 0)"


def real_texts(task: TaskConfig) -> dict[str, list[Text]]:
    """label -> texts of the task's train file (CSV or JSONL), in file order; out-of-scope rows are left out.

    Raises UsageError where `read_examples` does, for a label that the task does not know, and when nothing is left.
    """
    if task.data is None or task.data.train is None:
        raise UsageError(f"task {task.name!r}: no data.train to take examples from: name a file there, or {_NONE}")
    path = Path(task.data.train)
    if not path.is_file():
        raise UsageError(
            f"task {task.name!r}: data.train {path}: no such file: correct the path, set VARIEGATE_DATA to the folder of the data sets, "
            f"or {_NONE}"
        )
    found: dict[str, list[Text]] = {label: [] for label in task.labels}
    for text, label in read_examples(path, kind_of(task).text_fields, task.data.label_field).rows:
        if label in found:
            found[label].append(text)
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
    kind, texts = kind_of(task), real_texts(task)
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
                chosen.append(Example(f"seed:{len(chosen)}", kind.fields(parts_of(pools[label].pop()), label), label))
    if task.data.overlap == "error":
        _check_not_held_out(task, chosen, seed)
    return chosen


def seeds_of(folder: RunFolder, config: RunConfig) -> list[Example]:
    """The run's seeds: those in its folder, where they are of these settings and data; else drawn now, and kept there.

    Where the data file is gone, those in the folder stand. Raises UsageError as `draw_seeds` does.
    """
    seeds = _seeds(folder, config)
    if isinstance(seeds, Entry):
        return _examples(seeds.rows())
    drawn, facts = seeds
    if drawn:
        rows = [{"id": each.id, "label": each.label, "fields": dict(each.fields)} for each in drawn]
        folder.shelf.put(SEEDS, digest(facts), rows, facts)
    return drawn


def planned_seeds(folder: RunFolder, config: RunConfig) -> list[Example]:
    """Those that a run would start from; nothing is written. Raises UsageError as `draw_seeds` does."""
    seeds = _seeds(folder, config)
    return _examples(seeds.rows()) if isinstance(seeds, Entry) else seeds[0]


def stored_seeds(folder: RunFolder) -> list[Example]:
    """Those that the run in the folder started from. Raises StoreError where they are damaged."""
    path = folder.path / SEEDS
    return _examples(read_entry(path, read_statement(path, SEEDS)).rows()) if path.is_dir() else []


def _examples(rows: list[dict[str, Any]]) -> list[Example]:
    return [Example(row["id"], row["fields"], row["label"]) for row in rows]


def _seeds(folder: RunFolder, config: RunConfig) -> Entry | tuple[list[Example], dict[str, Any]]:
    """The folder's, where they are of these settings and data; else drawn, with what they depend on."""
    task = config.task
    number = config.strategy.num_seeds(len(task.labels))
    if number == 0:
        return [], {}
    assert task.data is not None  # noqa: S101  # a run without it is refused by its configuration
    files = {split: sha256_of(Path(name)) for split, name in _files(task) if Path(name).is_file()}
    wanted = {"number": number, "seed": config.seed, "task": task.name, "data": task.data.model_dump(mode="json", exclude_defaults=True)}
    entry = folder.shelf.get(SEEDS)
    if entry is not None and entry.facts["wanted"] == wanted and ("train" not in files or entry.facts["files"] == files):
        return entry
    return draw_seeds(task, number, config.seed), {"wanted": wanted, "files": files}


def _files(task: TaskConfig) -> Iterator[tuple[str, str]]:
    """(split, file) of the task's data."""
    for split in ("train", "dev", "test"):
        name = getattr(task.data, split)
        if name is not None:
            yield split, name


def _held_out(task: TaskConfig) -> Iterator[tuple[str, TextSet]]:
    """The task's dev and test texts, by split. Of a bad row nothing can stand in a prompt; it is an error where the split is used."""
    data = task.data
    assert data is not None  # noqa: S101
    for split, named in _files(task):
        if split != "train" and Path(named).is_file():
            yield split, read_texts(named, text_field=kind_of(task).text_fields, label_field="", strict=False)


def _without_held_out(task: TaskConfig, texts: dict[str, list[Text]]) -> dict[str, list[Text]]:
    """Raises UsageError when nothing is left."""
    known = {folded(text) for _, held_out in _held_out(task) for text in held_out.texts or ()}
    left = {label: [text for text in each if folded(text) not in known] for label, each in texts.items()}
    if not any(left.values()):
        raise UsageError(f"task {task.name!r}: every text of data.train also stands in its dev or test data: give another training file")
    return left


def _check_not_held_out(task: TaskConfig, chosen: list[Example], seed: int) -> None:
    """Train and test files of real sets do share some texts: those drawn are what matters."""
    kind = kind_of(task)
    texts = [text_of(kind.texts(each.fields)) for each in chosen]
    for split, held_out in _held_out(task):
        found = find_overlap(texts, held_out.texts or ())
        if found:
            place, other = found[0]
            text = repr(as_one(texts[place]))
            raise UsageError(
                f"task {task.name!r}: {text if len(text) <= 80 else text[:80] + '…'}, drawn from data.train {task.data and task.data.train} as an"
                f" example for prompts, also stands in data.{split} ({held_out.source}: {held_out.ids[other]}), by which students are judged:"
                f" remove it from data.train, leave all such texts out with --set task.data.overlap=leave_out, or draw others with --set"
                f" seed={seed + 1}"
            )
