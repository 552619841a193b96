from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import UsageError
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.predictions import predict_with, read_predictions

ITEMS = Annotated(
    source="items.jsonl", form="list", ids=("1", "2", ""), texts=("A fine day", "help", "a  FINE day"), votes=(("a", "b"),) * 3,
    true=None, true_field=None, num_annotators=None,
)  # fmt: skip


def predictions(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def fails(path: Path, items: Annotated = ITEMS) -> str:
    with pytest.raises(UsageError) as error:
        read_predictions(path, items, None)
    return str(error.value)


def test_by_id_and_by_text(tmp_path: Path) -> None:
    """An id of the items counts alone; otherwise the text, which case and spaces do not change."""
    path = predictions(
        tmp_path / "p.jsonl", {"id": "2", "text": "a fine day", "label": "a"}, {"id": "x", "text": "a fine DAY", "label": "b"}
    )
    found = read_predictions(path, ITEMS, None)
    assert (found.labels, found.num_rows, found.num_of_no_item, found.field) == (("b", "a", "b"), 2, 0, "label")


def test_a_field_of_predictions_comes_before_the_label(tmp_path: Path) -> None:
    path = predictions(tmp_path / "p.jsonl", {"id": 1, "label": "true", "prediction": "a"})
    assert read_predictions(path, ITEMS, None).labels == ("a", None, None)
    assert read_predictions(path, ITEMS, None).field == "prediction"


def test_rows_of_other_items_are_counted(tmp_path: Path) -> None:
    path = predictions(tmp_path / "p.jsonl", {"id": "1", "label": "a"}, {"id": "9", "label": "a"})
    assert read_predictions(path, ITEMS, None).num_of_no_item == 1


def test_errors(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    assert "none of its 1 predictions is for one of the 3 items" in fails(predictions(path, {"text": "other", "label": "a"}))
    said = fails(predictions(path, {"id": "1", "label": "a"}, {"text": "A fine day", "label": "b"}))
    assert "p.jsonl:2: predicts 'b' for a text for which" in said
    assert "p.jsonl:1 predicts 'a'" in said
    assert "p.jsonl:1: no predicted label: expected one in a field 'prediction' or 'predicted' or 'label'" in fails(
        predictions(path, {"id": "1"})
    )
    assert "no predicted label" in fails(predictions(path, {"id": "1", "label": ""}))


def test_a_saved_student_needs_texts(tmp_path: Path) -> None:
    bare = Annotated("items.csv", "list", ("1",), None, (("a", "b"),), None, None, None)
    with pytest.raises(UsageError, match=r"a student reads texts, and items\.csv has ids alone"):
        predict_with(tmp_path, bare)
