"""Jobs in this process and, with the process itself taken out, in the other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError, UsageError
from variegate.pipeline.subjectivity import engine_jobs
from variegate.pipeline.subjectivity.engine_jobs import Job, run_jobs
from variegate.records import Message


def weigh(messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
    (message,) = messages
    if message.content == "bad":
        raise BackendError("too long")
    return [float(ord(message.content) - ord("a"))]


def jobs(*names: str) -> list[Job]:
    return [Job("score", ([(Message("user", name),)], ["A"]), about=name) for name in names]


@pytest.fixture(params=["here", "there"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`kept = run(engine, jobs)`"""

    def call(engine: FakeEngine, todo: list[Job]) -> list[tuple[str, Any]]:
        kept: list[tuple[str, Any]] = []

        def keep(job: Job, result: Any) -> None:
            kept.append((job.about, result.tolist()))

        if request.param == "here":
            run_jobs(load_model("nano-llama"), todo, keep, start=lambda: engine)  # type: ignore[arg-type, return-value]
            return kept
        monkeypatch.setattr(engine_jobs, "start_backend", lambda *_, **__: engine)
        monkeypatch.setattr(engine_jobs, "run_in_worker", lambda name, *arguments, on_message: engine_jobs.serve(on_message, *arguments))
        run_jobs(load_model("nano-llama"), todo, keep)
        assert engine.closed
        return kept

    return call


def test_every_job_is_done_in_order(run: Any) -> None:
    engine = FakeEngine(weigh=weigh)
    assert run(engine, jobs("a", "b", "c")) == [("a", [[0.0]]), ("b", [[1.0]]), ("c", [[2.0]])]
    assert [(call.prompts[0][0].content, call.choices) for call in engine.scored] == [("a", (["A"],)), ("b", (["A"],)), ("c", (["A"],))]


def test_what_the_engine_raises_comes_through(run: Any) -> None:
    with pytest.raises(BackendError, match="too long"):
        run(FakeEngine(weigh=weigh), jobs("a", "bad"))


def test_without_a_job_no_engine_starts() -> None:
    def never() -> Any:
        pytest.fail("started")

    run_jobs(load_model("nano-llama"), [], never, start=never)
    run_jobs(ModelConfig(name="x", path="/nowhere"), [], never)


def test_a_model_that_is_not_there_is_said_before_a_process_starts() -> None:
    with pytest.raises(UsageError, match="no folder /nowhere"):
        run_jobs(ModelConfig(name="x", path="/nowhere"), jobs("a"), lambda *_: None)
