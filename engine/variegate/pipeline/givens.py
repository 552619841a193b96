"""What a run's records are given that no model writes: the premises of a task of pairs. Kept in the run folder, as its seeds are.

Knows the task's train file and the run folder; knows nothing of how a strategy draws from what is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from variegate.config import RunConfig, TaskConfig
from variegate.kinds import Fields, kind_of
from variegate.kinds.text import parts_of
from variegate.pipeline.real_records import read_records
from variegate.pipeline.seeds import real_texts
from variegate.seeding import digest
from variegate.store.entry import Entry
from variegate.store.files import sha256_of
from variegate.store.run_folder import GIVENS, RunFolder


def find_givens(task: TaskConfig) -> list[Fields]:
    """What a target can be given, each once; one empty mapping where the model writes all of a record.

    Raises UsageError as `real_texts` does.
    """
    kind = kind_of(task)
    nothing = kind.givens([])
    if nothing:
        return nothing
    if not kind.labelled:
        return kind.givens(read_records(task, "train"))
    return kind.givens(kind.fields(parts_of(text), label) for label, texts in real_texts(task).items() for text in texts)


def givens_of(folder: RunFolder, config: RunConfig) -> list[Fields]:
    """The run's: those in its folder, where they are of these data; else found now, and kept there. Where the data file is gone,
    those in the folder stand. Raises UsageError as `find_givens` does."""
    givens, facts = _givens(folder, config)
    if facts is not None:
        folder.shelf.put(GIVENS, digest(facts), ({"given": dict(each)} for each in givens), facts)
    return givens


def planned_givens(folder: RunFolder, config: RunConfig) -> list[Fields]:
    """Those that a run would take; nothing is written. Raises UsageError as `find_givens` does."""
    return _givens(folder, config)[0]


def _givens(folder: RunFolder, config: RunConfig) -> tuple[list[Fields], dict[str, Any] | None]:
    """Those of the folder, or new ones with what they depend on."""
    task = config.task
    nothing = kind_of(task).givens([])
    if nothing:
        return nothing, None
    wanted = {"task": task.name, "data": task.data.model_dump(mode="json", exclude_defaults=True) if task.data else None}
    train = Path(task.data.train) if task.data and task.data.train else None
    sha256 = sha256_of(train) if train is not None and train.is_file() else None
    entry: Entry | None = folder.shelf.get(GIVENS)
    if entry is not None and entry.facts["wanted"] == wanted and sha256 in (None, entry.facts["sha256"]):
        return [row["given"] for row in entry.rows()], None
    return find_givens(task), {"wanted": wanted, "sha256": sha256}
