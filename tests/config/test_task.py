from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config import TaskConfig

Value = Callable[..., dict[str, Any]]


def task(value: Value, **fields: Any) -> TaskConfig:
    return TaskConfig.model_validate({**value()["task"], **fields})


def test_labels_are_sorted_and_titled(value: Value) -> None:
    label = {"phrase": "p", "description": "d"}
    found = task(value, labels={"pin_blocked": label, "atm": label, "refund": {**label, "title": "money back"}}).labels
    assert list(found) == ["atm", "pin_blocked", "refund"]
    assert [each.title for each in found.values()] == ["atm", "pin blocked", "money back"]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"labels": {}}, "at least 1"),
        ({"labels": {" ": {"phrase": "p", "description": "d"}}}, "at least 1 character"),
        ({"labels": {"a": {"phrase": "p", "description": "  "}}}, "at least 1 character"),
        ({"labels": {"a": {"phrase": "p"}}}, "description"),
        ({"labels": {"a_b": {"phrase": "p", "description": "d"}, "a b": {"phrase": "p", "description": "d"}}}, "one title"),
        ({"word_limit": 0}, "greater than or equal to 1"),
        ({"data": {"out_of_scope_label": "joy"}}, "also one of the labels"),
        ({"kind": "slots"}, "classification"),
        ({"context": ""}, "at least 1 character"),
    ],
)
def test_refused(value: Value, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        task(value, **fields)
