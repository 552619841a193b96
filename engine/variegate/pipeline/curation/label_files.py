"""A file of labels for a run's records: rows with `id` or `text`, and `label` or `scope`. Strict: a bad row is an error.

Knows rows and records; knows nothing of what the labels are used for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import TaskConfig
from variegate.errors import UsageError, nearest, some_of
from variegate.kinds import TaskKind, kind_of
from variegate.kinds.text import folded, text_of
from variegate.pipeline.tables import fields_here, rows_of
from variegate.records import Record
from variegate.store.kind import text_in

OUT_LABELS = ("oos", "out")  # say "out of scope" in a label field, beside the task's own data.out_of_scope_label


@dataclass(frozen=True, slots=True)
class Given:
    """What is known of one record. label: one of the task's; None where it is out of scope, or only its scope is known."""

    label: str | None
    in_scope: bool


@dataclass(frozen=True, slots=True)
class FileLabels:
    by_id: Mapping[str, Given]  # record id -> what the file says of it
    facts: Mapping[str, Any]  # rows, and how many of them name no record of the run


def read_label_file(path: Path, task: TaskConfig, records: Sequence[Record]) -> FileLabels:
    """The labels of a .jsonl, .csv, .tsv or .json file.

    A row names its record by `id`; by its text fields (`text`; equal after folding) where it has no id, or an id of another run.
    Its `label`
    is one of the task's, or says that the text is out of scope: the task's data.out_of_scope_label, `oos` or `out`; or a
    field `scope` says `in` or `out`. Rows of texts that are no records of the run are counted.

    Raises UsageError, naming file and line, for a row that cannot be read, a label the task does not know, two rows that
    contradict each other; and where no row matches a record.
    """
    kind = kind_of(task)
    ids = {record.id for record in records}
    texts: dict[str, list[str]] = {}
    for record in records:
        texts.setdefault(folded(text_in(kind, record)), []).append(record.id)
    found: dict[str, tuple[Given, str]] = {}
    num_rows = num_unmatched = 0
    for where, row in rows_of(path):
        num_rows += 1
        given = _given(row, where, task)
        matched = _match(row, where, kind, ids, texts)
        num_unmatched += not matched
        for id in matched:
            earlier, earlier_where = found.setdefault(id, (given, where))
            if earlier != given:
                raise UsageError(
                    f"{where}: says {_said(given)} of a text of which {earlier_where} says {_said(earlier)}: correct one of the two rows"
                )
    if not found:
        raise UsageError(
            f"{path}: none of its {num_rows} rows matches one of the run's {len(records)} records, by `id` or by {' and '.join(f'`{name}`' for name in kind.text_names)}: is it of another run?"
            " `variegate export` writes the ids and texts of this one"
        )
    facts = {"rows": num_rows, "rows_of_no_record": num_unmatched, "records": len(found)}
    return FileLabels({id: given for id, (given, _) in found.items()}, facts)


def _match(row: dict[str, Any], where: str, kind: TaskKind, ids: set[str], texts: Mapping[str, Sequence[str]]) -> Sequence[str]:
    id, parts = row.get("id"), {name: row.get(name) for name in kind.text_names}
    missing = [name for name, part in parts.items() if part in (None, "")]
    if id in (None, "") and missing:
        raise UsageError(f"{where}: has neither `id` nor `{missing[0]}`, so it names no record. Fields here: {fields_here(row)}")
    if isinstance(id, str) and id in ids:
        return [id]
    for name, part in parts.items():
        if part is not None and not isinstance(part, str):
            raise UsageError(f"{where}: field {name!r}: expected text, got {part!r}")
    return [] if missing else texts.get(folded(text_of(tuple(map(str, parts.values())))), [])


def _given(row: dict[str, Any], where: str, task: TaskConfig) -> Given:
    scope, label = row.get("scope"), row.get("label")
    label = str(label).strip() if isinstance(label, str | int) and not isinstance(label, bool) else label
    if scope not in (None, "") and str(scope).strip().casefold() not in ("in", "out"):
        raise UsageError(f"{where}: field 'scope': expected in or out, got {scope!r}")
    in_scope = None if scope in (None, "") else str(scope).strip().casefold() == "in"
    if label in (None, ""):
        if in_scope is None:
            raise UsageError(f"{where}: has neither `label` nor `scope`: fill one in, or delete the row. Fields here: {fields_here(row)}")
        return Given(None, in_scope)
    if not isinstance(label, str):
        raise UsageError(f"{where}: field 'label': expected a label's name, got {label!r}")
    own_out = task.data.out_of_scope_label if task.data else None
    if label not in task.labels and label not in (own_out, *OUT_LABELS):
        raise UsageError(
            f"{where}: label {label!r} is not one of task {task.name!r}{nearest(label, task.labels)} Its labels: {some_of(list(task.labels), 10)};"
            f" out of scope is {' or '.join(repr(each) for each in (own_out, *OUT_LABELS) if each)}"
        )
    is_label = label in task.labels
    if in_scope is not None and in_scope != is_label:
        raise UsageError(
            f"{where}: label {label!r} with scope {scope!r}: out of scope means no label, and in scope a label: correct the row"
        )
    return Given(label if is_label else None, is_label)


def _said(given: Given) -> str:
    return repr(given.label) if given.label is not None else "in scope" if given.in_scope else "out of scope"
