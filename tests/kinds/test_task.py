"""What every task file must hold, shown on the simplest kind."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from variegate.kinds.classification import ClassificationTask
from variegate.kinds.task import TaskConfig

LABEL = {"phrase": "p", "description": "d"}


def task(**fields: Any) -> TaskConfig:
    whole = {"kind": "classification", "name": "feelings", "text_type": "tweet", "context": "You write tweets.", "labels": {"joy": LABEL}}
    return ClassificationTask.model_validate({**whole, **fields})


def test_labels_are_sorted_and_titled() -> None:
    found = task(labels={"pin_blocked": LABEL, "atm": LABEL, "refund": {**LABEL, "title": "money back"}}).labels
    assert list(found) == ["atm", "pin_blocked", "refund"]
    assert [each.title for each in found.values()] == ["atm", "pin blocked", "money back"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"labels": {}}, "at least 1"),
        ({"labels": {" ": LABEL}}, "at least 1 character"),
        ({"labels": {"a": {"phrase": "p", "description": "  "}}}, "at least 1 character"),
        ({"labels": {"a": {"phrase": "p"}}}, "description"),
        ({"labels": {"a_b": LABEL, "a b": LABEL}}, "one title"),
        ({"word_limit": 0}, "greater than or equal to 1"),
        ({"data": {"out_of_scope_label": "joy"}}, "also one of the labels"),
        ({"kind": "slots"}, "classification"),
        ({"context": ""}, "at least 1 character"),
    ],
)
def test_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        task(**fields)
