"""The real examples that a run's works are judged by while it goes on: two small splits, apart from each other and from the test data.

Kept in the run folder, as its seeds are. `validation`: their texts may stand in prompts. `select`: they never do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import RunConfig, TaskConfig
from variegate.config.strategies.base import Judging
from variegate.errors import UsageError
from variegate.kinds import Fields, kind_of
from variegate.kinds.text import as_one, text_of
from variegate.pipeline.real_records import hash_of, hashes_of, read_records
from variegate.pipeline.real_splits import has_split
from variegate.pipeline.seeds import stored_seeds
from variegate.seeding import derive_rng, digest
from variegate.store.entry import Entry, read_entry, read_statement
from variegate.store.files import sha256_of
from variegate.store.run_folder import GOLD, RunFolder
from variegate.strategies.pool import Example

VALIDATION, SELECT = "validation", "select"
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Gold:
    """Ids are `validation:0`, ... and `select:0`, ... Where the whole train data are both, `select` is `validation`."""

    validation: tuple[Example, ...] = ()
    select: tuple[Example, ...] = ()

    @property
    def both(self) -> tuple[Example, ...]:
        return self.validation if self.select is self.validation else (*self.validation, *self.select)

    def key(self) -> str:
        return digest([[each.id, dict(each.fields)] for each in self.both], length=32)


def draw_gold(task: TaskConfig, wanted: Judging, seed: int) -> Gold:
    """`select` out of the task's dev data where it has some, else out of its train data; `validation` out of its train data.

    No text stands in two of validation, select and test data. One that is drawn and also stands in the test data is an error, unless
    `data.overlap` has such left out of the draw. Raises UsageError, also where a split would be empty or have one label.
    """
    test = hashes_of(task, "test") if has_split(task, "test") else {}
    train = _distinct(task, "train")
    if wanted.validation is None or wanted.select is None:
        whole = _examples(task, {key: each for key, each in train.items() if key not in test}, VALIDATION, "train")
        return Gold(whole, whole)
    source = "dev" if has_split(task, "dev") else "train"
    select = _draw(task, train if source == "train" else _distinct(task, source), wanted.select, test, source, SELECT, seed)
    left = {key: each for key, each in train.items() if key not in select}
    validation = _draw(task, left, wanted.validation, test, "train", VALIDATION, seed)
    return Gold(_examples(task, validation, VALIDATION, "train"), _examples(task, select, SELECT, source))


def _distinct(task: TaskConfig, split: str) -> dict[str, Fields]:
    """Hash -> record: of equal texts the first."""
    found: dict[str, Fields] = {}
    for fields in read_records(task, split):
        found.setdefault(hash_of(task, fields), fields)
    return found


def _draw(
    task: TaskConfig, records: Mapping[str, Fields], size: int, test: Mapping[str, str], source: str, name: str, seed: int
) -> dict[str, Fields]:
    """`size` of them, or all, as the seed has it: a larger draw holds the smaller one."""
    assert task.data is not None  # noqa: S101  # the records are of a split
    leave_out = task.data.overlap == "leave_out"
    keys = [key for key in records if not (leave_out and key in test)]
    chosen = derive_rng(seed, name, task.name).sample(keys, len(keys))[:size]
    for key in chosen:
        if key in test:
            text = repr(as_one(text_of(kind_of(task).texts(records[key]))))
            raise UsageError(
                f"task {task.name!r}: {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}, drawn from data.{source} for the split {name},"
                f" also stands in data.test ({test[key]}), by which students are judged: remove it from data.{source}, or leave all such"
                " texts out with --set task.data.overlap=leave_out"
            )
    return {key: records[key] for key in chosen}


def _examples(task: TaskConfig, records: Mapping[str, Fields], name: str, source: str) -> tuple[Example, ...]:
    """Raises UsageError where there are none, or all have one label."""
    kind = kind_of(task)
    found = tuple(Example(f"{name}:{place}", each, kind.target(each).name) for place, each in enumerate(records.values()))
    if not found:
        raise UsageError(
            f"task {task.name!r}: nothing is left of data.{source} for the split {name}: what else stands there went to the other split, or"
            f" stands in the test data: give data.{source} more rows, or set strategy.validation and strategy.select lower"
        )
    if len(task.labels) > 1 and len({each.label for each in found}) == 1:
        raise UsageError(
            f"task {task.name!r}: all {len(found)} examples of the split {name}, drawn from data.{source}, have the label {found[0].label!r}:"
            f" nothing can be learnt from them of the others: set strategy.{name} higher, or give data.{source} examples of every label"
        )
    return found


def gold_of(folder: RunFolder, config: RunConfig) -> Gold:
    """The run's: that in its folder, where it is of these settings and data; else drawn now, and kept there. Where the data files are
    gone, that in the folder stands. Raises UsageError as `draw_gold` does."""
    gold, facts = _gold(folder, config)
    if facts is not None:
        folder.shelf.put(GOLD, digest(facts), _rows(gold), facts)
    return gold


def planned_gold(folder: RunFolder, config: RunConfig) -> Gold:
    """That which a run would take; nothing is written. Raises UsageError as `draw_gold` does."""
    return _gold(folder, config)[0]


def stored_gold(folder: RunFolder) -> Gold:
    """That of the run in the folder. Raises StoreError where it is damaged."""
    path = folder.path / GOLD
    return _of(read_entry(path, read_statement(path, GOLD))) if path.is_dir() else Gold()


def stored_examples(folder: RunFolder) -> list[Example]:
    """All real examples that the run in the folder had: what it started from, and what its works were judged by."""
    return [*stored_seeds(folder), *stored_gold(folder).both]


def _gold(folder: RunFolder, config: RunConfig) -> tuple[Gold, dict[str, Any] | None]:
    """That of the folder, or a new one with what it depends on."""
    judging, task = config.strategy.judging, config.task
    if judging is None:
        return Gold(), None
    data = task.data.model_dump(mode="json", exclude_defaults=True) if task.data else None
    wanted = {"judging": [judging.validation, judging.select], "seed": config.seed, "task": task.name, "data": data}
    named = {split: Path(getattr(task.data, split)) for split in ("train", "dev", "test") if has_split(task, split)}
    files = {split: sha256_of(path) for split, path in named.items() if path.is_file()}
    entry = folder.shelf.get(GOLD)
    if entry is not None and entry.facts["wanted"] == wanted and ("train" not in files or entry.facts["files"] == files):
        return _of(entry), None
    return draw_gold(task, judging, config.seed), {"wanted": wanted, "files": files}


def _rows(gold: Gold) -> Iterator[dict[str, Any]]:
    both = gold.select is gold.validation
    for each in gold.both:
        yield {"id": each.id, "label": each.label, "fields": dict(each.fields), "both": both}


def _of(entry: Entry) -> Gold:
    rows = entry.rows()
    examples = [Example(row["id"], row["fields"], row["label"]) for row in rows]
    if any(row["both"] for row in rows):
        whole = tuple(examples)
        return Gold(whole, whole)
    return Gold(*(tuple(each for each in examples if each.id.startswith(f"{name}:")) for name in (VALIDATION, SELECT)))
