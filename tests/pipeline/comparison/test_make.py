"""Which engine does what, in which order, and what the death of its process costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from tests.support.engine import FakeEngine
from variegate.config.study import StudyConfig
from variegate.errors import BackendError, Interrupted, VariegateError
from variegate.pipeline.comparison import engine, make
from variegate.pipeline.comparison.engine import Job, explain, work
from variegate.pipeline.comparison.make import Made, make_all
from variegate.pipeline.comparison.places import Place, places_of
from variegate.pipeline.comparison.real import Encoders, RealData
from variegate.pipeline.generate import generate

RELABEL = {"kind": "relabel"}
OTHER = {"kind": "relabel", "model": {"name": "other", "path": "/nowhere"}}
AUDIT = {"kind": "audit"}


class Watcher:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def update(self, stage: str, done: int, whole: int) -> None:
        pass


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., StudyConfig]:
    """`study(curation=[stages], ...)`: two temperatures, one replicate."""

    def make(**stages: Sequence[dict[str, Any]]) -> StudyConfig:
        curations = {name: {"stages": list(each)} for name, each in stages.items()}
        axes = {"temperature": [0.3, 2.0], "curation": ["none", *curations]}
        return chatter.make_study(tmp_path, axes=axes, curations=curations, replicates=1)

    return make


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Made, list[Any], list[str]]]:
    """`made(study, behave)`: make_all with workers and curations that only tell what they were asked. (result, workers' jobs, curated here)

    behave(job ids, exchange) -> what a worker does; by default it ends every job well.
    """

    def call(study: StudyConfig, behave: Callable[..., Any] | None = None, places: list[Place] | None = None) -> Any:
        workers: list[list[str]] = []
        curated: list[str] = []

        def run_in_worker(function: str, jobs: list[Job], given: StudyConfig, *, on_message: Any) -> None:
            assert (function, given) == ("variegate.pipeline.comparison.engine:work", study)
            workers.append([job.id for job in jobs])
            (behave or well)([job.id for job in jobs], on_message)

        def curate_job(job: Job, real: Any, encoders: Any, report: Any, start: Any) -> dict[str, Any]:
            curated.append(job.id)
            if start is not None:
                start(job.run)
            return {"kept": 1, "changed": 0}

        monkeypatch.setattr(make, "run_in_worker", run_in_worker)
        monkeypatch.setattr(make, "curate_job", curate_job)
        encoders = Encoders(study.encoder)
        real = RealData(study, Path(study.output), encoders, lambda *_: None)
        return make_all(study, places or places_of(study), real, encoders, Watcher()), workers, curated

    return call


Make = Callable[..., tuple[Made, list[list[str]], list[str]]]
RUNS = ["temperature-0.3_r0", "temperature-2_r0"]


def well(ids: Sequence[str], exchange: Any) -> None:
    for id in ids:
        exchange(("begin", id))
        exchange(("end", id, None, "", "done"))


def test_one_worker_makes_all_runs_and_asks_its_engine_for_their_labels(study: Callable[..., StudyConfig], made: Make) -> None:
    found, workers, curated = made(study(ask=[RELABEL, AUDIT], plain=[AUDIT]))
    assert workers == [[*RUNS, "temperature-0.3_r0+ask", "temperature-2_r0+ask"]]
    assert curated == ["temperature-0.3_r0+plain", "temperature-2_r0+plain"]
    assert found.errors == {}


def test_another_engine_comes_after_all_runs_and_several_are_left_to_curate(study: Callable[..., StudyConfig], made: Make) -> None:
    _, workers, curated = made(study(other=[OTHER], both=[RELABEL, OTHER]))
    assert workers == [RUNS, ["temperature-0.3_r0+other", "temperature-2_r0+other"]]
    assert curated == ["temperature-0.3_r0+both", "temperature-2_r0+both"]


def test_two_models_have_a_worker_each(tmp_path: Path, made: Make) -> None:
    axes = {"engine": {"a": {}, "b": {"model.engine.max_num_seqs": 8}}}
    _, workers, _ = made(chatter.make_study(tmp_path, axes=axes, curations={}, replicates=2))
    assert workers == [["engine-a_r0", "engine-a_r1"], ["engine-b_r0", "engine-b_r1"]]


def test_answers_that_are_there_need_no_engine(study: Callable[..., StudyConfig], made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is there: its curation is tried without an engine first, and waits for one only where it asks."""
    small = study(ask=[RELABEL])
    for place in places_of(small):
        if place.curation is None:
            generate(place.run, start=lambda _: chatter.wordy_engine())
    _, workers, curated = made(small)
    assert curated == ["temperature-0.3_r0+ask", "temperature-2_r0+ask"]
    assert workers == [["temperature-0.3_r0+ask", "temperature-2_r0+ask"]]

    encoders = Encoders(small.encoder)
    real = RealData(small, Path(small.output), encoders, lambda *_: None)
    monkeypatch.setattr(make, "curate_job", lambda *_: {"kept": 1, "changed": 0})
    monkeypatch.setattr(make, "run_in_worker", lambda *_, **__: pytest.fail("a worker was started"))
    assert make_all(small, places_of(small), real, encoders, Watcher()).errors == {}


def test_a_worker_that_dies_costs_the_job_it_was_at(study: Callable[..., StudyConfig], made: Make) -> None:
    def dies_once(ids: Sequence[str], exchange: Any) -> None:
        if ids[0] == RUNS[0]:
            exchange(("begin", ids[0]))
            exchange(("update", "generating", 1, 2))
            raise VariegateError("the process was ended by signal SIGKILL")
        well(ids, exchange)

    found, workers, curated = made(study(ask=[RELABEL], plain=[AUDIT]), dies_once)
    assert found.errors == {RUNS[0]: ("the process was ended by signal SIGKILL", "")}
    assert workers[1] == [RUNS[1], "temperature-2_r0+ask"]  # curations of the lost run are not asked for
    assert curated == ["temperature-2_r0+plain"]


def test_a_worker_that_never_gets_to_work_is_not_started_again(study: Callable[..., StudyConfig], made: Make) -> None:
    def never(ids: Sequence[str], exchange: Any) -> None:
        raise VariegateError("cannot import")

    found, workers, _ = made(study(), never)
    assert len(workers) == 1
    assert found.errors == dict.fromkeys(RUNS, ("cannot import", ""))


def test_a_worker_that_dies_between_two_jobs_is_started_again(study: Callable[..., StudyConfig], made: Make) -> None:
    def between(ids: Sequence[str], exchange: Any) -> None:
        well(ids[:1], exchange)
        if len(ids) > 1:
            raise VariegateError("died")

    found, workers, _ = made(study(), between)
    assert workers == [RUNS, RUNS[1:]]
    assert found.errors == {}


def test_ctrl_c_in_a_worker_ends_the_study(study: Callable[..., StudyConfig], made: Make) -> None:
    def stopped(ids: Sequence[str], exchange: Any) -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        made(study(), stopped)


# -- the worker itself -----------------------------------------------------------------------------------------


def jobs_of(study: StudyConfig) -> list[Job]:
    return [Job(place.id, place.run, place.cell.curation or "", place.curation) for place in places_of(study)]


def test_the_worker_tells_of_each_job_and_does_the_next(study: Callable[..., StudyConfig]) -> None:
    messages: list[tuple[Any, ...]] = []
    small = study()
    backend = chatter.wordy_engine(fail_for=0.3, error=BackendError("broke"))
    work(messages.append, [Job(place.run_id, place.run) for place in places_of(small)], small, start=lambda _: backend)
    told = [message for message in messages if message[0] in ("begin", "end")]
    assert told == [
        ("begin", RUNS[0]),
        ("end", RUNS[0], "broke", "", ""),
        ("begin", RUNS[1]),
        ("end", RUNS[1], None, "", told[3][4]),
    ]
    assert told[3][4].startswith("24 kept of 24")
    assert next(message[1] for message in messages if message[0] == "note") == "starting transformers on nano-llama ..."


def test_an_engine_that_cannot_start_is_tried_once(study: Callable[..., StudyConfig]) -> None:
    started, messages = [], []

    def start(config: Any) -> Any:
        started.append(config)
        raise BackendError("no memory")

    small = study()
    work(messages.append, [Job(place.run_id, place.run) for place in places_of(small)], small, start=start)
    assert len(started) == 1
    assert [message[2] for message in messages if message[0] == "end"] == ["no memory", "no memory"]


def test_own_engines_are_warmed_up_replaced_after_an_error_and_closed(
    study: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[FakeEngine] = []

    def start_backend(model: Any) -> Any:
        assert all(engine.closed for engine in engines)
        # the first one warms up and breaks at its first real call
        engines.append(chatter.wordy_engine(lent=False, fail_at=None if engines else 2, error=BackendError("broke")))
        return engines[-1]

    monkeypatch.setattr(engine, "start_backend", start_backend)
    messages: list[tuple[Any, ...]] = []
    small = study()
    work(messages.append, [Job(place.run_id, place.run) for place in places_of(small)], small)
    assert [message[2] for message in messages if message[0] == "end"] == ["broke", None]
    assert [engine.closed for engine in engines] == [True, True]
    assert [len(engine.calls[0]) for engine in engines] == [8, 8]


def test_a_run_that_keeps_nothing_is_an_error(study: Callable[..., StudyConfig]) -> None:
    mute = FakeEngine(write=lambda *_: " ", lent=True)
    messages: list[tuple[Any, ...]] = []
    work(messages.append, jobs_of(study())[:1], study(), start=lambda _: mute)
    (error,) = [message[2] for message in messages if message[0] == "end"]
    assert error is not None
    assert error.startswith("no text was kept of 72 requested (72 empty)")


def test_explaining_errors() -> None:
    assert explain(VariegateError("as it is")) == ("as it is", "")
    try:
        raise KeyError("x")
    except KeyError as error:
        message, trace = explain(error)
    assert message == "KeyError: 'x': this is an error in Variegate"
    assert "test_explaining_errors" in trace
