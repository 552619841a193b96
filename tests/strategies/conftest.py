from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from variegate.kinds.classification import ClassificationTask
from variegate.kinds.task import TaskConfig

LABELS = {
    "sci_fi": {"phrase": "about space", "description": "Plays in space."},
    "crime": {"phrase": "about a crime", "description": "A crime is solved."},
    "love": {"phrase": "about love", "description": "Two fall in love.", "title": "romance"},
}


@pytest.fixture
def task() -> Callable[..., TaskConfig]:
    """`task(style=...)`: three kinds of plot."""
    return lambda **fields: ClassificationTask.model_validate(
        {"kind": "classification", "name": "plots", "text_type": "opening", "context": "You write novels.", "labels": LABELS, **fields}
    )


@pytest.fixture
def strategy(task: Callable[..., TaskConfig]) -> Callable[..., Any]:
    """`strategy("few_shot", form="li", chat=True, task={...})`."""
    from pydantic import TypeAdapter

    from variegate.config.strategy import StrategyConfig
    from variegate.strategies import make_strategy

    def make(kind: str, *, chat: bool = False, task_fields: dict[str, Any] | None = None, **fields: Any) -> Any:
        config: Any = TypeAdapter(StrategyConfig).validate_python({"kind": kind, **fields})
        return make_strategy(config, task(**(task_fields or {})), chat=chat)

    return make
