"""Jobs in this process and, with the process itself taken out, in the other one."""

from __future__ import annotations

from typing import Any

import pytest

from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError, UsageError
from variegate.pipeline.subjectivity import engine_jobs
from variegate.pipeline.subjectivity.engine_jobs import Job, run_jobs


class Engine:
    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.closed = False

    def score(self, prompts: list[str], choices: list[str]) -> str:
        if "bad" in prompts:
            raise BackendError("too long")
        self.calls.append((prompts, choices))
        return f"{prompts}"

    def close(self) -> None:
        self.closed = True


def jobs(*names: str) -> list[Job]:
    return [Job("score", ([name], ["A"]), about=name) for name in names]


@pytest.fixture(params=["here", "there"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`kept = run(engine, jobs)`"""

    def call(engine: Engine, todo: list[Job]) -> list[tuple[str, str]]:
        kept: list[tuple[str, str]] = []

        def keep(job: Job, result: str) -> None:
            kept.append((job.about, result))

        if request.param == "here":
            run_jobs(load_model("nano-llama"), "vllm", todo, keep, start=lambda: engine)  # type: ignore[arg-type, return-value]
            return kept
        monkeypatch.setattr(engine_jobs, "start_backend", lambda *_, **__: engine)
        monkeypatch.setattr(engine_jobs, "run_in_worker", lambda name, *arguments, on_message: engine_jobs.serve(on_message, *arguments))
        run_jobs(load_model("nano-llama"), "vllm", todo, keep)
        assert engine.closed
        return kept

    return call


def test_every_job_is_done_in_order(run: Any) -> None:
    engine = Engine()
    assert run(engine, jobs("a", "b", "c")) == [("a", "['a']"), ("b", "['b']"), ("c", "['c']")]
    assert engine.calls == [(["a"], ["A"]), (["b"], ["A"]), (["c"], ["A"])]


def test_what_the_engine_raises_comes_through(run: Any) -> None:
    with pytest.raises(BackendError, match="too long"):
        run(Engine(), jobs("a", "bad"))


def test_without_a_job_no_engine_starts() -> None:
    def never() -> Any:
        pytest.fail("started")

    run_jobs(load_model("nano-llama"), "vllm", [], never, start=never)
    run_jobs(ModelConfig(name="x", path="/nowhere"), "vllm", [], never)


def test_a_model_that_is_not_there_is_said_before_a_process_starts() -> None:
    with pytest.raises(UsageError, match="no folder /nowhere"):
        run_jobs(ModelConfig(name="x", path="/nowhere"), "vllm", jobs("a"), lambda *_: None)
