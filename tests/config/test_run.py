from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config import RunConfig, SuppressionConfig

Value = Callable[..., dict[str, Any]]


def test_faithful_is_the_papers_suppression() -> None:
    """METHODS 1.2: one table, bias = max(-7.5, -7.5 p) for the 100 most frequent tokens, terminators not exempt."""
    found = SuppressionConfig(faithful=True)
    assert (found.group, found.top_k, found.floor, found.scale, found.exempt_terminators, found.exempt) == (
        "run",
        100,
        -7.5,
        -7.5,
        False,
        [],
    )
    assert SuppressionConfig().exempt_terminators
    for wrong in ({"group": "label"}, {"top_k": None}, {"exempt_terminators": True}, {"floor": -5.0}):
        with pytest.raises(ValidationError, match=f"fixes {next(iter(wrong))}"):
            SuppressionConfig.model_validate({"faithful": True, **wrong})
    assert SuppressionConfig.model_validate(found.model_dump()) == found  # a run folder's run.yaml reads back


def test_the_strategy_is_told_by_its_kind(value: Value) -> None:
    with pytest.raises(ValidationError, match="zero_shot"):
        RunConfig.model_validate(value(strategy={"kind": "promptmix2"}))
    with pytest.raises(ValidationError, match="kind"):
        RunConfig.model_validate(value(strategy={}))


def test_few_shot_needs_data_or_no_seeds(value: Value) -> None:
    with pytest.raises(ValidationError, match=r"data\.train"):
        RunConfig.model_validate(value(strategy={"kind": "few_shot"}))
    RunConfig.model_validate(value(strategy={"kind": "few_shot", "seed_pool": 0}))


@pytest.mark.parametrize(
    "parts",
    [
        {"decoding": {"temperature": -0.1}},
        {"decoding": {"top_p": 0}},
        {"decoding": {"temperature": float("inf")}},
        {"decoding": {"suppression": {"floor": 1}}},
        {"decoding": {"suppression": {}, "repetition_penalty": 1.1}},
        {"target": {"per_label": 0}},
        {"target": {"max_attempts": 0.5}},
        {"rounds": {"calls": 0}},
        {"duplicates": {"near": 0}},
        {"seed": -1},
    ],
)
def test_out_of_range(value: Value, parts: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RunConfig.model_validate(value(**parts))
