"""Which engine does what, in which order, and what its death costs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from tests.support.engine import FakeEngine
from tests.support.progress import Heard
from variegate.config.study import StudyConfig
from variegate.errors import BackendError, Interrupted, VariegateError
from variegate.inference import session
from variegate.pipeline.comparison import make
from variegate.pipeline.comparison.jobs import Job
from variegate.pipeline.comparison.make import Made, make_all
from variegate.pipeline.comparison.places import places_of
from variegate.pipeline.comparison.real import Encoders, RealData
from variegate.pipeline.generate import generate
from variegate.progress import Silent

RELABEL = {"kind": "relabel"}
OTHER = {"kind": "relabel", "model": {"name": "other", "path": "/nowhere"}}
AUDIT = {"kind": "audit"}


@pytest.fixture
def study(tmp_path: Path) -> Callable[..., StudyConfig]:
    """`study(curation=[stages], ...)`: two temperatures, one replicate."""

    def make(**stages: Sequence[dict[str, Any]]) -> StudyConfig:
        curations = {name: {"stages": list(each)} for name, each in stages.items()}
        axes = {"temperature": [0.3, 2.0], "curation": ["none", *curations]}
        return chatter.make_study(tmp_path, axes=axes, curations=curations, replicates=1)

    return make


def make_of(study: StudyConfig, heard: Heard | None = None, start: Any = None) -> Made:
    encoders = Encoders(study.encoder)
    real = RealData(study, Path(study.output), encoders, Silent())
    return make_all(places_of(study), real, encoders, heard or Heard(), start=start)


Make = Callable[..., tuple[Made, list[str], list[str]]]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Make:
    """`made(study, behave)`: make_all with jobs that only tell that they were asked. (result, those that an engine is there for, others)

    behave(job id): called for each of the first.
    """

    def call(study: StudyConfig, behave: Callable[[str], None] = lambda _: None) -> Any:
        asked: list[str] = []
        curated: list[str] = []

        def do(job: Job, *_: Any) -> str:
            asked.append(job.id)
            behave(job.id)
            return "done"

        def curate_job(job: Job, sessions: Any, *_: Any) -> dict[str, Any]:
            curated.append(job.id)
            if any(each.kind == "relabel" for each in (job.curation.stages if job.curation else ())):
                with sessions.of(job.run.model).lease():
                    pass
            return {"kept": 1, "changed": 0}

        monkeypatch.setattr(make, "do", do)
        monkeypatch.setattr(make, "curate_job", curate_job)
        return make_of(study), asked, curated

    return call


RUNS = ["temperature-0.3_r0", "temperature-2_r0"]


def of(name: str) -> list[str]:
    """The cells of a curation."""
    return [f"{run}+{name}" for run in RUNS]


def test_all_runs_and_then_their_labels_by_the_same_engine(study: Callable[..., StudyConfig], made: Make) -> None:
    found, asked, curated = made(study(ask=[RELABEL, AUDIT], plain=[AUDIT]))
    assert asked == [*RUNS, *of("ask")]
    assert curated == of("plain")
    assert found.errors == {}


def test_another_engine_comes_after_all_runs_and_several_at_the_end(study: Callable[..., StudyConfig], made: Make) -> None:
    _, asked, curated = made(study(both=[RELABEL, OTHER], other=[OTHER], ask=[RELABEL]))
    assert asked == [*RUNS, *of("ask"), *of("other"), *of("both")]
    assert curated == []


def test_runs_of_one_model_come_together(tmp_path: Path, made: Make) -> None:
    axes = {"temperature": [0.3, 2.0], "engine": {"a": {}, "b": {"model.engine.max_num_seqs": 8}}}
    _, asked, _ = made(chatter.make_study(tmp_path, axes=axes, curations={}, replicates=1))
    assert [id.partition("engine-")[2][:1] for id in asked] == ["a", "a", "b", "b"]


def test_answers_that_are_there_need_no_engine(study: Callable[..., StudyConfig], made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is there: its curation is tried without an engine first, and waits for one only where it asks."""
    small = study(ask=[RELABEL])
    for place in places_of(small):
        if place.curation is None:
            generate(place.run, start=lambda _: chatter.wordy_engine())
    _, asked, curated = made(small)
    assert (asked, curated) == (of("ask"), of("ask"))

    monkeypatch.setattr(make, "curate_job", lambda *_: {"kept": 1, "changed": 0})
    monkeypatch.setattr(make, "do", lambda *_: pytest.fail("an engine was asked"))
    assert make_of(small).errors == {}


def test_curations_of_a_lost_run_are_not_asked_for(study: Callable[..., StudyConfig], made: Make) -> None:
    def lose(id: str) -> None:
        if id == RUNS[0]:
            raise VariegateError("disk full")

    found, asked, curated = made(study(ask=[RELABEL], plain=[AUDIT]), lose)
    assert found.errors == {RUNS[0]: ("disk full", "")}
    assert asked == [*RUNS, of("ask")[1]]
    assert curated == of("plain")[1:]


def test_ctrl_c_ends_the_study(study: Callable[..., StudyConfig], made: Make) -> None:
    def stop(id: str) -> None:
        raise Interrupted("stopped")

    with pytest.raises(Interrupted):
        made(study(), stop)


# -- engines ---------------------------------------------------------------------------------------------------


def test_an_engine_that_cannot_start_is_tried_once(study: Callable[..., StudyConfig]) -> None:
    started: list[Any] = []

    def start(model: Any) -> Any:
        started.append(model)
        raise BackendError("no memory")

    found = make_of(study(), start=start)
    assert len(started) == 1
    assert found.errors == dict.fromkeys(RUNS, ("no memory", ""))


def test_own_engines_are_warmed_up_replaced_after_an_error_and_closed(
    study: Callable[..., StudyConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[FakeEngine] = []

    def start(model: Any, on_step: Any) -> Any:
        assert all(engine.closed for engine in engines)
        # the first one warms up and dies at its first real call
        engines.append(chatter.wordy_engine(lent=False, fail_at=None if engines else 2, error=BackendError("died")))
        return engines[-1]

    monkeypatch.setattr(session, "WorkerBackend", start)
    heard = Heard()
    found = make_of(study(), heard)
    assert found.errors == {RUNS[0]: ("died", "")}
    assert [engine.closed for engine in engines] == [True, True]
    assert [len(engine.calls[0]) for engine in engines] == [8, 8]
    assert [note.partition(",")[0] for note in heard.notes] == [
        "starting transformers on nano-llama ...",
        "scripted 1 on cpu",
        f"{RUNS[0]}: FAILED: died",
        "starting transformers on nano-llama ...",
        "scripted 1 on cpu",
        f"{RUNS[1]}: 24 kept of 24",
    ]


def test_a_study_of_two_models_has_one_engine_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[FakeEngine] = []

    def start(model: Any, on_step: Any) -> Any:
        assert all(engine.closed for engine in engines)
        engines.append(chatter.wordy_engine(lent=False))
        return engines[-1]

    monkeypatch.setattr(session, "WorkerBackend", start)
    axes = {"temperature": [0.3, 2.0], "engine": {"a": {}, "b": {"model.engine.max_num_seqs": 8}}}
    assert make_of(chatter.make_study(tmp_path, axes=axes, curations={}, replicates=1)).errors == {}
    assert [engine.closed for engine in engines] == [True, True]


def test_a_run_that_keeps_nothing_is_an_error(study: Callable[..., StudyConfig]) -> None:
    mute = FakeEngine(write=lambda *_: " ", lent=True)
    found = make_of(study(), start=lambda _: mute)
    assert found.errors[RUNS[0]][0].startswith("nothing is kept of the first ")
