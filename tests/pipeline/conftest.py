"""Runs on the fake engine, so that the pipeline alone is under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from tests.support.food import VARIANTS, make_config
from variegate.config import RunConfig
from variegate.progress import Progress


@pytest.fixture
def config_of() -> Callable[..., RunConfig]:
    """`config_of(folder, per_label, strategy={...}, decoding={...})`"""
    return make_config


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture
def run() -> Callable[..., Any]:
    """`summary, backend = run(config, clean=True, progress=Heard())`"""
    from variegate.pipeline.generate import generate

    def call(
        config: RunConfig, *, resume: str = "auto", backend: FakeEngine | None = None, progress: Progress | None = None, **script: Any
    ) -> tuple[Any, FakeEngine]:
        engine = backend or FakeEngine(**script)
        return generate(config, resume=resume, start=lambda _: engine, progress=progress), engine  # type: ignore[arg-type]

    return call
