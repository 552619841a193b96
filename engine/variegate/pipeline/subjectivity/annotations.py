"""A file with several labels of each text, in one of three forms.

    long     a row is one label by one annotator: text or id, label, annotator
    list     a row is an item: text or id, and a list of labels in one field
    columns  a row is an item: text or id, and one column for each annotator

Knows rows and items; knows nothing of agreement.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

from variegate.errors import UsageError, nearest
from variegate.kinds.text import Text, comparable, text_of
from variegate.pipeline.tables import fields_here, name_in, rows_of, whole
from variegate.store.text_rows import TEXT_FIELDS, TEXT_PAIRS, Asked

LIST_FIELD = "labels"
ANNOTATOR_FIELDS = ("annotator", "worker", "judge", "rater", "annotator_id", "worker_id", "user")
_ID = "id"
TRUE_FIELD = "label"  # of the forms whose rows are items


@dataclass(frozen=True, slots=True)
class Asks:
    """The fields as the user names them; None: to be found. columns: of the form `columns`."""

    text: str | None = None
    label: str | None = None  # of the long form
    labels: str | None = None  # of the form `list`
    columns: tuple[str, ...] = ()
    annotator: str | None = None
    true: str | None = None  # "": none
    id: str | None = None  # "": rows of the long form are told apart by their texts alone


@dataclass(frozen=True, slots=True)
class Annotated:
    """n items; `ids`, `texts`, `votes` and `true` belong together. votes: the labels of each, at least one."""

    source: str
    form: str  # "long", "list", "columns" or "model"
    ids: tuple[str, ...]  # "" where the source has none
    texts: tuple[Text, ...] | None  # None where the source has ids alone
    votes: tuple[tuple[str, ...], ...]
    true: tuple[str, ...] | None  # "" where an item has none; None: the source has no such field
    true_field: str | None
    num_annotators: int | None  # None where they are not told apart
    unlabelled: int = 0  # items left out, because nobody labelled them
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.votes)

    def take(self, places: Sequence[int]) -> Annotated:
        def some(values: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(values[place] for place in places)

        return replace(
            self,
            ids=some(self.ids),
            texts=None if self.texts is None else some(self.texts),
            votes=some(self.votes),
            true=None if self.true is None else some(self.true),
        )


@dataclass(slots=True)
class _Item:
    id: str
    text: Text | None
    where: str
    votes: list[str] = field(default_factory=list)
    by: dict[str, tuple[str, str]] = field(default_factory=dict)  # annotator -> (label, where)
    true: str = ""


def read_annotations(path: Path, asks: Asks) -> Annotated:
    """Raises UsageError, naming file and line, for what cannot be read, and where no item has a label."""
    rows = rows_of(path)
    head = next(rows)
    where, first = head
    form = _form(first, asks, where)
    label, true = _fields(first, form, asks, where)
    annotator = asks.annotator or next((name for name in ANNOTATOR_FIELDS if name in first), None)
    items: dict[str, _Item] = {}
    annotators: set[str] = set()
    twice = 0
    for where, row in chain([head], rows):
        item = _item(row, asks, items, where, several=form == "long")
        if true is not None:
            _add_true(item, name_in(row, true, where), where)
        if form == "columns":
            _need(row, asks.columns, "--columns", where)
            item.votes += filter(None, (name_in(row, name, where) for name in asks.columns))
        elif form == "list":
            _need(row, (label,), "--labels-field", where)
            item.votes += _listed(row[label], label, where)
        else:
            twice += not _add_vote(item, row, label, annotator, where)
            annotators |= {name_in(row, annotator, where)} if annotator else set()
    return _annotated(str(path), form, items, true, len(annotators) or len(asks.columns) or None, twice)


def _form(row: Mapping[str, Any], asks: Asks, where: str) -> str:
    if asks.columns and (asks.labels or asks.label or asks.annotator):
        raise UsageError(
            "--columns: the annotators are columns, so --labels-field, --label-field and --annotator-field name nothing: leave them out"
        )
    if asks.labels and (asks.label or asks.annotator):
        raise UsageError(
            "--labels-field: a row holds all labels of a text, so --label-field and --annotator-field name nothing: leave them out"
        )
    if asks.columns:
        return "columns"
    if asks.labels or (asks.label is None and asks.annotator is None and isinstance(row.get(LIST_FIELD), list)):
        return "list"
    if asks.label or asks.annotator or "label" in row:
        return "long"
    raise UsageError(
        f"{where}: holds neither a list of labels in a field {LIST_FIELD!r}, nor a field 'label' with one annotator's label. Fields here:"
        f" {fields_here(dict(row))}. Name the list with --labels-field, the label with --label-field, or the annotators' columns with --columns"
    )


def _fields(row: Mapping[str, Any], form: str, asks: Asks, where: str) -> tuple[str, str | None]:
    """(field of the label or labels, field of the true label or None)"""
    label = asks.labels or LIST_FIELD if form == "list" else asks.label or "label"
    true = asks.true if asks.true is not None else (TRUE_FIELD if form != "long" and TRUE_FIELD in row else "")
    if form != "columns":
        _need(row, (label,), "--labels-field" if form == "list" else "--label-field", where)
    if asks.annotator:
        _need(row, (asks.annotator,), "--annotator-field", where)
    if asks.id:
        _need(row, (asks.id,), "--id-field", where)
    if true:
        _need(row, (true,), "--true-field", where)
        if true in (*asks.columns, label if form == "long" else None):
            raise UsageError(f"--true-field {true}: is also one annotator's label: name another field, or '' for none")
    return label, true or None


def _need(row: Mapping[str, Any], names: Sequence[str], option: str, where: str) -> None:
    for name in names:
        if name not in row:
            raise UsageError(
                f"{where}: no field {name!r}{nearest(name, row)} Fields here: {fields_here(dict(row))}. Name the right one with {option}"
            )


# -- one row ---------------------------------------------------------------------------------------------------


def text_in(row: Mapping[str, Any], asked: str | None, where: str, *, has_id: bool) -> Text | None:
    """The row's text, by the rules of `read_texts`; None where it has an id and no field of a text."""
    told = asked is not None or any(name in row for name in TEXT_FIELDS) or any(set(pair) <= set(row) for pair in TEXT_PAIRS)
    if not told and has_id:
        return None
    names = Asked(asked, "").choose(list(row), where).text
    parts = []
    for name in names:
        value = row[name]
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            value = " ".join(value)
        if not isinstance(value, str) or not value.strip():
            raise UsageError(
                f"{where}: field {name!r}: expected text, got {value!r:.60}: fill it in, or name another field with --text-field"
            )
        parts.append(whole(value, name, where))
    return text_of(parts)


def _item(row: dict[str, Any], asks: Asks, items: dict[str, _Item], where: str, *, several: bool) -> _Item:
    """The row's item, found or made. several: rows of one item are expected."""
    id = name_in(row, _ID if asks.id is None else asks.id, where)
    text = text_in(row, asks.text, where, has_id=bool(id))
    key = f"id {id}" if id else f"text {comparable(text or '')}" if several else f"row {len(items)}"
    found = items.get(key)
    if found is None:
        items[key] = _Item(id, text, where)
        return items[key]
    if not several:
        raise UsageError(f"{where}: id {id!r} stands also at {found.where}: give every text an id of its own")
    if text is not None and found.text is not None and text != found.text:
        raise UsageError(f"{where}: id {id!r} has another text than at {found.where}: give every text an id of its own")
    found.text = found.text if text is None else text
    return found


def _add_true(item: _Item, true: str, where: str) -> None:
    if true and item.true and true != item.true:
        raise UsageError(
            f"{where}: the true label is {true!r}, and that of the same text at {item.where} is {item.true!r}: correct one of them"
        )
    item.true = item.true or true


def _listed(value: Any, name: str, where: str) -> list[str]:
    if not isinstance(value, list):
        raise UsageError(
            f"{where}: field {name!r}: expected a list of labels, got {value!r:.60}: in CSV, give each annotator a column (--columns)"
        )
    return [label for each in value if (label := name_in({name: each}, name, where))]


def _add_vote(item: _Item, row: dict[str, Any], label: str, annotator: str | None, where: str) -> bool:
    """False where this annotator had said the same of this item before."""
    given = name_in(row, label, where)
    if not given:
        raise UsageError(f"{where}: field {label!r} is empty: fill it in, or delete the row")
    who = name_in(row, annotator, where) if annotator else ""
    if annotator and not who:
        raise UsageError(f"{where}: field {annotator!r} is empty: say who gave the label")
    if annotator and who in item.by:
        earlier, earlier_where = item.by[who]
        if earlier != given:
            raise UsageError(
                f"{where}: {who!r} says {given!r} of a text of which they say {earlier!r} at {earlier_where}: keep one of the two rows"
            )
        return False
    item.by[who] = (given, where)
    item.votes.append(given)
    return True


def _annotated(source: str, form: str, items: Mapping[str, _Item], true: str | None, num_annotators: int | None, twice: int) -> Annotated:
    kept = [item for item in items.values() if item.votes]
    if not kept:
        raise UsageError(f"{source}: none of its {len(items)} items has a label: give the field with the labels")
    without = sum(item.text is None for item in kept)
    if 0 < without < len(kept):
        lacking = next(item for item in kept if item.text is None)
        raise UsageError(f"{lacking.where}: has no text, and other rows have one: give every row its text, or none")
    warnings = [f"{twice} rows repeat what the same annotator said of the same text: counted once"] if twice else []
    return Annotated(
        source=source,
        form=form,
        ids=tuple(item.id for item in kept),
        texts=None if without else tuple(item.text or "" for item in kept),
        votes=tuple(tuple(item.votes) for item in kept),
        true=None if true is None else tuple(item.true for item in kept),
        true_field=true,
        num_annotators=num_annotators,
        unlabelled=len(items) - len(kept),
        warnings=tuple(warnings),
    )
