"""The study file's fields: what is refused, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config.study import AxesConfig, StudyConfig

Value = Callable[..., dict[str, Any]]


def study(value: Value, **parts: Any) -> StudyConfig:
    return StudyConfig.model_validate({"name": "s", "run": value(), "axes": {}, "output": "o", **parts})


def test_axes_are_listed_in_one_order_with_options_as_words() -> None:
    axes = AxesConfig.model_validate(
        {
            "curation": [None, "lr"],
            "examples": ["without", "with"],
            "prompt": {"short": {"decoding.max_tokens": 20}, "long": {}},
            "suppression": [False, "label"],  # what YAML makes of a bare `off`
            "temperature": [0.7, 1],
            "seeding": [0, 18],
            "strategy": ["zero_shot"],
        }
    )
    assert axes.options() == {
        "strategy": ["zero_shot"],
        "seeding": ["0", "18"],
        "temperature": ["0.7", "1"],
        "suppression": ["off", "label"],
        "prompt": ["short", "long"],
        "curation": ["none", "lr"],
        "examples": ["without", "with"],
    }
    assert list(axes.options()) == ["strategy", "seeding", "temperature", "suppression", "prompt", "curation", "examples"]
    assert AxesConfig().options() == {}


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"axes": {"temprature": [0.7]}}, "unknown axis 'temprature'; did you mean 'temperature'?"),
        ({"axes": {"mine": {"a": 3}}}, "Input should be a valid dictionary"),
        ({"axes": {"mine": {}}}, "at least 1 item"),
        ({"axes": {"mi ne": {"a": {}}}}, "'mi ne' cannot be the name of an axis"),
        ({"axes": {"replicate": {"a": {}}}}, "'replicate' cannot be the name of an axis"),
        ({"axes": {"mine": {"../a": {}}}}, "String should match pattern"),
        ({"axes": {"temperature": []}}, "at least 1 item"),
        ({"axes": {"temperature": [0.7, 0.7]}}, "axes.temperature: '0.7' stands twice"),
        ({"axes": {"temperature": [-1]}}, "greater than or equal to 0"),
        ({"axes": {"suppression": ["lable"]}}, "Input should be 'off', 'run', 'label' or 'faithful'"),
        ({"axes": {"examples": [True]}}, "Input should be 'without' or 'with'"),
        ({"axes": {"strategy": ["zero_shoot"]}}, "unknown strategy 'zero_shoot'; did you mean 'zero_shot'?"),
        ({"axes": {"curation": ["orakle"]}, "curations": {"oracle": {"stages": [{"kind": "audit"}]}}}, "did you mean 'oracle'?"),
        ({"curations": {"none": {"stages": [{"kind": "audit"}]}}}, "'none' means no curation"),
        ({"strategies": {"few_shot": {"kind": "few_shot"}}}, "'few_shot' is an option of its own"),
        ({"replicates": 0}, "greater than or equal to 1"),
        ({"train_size": 1}, "greater than or equal to 2"),
        ({"budget": {"tokens": 3}}, "Extra inputs are not permitted"),
        ({"axis": {}}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_refused(value: Value, parts: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        study(value, **parts)
    assert says in str(caught.value)


def test_students_may_be_left_out(value: Value) -> None:
    assert study(value, student=None).student is None
    assert study(value).student is not None
