"""Makes a study's data sets: the runs, then their curations, in an order in which each engine is started once.

A data set that cannot be made is remembered with its error, and the others go on. Knows nothing of measuring and training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from variegate.config import ModelConfig
from variegate.config.curation import RelabelStage
from variegate.errors import Interrupted, VariegateError
from variegate.inference.backend import Backend
from variegate.inference.session import Sessions, Start
from variegate.pipeline.comparison.jobs import Job, curate_job, do, explain
from variegate.pipeline.comparison.places import Place, read_curation, read_manifest, runs_of
from variegate.pipeline.comparison.real import Encoders, RealData, asks_oracle
from variegate.progress import Progress
from variegate.seeding import digest


@dataclass(slots=True)
class Made:
    """errors: id of a run or a cell -> (what went wrong, the traceback of a fault in Variegate or "")."""

    errors: dict[str, tuple[str, str]] = field(default_factory=dict)

    def error_of(self, place: Place) -> str | None:
        for id in (place.run_id, place.id):
            if id in self.errors:
                return self.errors[id][0]
        return None


def make_all(places: Sequence[Place], real: RealData, encoders: Encoders, progress: Progress, *, start: Start | None = None) -> Made:
    """Generate and curate what is not there. start: makes an engine, in this process; it is the caller's to close. Without it
    engines run in a process of their own, one at a time.

    Raises Interrupted; every other failure is in the result.
    """
    made = Made()
    missing = [place for place in runs_of(places) if read_manifest(place) is None]
    asking = [place for place in places if place.curation is not None and _engines(place)]
    new = {place.run_id for place in missing}
    waiting = [place for place in asking if place.run_id in new]
    for place in asking:  # of runs that are there: perhaps all their answers are too
        if place.run_id not in new and _needs_engine(place, real, encoders, made, progress):
            waiting.append(place)
    jobs = _in_order(missing, waiting)
    with Sessions(progress=progress, start=start, process="worker", warm_up=True) as sessions:
        for number, job in enumerate(jobs):
            if job.run_id not in made.errors:
                progress.update(job.id, number, len(jobs))
                _attempt(made, job.id, lambda job=job: progress.note(f"{job.id}: {do(job, sessions, real, encoders, progress)}"), progress)  # type: ignore[misc]
        sessions.rest()  # the device is free for what follows
        plain = [place for place in places if place.curation is not None and not _engines(place)]
        _prepare_oracles([place for place in plain if made.error_of(place) is None], real)
        for number, place in enumerate(plain):
            if made.error_of(place) is None:
                progress.update(f"curating {place.id}", number, len(plain))
                _attempt(made, place.id, lambda place=place: curate_job(_job(place), sessions, real, encoders, progress), progress)  # type: ignore[misc]
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
    return digest(model.model_dump(mode="json"))


def _engines(place: Place) -> set[str]:
    """Those that a cell's curation asks."""
    stages = place.curation.stages if place.curation is not None else []
    return {_engine(stage.model or place.run.model) for stage in stages if isinstance(stage, RelabelStage)}


def _job(place: Place) -> Job:
    return Job(place.id, place.run, place.cell.curation or "", place.curation)


def _in_order(missing: Sequence[Place], waiting: Sequence[Place]) -> list[Job]:
    """Jobs of one engine together: its runs, and the curations that ask it of runs that are there by then.

    Curations that ask another engine than their run's come after all runs; those that ask several come last.
    """
    groups: dict[str, list[Job]] = {}
    for place in missing:
        groups.setdefault(_engine(place.run.model), []).append(Job(place.run_id, place.run))
    later: dict[str, list[Job]] = {}
    last: list[Job] = []
    for place in waiting:
        engines = _engines(place)
        engine = min(engines)
        if len(engines) > 1:
            last.append(_job(place))
        elif engine == _engine(place.run.model):
            groups.setdefault(engine, []).append(_job(place))
        else:
            later.setdefault(engine, []).append(_job(place))
    return [job for jobs in (*groups.values(), *later.values(), last) for job in jobs]


# -- one job ---------------------------------------------------------------------------------------------------


class _EngineNeededError(VariegateError):
    """Raised in place of starting an engine."""


def _needs_engine(place: Place, real: RealData, encoders: Encoders, made: Made, progress: Progress) -> bool:
    """Curate without an engine, where that can be done; whether it cannot."""

    def refuse(model: ModelConfig) -> Backend:
        raise _EngineNeededError(model.name)

    try:
        _attempt(
            made,
            place.id,
            lambda: curate_job(_job(place), Sessions(start=refuse), real, encoders, progress),
            progress,
            let_through=_EngineNeededError,
        )
    except _EngineNeededError:
        return True
    return False


def _attempt(
    made: Made, id: str, call: Callable[[], object], progress: Progress, *, let_through: type[VariegateError] = Interrupted
) -> None:
    """Call it; remember what it raises."""
    try:
        call()
    except (Interrupted, let_through):
        raise
    except Exception as error:  # noqa: BLE001 one cell's fault must not end the others
        fail(made, id, *explain(error), progress)


def fail(made: Made, id: str, message: str, trace: str, progress: Progress) -> None:
    made.errors[id] = (message, trace)
    progress.note(f"{id}: FAILED: {message}")
