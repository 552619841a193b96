"""Makes a study's data sets: the runs, then their curations, the engine of each model started once, in a process of its own.

A data set that cannot be made is remembered with its error, and the others go on. Knows nothing of measuring and training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from variegate.config import ModelConfig, RunConfig
from variegate.config.curation import RelabelStage
from variegate.config.study import StudyConfig
from variegate.errors import Interrupted, VariegateError
from variegate.inference.backend import Backend
from variegate.pipeline.comparison.engine import Job, Start, curate_job, explain, work
from variegate.pipeline.comparison.places import Place, read_curation, read_manifest, runs_of
from variegate.pipeline.comparison.real import Encoders, RealData, asks_oracle
from variegate.pipeline.workers import run_in_worker
from variegate.seeding import digest

_WORK = "variegate.pipeline.comparison.engine:work"


class Watcher(Protocol):
    """What a study tells while it goes. The command line draws it."""

    def note(self, text: str) -> None:
        """Something a log should keep."""
        ...

    def update(self, stage: str, done: int, whole: int) -> None:
        """Where it is now."""
        ...


@dataclass(slots=True)
class Made:
    """errors: id of a run or a cell -> (what went wrong, the traceback of a fault in Variegate or "").

    done: ids of what an engine was there for in this call.
    """

    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)

    def error_of(self, place: Place) -> str | None:
        for id in (place.run_id, place.id):
            if id in self.errors:
                return self.errors[id][0]
        return None


def make_all(
    study: StudyConfig, places: Sequence[Place], real: RealData, encoders: Encoders, watcher: Watcher, *, start: Start | None = None
) -> Made:
    """Generate and curate what is not there. start: makes the engine, in this process; it is the caller's to close.

    Raises Interrupted; every other failure is in the result.
    """
    made = Made()
    missing = [place for place in runs_of(places) if read_manifest(place) is None]
    asking = [place for place in places if place.curation is not None and _engines(place)]
    new = {place.run_id for place in missing}
    waiting = [place for place in asking if place.run_id in new]
    for place in asking:  # of runs that are there: perhaps all their answers are too
        if place.run_id not in new and _try(place, real, encoders, made, watcher) is _NEEDED:
            waiting.append(place)
    for jobs in _by_engine(missing, waiting):
        _work_through(study, jobs, made, watcher, start, real)
    plain = [place for place in places if place.curation is not None and not _engines(place)]
    _prepare_oracles([place for place in plain if made.error_of(place) is None], real)
    several = [place for place in waiting if len(_engines(place)) > 1]
    for number, place in enumerate([*several, *plain]):
        if made.error_of(place) is None:
            watcher.update(f"curating {place.id}", number, len(several) + len(plain))
            own = start if place in several else None
            _attempt(made, place.id, lambda place=place, own=own: curate_job(_job(place), real, encoders, watcher.update, own), watcher)  # type: ignore[misc]
    return made


def _prepare_oracles(places: Sequence[Place], real: RealData) -> None:
    """Train what several cells will ask, so that its time counts for none of them. What goes wrong is told when a cell asks."""
    for place in places:
        if place.curation is not None and asks_oracle(place.curation) and read_curation(place) is None:
            oracle = real.oracle_of(place.curation)
            if oracle is not None:
                with suppress(Exception):
                    oracle.prepare()


# -- which engine ----------------------------------------------------------------------------------------------


def _engine(model: ModelConfig) -> str:
    return digest([model.model_dump(mode="json")])


def _engines(place: Place) -> set[str]:
    """Those that a cell's curation asks."""
    stages = place.curation.stages if place.curation is not None else []
    run = place.run
    return {_engine(stage.model or run.model) for stage in stages if isinstance(stage, RelabelStage)}


def _job(place: Place) -> Job:
    return Job(place.id, place.run, place.cell.curation or "", place.curation)


def _by_engine(missing: Sequence[Place], waiting: Sequence[Place]) -> list[list[Job]]:
    """Jobs of one engine together: its runs, and the curations that ask it of runs that are there by then.

    Curations that ask another engine than their run's come after all runs; those that ask several are not here.
    """
    groups: dict[str, list[Job]] = {}
    for place in missing:
        groups.setdefault(_engine(place.run.model), []).append(Job(place.run_id, place.run))
    later: dict[str, list[Job]] = {}
    for place in waiting:
        engines = _engines(place)
        if len(engines) == 1:
            (engine,) = engines
            own = engine == _engine(place.run.model)
            (groups if own else later).setdefault(engine, []).append(_job(place))
    return [*groups.values(), *later.values()]


# -- in this process -------------------------------------------------------------------------------------------


class _EngineNeededError(VariegateError):
    """Raised in place of starting an engine."""


_NEEDED = object()


def _try(place: Place, real: RealData, encoders: Encoders, made: Made, watcher: Watcher) -> object:
    """Curate without an engine; _NEEDED where it would have been started."""

    def refuse(config: RunConfig) -> Backend:
        raise _EngineNeededError(config.model.name)

    try:
        _attempt(
            made, place.id, lambda: curate_job(_job(place), real, encoders, watcher.update, refuse), watcher, let_through=_EngineNeededError
        )
    except _EngineNeededError:
        return _NEEDED
    return None


def _attempt(made: Made, id: str, call: Callable[[], object], watcher: Watcher, *, let_through: type[VariegateError] = Interrupted) -> None:
    """Call it; remember what it raises."""
    try:
        call()
    except (Interrupted, let_through):
        raise
    except Exception as error:  # noqa: BLE001 one cell's fault must not end the others
        fail(made, id, *explain(error), watcher)


def fail(made: Made, id: str, message: str, trace: str, watcher: Watcher) -> None:
    made.errors[id] = (message, trace)
    watcher.note(f"{id}: FAILED: {message}")


# -- in the engine's process -----------------------------------------------------------------------------------


def _work_through(study: StudyConfig, jobs: list[Job], made: Made, watcher: Watcher, start: Start | None, real: RealData) -> None:
    """All jobs of one engine. A process that dies costs the job it was at; a new one takes the rest."""
    current = ""
    ended: set[str] = set()

    def listen(message: tuple[Any, ...]) -> None:
        nonlocal current
        kind, *rest = message
        if kind == "begin":
            current = rest[0]
            watcher.update(current, len(ended), len(jobs))
        elif kind == "end":
            id, error, trace, summary = rest
            current = ""
            ended.add(id)
            if error is not None:
                fail(made, id, error, trace, watcher)
            else:
                watcher.note(f"{id}: {summary}")
                made.done.append(id)
        elif kind == "note":
            watcher.note(rest[0])
        else:
            watcher.update(f"{current}: {rest[0]}", rest[1], rest[2])

    if start is not None:
        work(listen, jobs, study, start=start, real=real)
        return
    while left := [job for job in jobs if job.id not in ended and job.run_id not in made.errors]:
        before = len(ended)
        try:
            run_in_worker(_WORK, left, study, on_message=listen)
        except Interrupted:
            raise
        except VariegateError as error:
            # Without a job it was at it never got to work, and another process would not either.
            lost = [current] if current else [] if len(ended) > before else [job.id for job in left]
            for id in lost:
                ended.add(id)
                fail(made, id, str(error), "", watcher)
            current = ""
