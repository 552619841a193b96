"""What students say of annotated items: from a file of predictions, or from a saved student that reads the texts.

Knows items and labels; knows nothing of agreement.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from variegate.errors import UsageError
from variegate.kinds.text import folded
from variegate.pipeline.subjectivity.annotations import Annotated, text_in
from variegate.pipeline.tables import fields_here, name_in, rows_of
from variegate.progress import Report

PREDICTION_FIELDS = ("prediction", "predicted", "label")  # the first of these that is there


@dataclass(frozen=True, slots=True)
class Predicted:
    labels: tuple[str | None, ...]  # of each item; None where the file says nothing of it
    num_rows: int
    num_of_no_item: int
    field: str


def read_predictions(path: Path, items: Annotated, text_field: str | None) -> Predicted:
    """One predicted label an item: rows with `id` or text (equal after folding), and one of PREDICTION_FIELDS.

    An id counts where it is one of the items'; otherwise the text does. Equal texts share a prediction.
    Raises UsageError for a row that cannot be read, two rows that contradict each other, and where no row matches an item.
    """
    by_id = {id: place for place, id in enumerate(items.ids) if id}
    by_text: dict[str, list[int]] = {}
    for place, each in enumerate(items.texts or ()):
        by_text.setdefault(folded(each), []).append(place)
    found: dict[int, tuple[str, str]] = {}
    num_rows = num_of_no_item = 0
    label_field = ""
    for where, row in rows_of(path):
        num_rows += 1
        label_field = label_field or next((name for name in PREDICTION_FIELDS if name in row), "")
        if not label_field or not (label := name_in(row, label_field, where)):
            raise UsageError(
                f"{where}: no predicted label: expected one in a field {' or '.join(map(repr, PREDICTION_FIELDS))}. Fields here: {fields_here(row)}"
            )
        id = name_in(row, "id", where)
        if id in by_id:
            places = [by_id[id]]
        else:
            text = text_in(row, text_field, where, has_id=bool(id)) if by_text else None
            places = by_text.get(folded(text), []) if text is not None else []
        num_of_no_item += not places
        for place in places:
            earlier, earlier_where = found.setdefault(place, (label, where))
            if earlier != label:
                raise UsageError(
                    f"{where}: predicts {label!r} for a text for which {earlier_where} predicts {earlier!r}: keep one of the two rows"
                )
    if not found:
        raise UsageError(
            f"{path}: none of its {num_rows} predictions is for one of the {len(items)} items of {items.source}, by `id` or by text: is it of"
            " other data?"
        )
    return Predicted(
        tuple(found[place][0] if place in found else None for place in range(len(items))), num_rows, num_of_no_item, label_field
    )


def predict_with(folder: Path, items: Annotated, progress: Report | None = None) -> Predicted:
    """The labels that a saved student gives the items' texts. Raises UsageError where the items have none."""
    if items.texts is None:
        raise UsageError(f"{folder}: a student reads texts, and {items.source} has ids alone: add the texts, or give a file of predictions")
    from variegate.students import load

    found = load(folder).predict(items.texts, progress=progress)
    return Predicted(tuple(found.labels), len(items), 0, "")
