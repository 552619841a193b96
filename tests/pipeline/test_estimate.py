"""What a few requests say of the time that the rest will take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from variegate.inference.session import EngineSession
from variegate.pipeline.estimate import Estimate, estimate
from variegate.pipeline.plan import plan_stream
from variegate.progress import Silent
from variegate.records import Completion, Request
from variegate.store.run_folder import RunFolder

Run = Callable[..., Any]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def estimate_of(config_of: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Estimate, FakeEngine]]:
    """`estimate_of(rows, drop=lambda request: ..., **parts)`: of an engine that takes 3 s to start and 0.5 s for each request."""

    def call(rows: int, *, drop: Callable[[Request], bool] = lambda _: False, **parts: Any) -> tuple[Estimate, FakeEngine]:
        clock = Clock()
        monkeypatch.setattr(time, "monotonic", clock)

        def edit(request: Request, completion: Completion) -> Completion:
            clock.now += 0.5
            return replace(completion, text="") if drop(request) else completion

        engine = FakeEngine(clean=True, edit=edit)

        def start(_: Any) -> FakeEngine:
            clock.now += 3
            return engine

        config = config_of(tmp_path / "r", **parts)
        session = EngineSession(config.model, start=start)
        stream, _ = plan_stream(config, RunFolder(tmp_path / "r"), session)
        requests = stream.ask()
        return estimate(config, stream, session, requests, rows, 36, Silent()), engine

    return call


def test_start_speed_and_drops_are_counted_in(estimate_of: Any) -> None:
    found, engine = estimate_of(12, drop=lambda request: request.slot % 2 == 0)
    assert (found.measured_rows, found.at_once, found.start_seconds, found.seconds_per_row) == (12, 36, 3, 0.5)
    assert found.kept_per_row == 0.5
    assert found.requests == 72  # for 36 records
    assert found.seconds == 3 + 72 * 0.5
    assert found.not_included == ()
    assert [len(call) for call in engine.calls] == [3, 12]


def test_it_says_what_it_does_not_count_in_and_asks_under_the_runs_own_table(estimate_of: Any) -> None:
    found, engine = estimate_of(100, decoding={"suppression": {"group": "label"}}, rounds={"first": 2, "shard": 4})
    assert (found.measured_rows, found.at_once) == (6, 4)
    assert [words.split()[0] for words in found.not_included] == ["blocks", "suppression"]
    assert len(engine.rows) == 1


def test_where_nothing_is_kept_no_time_is_said(estimate_of: Any) -> None:
    found, _ = estimate_of(4, drop=lambda _: True)
    assert (found.kept_per_row, found.seconds) == (0, None)
    assert found.requests == 180  # as many as it may ask
