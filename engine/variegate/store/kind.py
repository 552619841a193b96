"""The task kind of a run folder, and a record's texts by it. Knows nothing of what else stands in a folder."""

from __future__ import annotations

from variegate.errors import UsageError
from variegate.kinds import TaskKind, kind_of
from variegate.kinds.text import Text, text_of
from variegate.records import Record
from variegate.store.run_folder import RunFolder
from variegate.store.settings import read_settings


def kind_of_run(folder: RunFolder) -> TaskKind:
    """Raises StoreError where run.yaml cannot be read, UsageError where its kind is of a package that is not installed."""
    try:
        return kind_of(read_settings(folder)["task"])
    except UsageError as error:
        raise UsageError(f"{folder.path / 'run.yaml'}: {error}. Install the package that adds it") from error


def text_in(kind: TaskKind, record: Record) -> Text:
    """What the record says: one text, or those of a pair."""
    return text_of(kind.texts(record.fields))
