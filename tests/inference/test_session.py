"""When an engine is started, how often, and who closes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.engine import FakeEngine
from tests.support.progress import Heard
from tests.support.soft import write_soft
from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError, StoreError, UsageError
from variegate.inference import session as module
from variegate.inference.identity import fingerprint, identity
from variegate.inference.session import EngineSession, Sessions
from variegate.records import Message, Request, Sampling

NANO = load_model("nano-llama")


class Starts:
    """Makes engines; `engines` holds them all."""

    def __init__(self, *failures: Exception, lent: bool = False) -> None:
        self.failures, self.lent = list(failures), lent
        self.engines: list[FakeEngine] = []
        self.models: list[ModelConfig] = []

    def __call__(self, model: ModelConfig, *, on_step: Callable[[str], None] = lambda _: None) -> Any:
        on_step("loading the weights")
        self.models.append(model)
        if self.failures:
            raise self.failures.pop(0)
        self.engines.append(FakeEngine(clean=True, lent=self.lent))
        return self.engines[-1]

    @property
    def open(self) -> list[int]:
        return [place for place, engine in enumerate(self.engines) if not engine.closed]


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Starts]:
    """`own(*failures)`: what `start_backend` does from now on."""

    def plant(*failures: Exception) -> Starts:
        starts = Starts(*failures)
        monkeypatch.setattr(module, "start_backend", starts)
        return starts

    return plant


def use(session: EngineSession) -> Any:
    with session.lease() as backend:
        return backend


def test_the_first_lease_starts_it_and_it_stays(own: Callable[..., Starts]) -> None:
    starts, heard = own(), Heard()
    session = EngineSession(NANO, progress=heard)
    assert (session.info, session.start_seconds, starts.models) == (None, 0.0, [])
    with session.lease() as outer, session.lease() as inner:
        assert outer is inner is starts.engines[0]
    assert use(session) is outer
    assert starts.models == [NANO]
    assert session.info == outer.info
    assert session.start_seconds > 0
    assert heard.notes == ["starting vllm on nano-llama ...", "scripted 1 on cpu, float32, started in 0 s"]
    session.close()
    assert starts.open == []


def test_its_identity_is_known_before_it_starts(own: Callable[..., Starts], monkeypatch: pytest.MonkeyPatch) -> None:
    starts = own()
    session = EngineSession(NANO)
    assert session.fingerprint == fingerprint(NANO)
    monkeypatch.setattr(module, "fingerprint", lambda _: pytest.fail("hashed twice"))
    assert session.identity == identity(NANO)
    assert starts.models == []


def test_it_rests_and_is_started_again(own: Callable[..., Starts]) -> None:
    starts = own()
    session = EngineSession(NANO)
    session.rest()  # before it ever started
    first = use(session)
    seconds = session.start_seconds
    session.rest()
    assert (starts.open, session.info) == ([], first.info)
    assert use(session) is not first
    assert session.start_seconds > seconds
    assert starts.open == [1]
    with session.lease(), pytest.raises(AssertionError, match="while it is leased"):
        session.rest()
    session.close()
    with pytest.raises(AssertionError, match="closed session"), session.lease():
        pass


def test_a_session_closes_what_it_started_at_the_end(own: Callable[..., Starts]) -> None:
    starts = own()
    with pytest.raises(StoreError, match="disk full"), EngineSession(NANO) as session, session.lease():
        raise StoreError("disk full")
    assert starts.open == []


@pytest.mark.parametrize("error", [BackendError("broke"), KeyError("our own"), KeyboardInterrupt()])
def test_after_an_error_that_may_be_the_engines_there_is_another(own: Callable[..., Starts], error: BaseException) -> None:
    starts = own()
    session = EngineSession(NANO)
    with session.lease():
        with pytest.raises(type(error)), session.lease():
            raise error
        assert starts.open == [0]  # the outer lease still holds it
    assert starts.open == []
    assert use(session) is starts.engines[1]


def test_another_error_leaves_it_as_it_is(own: Callable[..., Starts]) -> None:
    starts = own()
    session = EngineSession(NANO)
    with pytest.raises(StoreError), session.lease():
        raise StoreError("disk full")
    assert use(session) is starts.engines[0]
    assert starts.open == [0]


def test_a_start_that_failed_is_not_tried_again_before_it_rested(own: Callable[..., Starts]) -> None:
    starts = own(BackendError("no memory"))
    session = EngineSession(NANO)
    for _ in range(2):
        with pytest.raises(BackendError, match="no memory"):
            use(session)
    assert len(starts.models) == 1
    session.rest()
    assert use(session) is starts.engines[0]


@pytest.mark.parametrize("process", ["here", "worker"])
def test_a_model_that_is_not_there_is_said_before_anything_starts(own: Callable[..., Starts], process: Any) -> None:
    starts, heard = own(), Heard()
    with pytest.raises(UsageError, match="no folder /nowhere/m"):
        use(EngineSession(ModelConfig(name="m", path="/nowhere/m"), process=process, progress=heard))
    assert (starts.models, heard.notes) == ([], [])


def test_an_engine_that_the_caller_makes_is_the_callers(own: Callable[..., Starts]) -> None:
    starts, never = Starts(lent=True), own()
    with EngineSession(NANO, start=starts, process="worker") as session:
        assert use(session) is starts.engines[0]
        session.rest()
        use(session)
    assert (len(starts.engines), never.models) == (2, [])


def test_several_models_one_engine_at_a_time(own: Callable[..., Starts]) -> None:
    starts = own()
    other = NANO.model_copy(update={"name": "other"})
    with Sessions() as sessions:
        session = sessions.of(NANO)
        assert sessions.of(NANO.model_copy()) is session
        use(session)
        use(session)
        sessions.of(other)  # is not started yet
        assert starts.open == [0]
        use(sessions.of(other))
        assert starts.open == [1]
        use(session)
        assert starts.open == [2]
        sessions.rest()
        assert starts.open == []
        use(session)
    assert starts.open == []
    assert [model.name for model in starts.models] == ["nano-llama", "other", "nano-llama", "nano-llama"]


def test_where_the_engine_lives_does_not_show(nano_transformers: Any, tmp_path: Path) -> None:
    """A real one in a process of its own writes what one here does, twice, with soft prompts and without."""
    model = load_model("nano-llama", ["engine.backend=transformers", "engine.batch_size=16"])
    sampling = Sampling(temperature=0.8, max_tokens=12)
    requests = [Request(key=f"{seed}", messages=(Message("user", "Where is"),), sampling=sampling, seed=seed) for seed in range(5)]
    (soft,) = write_soft(tmp_path / "soft", {"x": torch.ones(3, 256)}).values()
    requests[1:3] = [replace(request, soft=soft) for request in requests[1:3]]
    told: list[int] = []
    with EngineSession(model, process="worker") as session:
        for _ in range(2):
            with session.lease() as backend:
                assert backend.generate(requests, on_progress=told.append) == nano_transformers.generate(requests)
                assert backend.info == nano_transformers.info == session.info
            session.rest()
