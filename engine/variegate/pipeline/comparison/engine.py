"""A study's work on one engine: runs and curations one after the other, in a process of its own or in the caller's.

What goes wrong with one job is told, and the next one is done. Knows jobs; knows nothing of what else the study does.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.config.curation import CurationConfig
from variegate.config.study import StudyConfig
from variegate.errors import BackendError, Interrupted, VariegateError
from variegate.inference.backend import Backend
from variegate.inference.start import start_backend
from variegate.pipeline.comparison.real import Encoders, RealData, Report
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.pipeline.workers import Exchange
from variegate.records import Message, Request, Sampling
from variegate.store.run_folder import RunFolder

Start = Callable[[RunConfig], Backend]
_TELL_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """One call of `generate` (without a curation) or of `curate`."""

    id: str
    run: RunConfig
    name: str = ""  # of the curation
    curation: CurationConfig | None = None

    @property
    def run_id(self) -> str:
        return Path(self.run.output).name


def curate_job(job: Job, real: RealData, encoders: Encoders, report: Report, start: Start | None) -> dict[str, Any]:
    assert job.curation is not None  # noqa: S101  # a job to curate
    return curate(
        RunFolder(Path(job.run.output)),
        job.curation,
        job.name,
        progress=lambda stage, done, whole: report(f"curating {job.id}: {stage}", done, whole),
        start=start,
        encoder=encoders.get(job.curation.encoder),
        oracle=real.oracle_of(job.curation),
    )


def explain(error: Exception) -> tuple[str, str]:
    """(what to tell, the traceback where it is a fault in Variegate)"""
    if isinstance(error, VariegateError):
        return str(error), ""
    last = traceback.format_exception_only(error)[-1].strip()
    return f"{last}: this is an error in Variegate", "".join(traceback.format_exception(error))


def work(exchange: Exchange, jobs: Sequence[Job], study: StudyConfig, *, start: Start | None = None, real: RealData | None = None) -> None:
    """Do the jobs in order on one engine, which starts when the first of them asks for it.

    Says ("begin", id), ("update", stage, done, whole), ("note", text) and ("end", id, error or None, traceback, summary).
    Raises Interrupted alone.
    """
    telling = _Telling(exchange)
    encoders = real.encoders if real is not None else Encoders(study.encoder)
    engine = _Engine(start, telling)
    failed: set[str] = set()
    try:
        for job in jobs:
            if job.run_id in failed:  # and so is every cell of it
                continue
            exchange(("begin", job.id))
            summary, error, trace = "", None, ""
            try:
                if job.curation is None:
                    summary = _generate(job, engine, telling)
                else:
                    if real is None:
                        real = RealData(study, Path(study.output), encoders, telling.update)
                    found = curate_job(job, real, encoders, telling.update, engine)
                    summary = f"{found['kept']} kept, {found['changed']} labels changed"
            except Interrupted:
                raise
            except Exception as raised:  # noqa: BLE001 one cell's fault must not end the others
                error, trace = explain(raised)
                failed.add(job.id)
                if isinstance(raised, BackendError):
                    engine.forget()
            exchange(("end", job.id, error, trace, summary))
    finally:
        engine.close()


class _Telling:
    """A watcher that passes on what it is told, not too often; and the `Progress` of a run."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange, self._told = exchange, 0.0
        self._kept = self._target = 0

    def update(self, stage: str, done: int, whole: int) -> None:
        now = time.monotonic()
        if now - self._told >= _TELL_EVERY_S:
            self._told = now
            self._exchange(("update", stage, done, whole))

    def note(self, text: str) -> None:
        """Not passed on: a run tells of the engine it starts, which here is one for all; see `say`."""

    def say(self, text: str) -> None:
        self._exchange(("note", text))

    def start(self, target: int) -> None:
        self._kept, self._target = 0, target

    def completions(self, count: int) -> None:
        self.update("generating", self._kept, self._target)

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None:
        self._kept += kept
        self.update("generating", self._kept, self._target)


def _generate(job: Job, engine: _Engine, telling: _Telling) -> str:
    engine(job.run)  # before the clock of the first round
    summary = generate(job.run, progress=telling, start=engine)
    short = sum(summary.shortfall.values())
    if not summary.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.dropped.items())
        raise VariegateError(
            f"no text was kept of {summary.requested} requested ({reasons}): look at `variegate show {summary.folder} --dropped`"
        )
    speed = f", {summary.tokens_per_second:,.0f} tokens/s" if summary.tokens_per_second else ""
    return f"{summary.kept} kept of {summary.requested}{f', {short} short of the target' if short else ''}{speed}"


class _Engine:
    """Starts the first time it is called, and is the same engine from then on. A start that fails is not tried again."""

    def __init__(self, start: Start | None, telling: _Telling) -> None:
        self._start, self._telling = start, telling
        self._backend: Backend | None = None
        self._failure: BackendError | None = None

    def __call__(self, config: RunConfig) -> Backend:
        if self._failure is not None:
            raise self._failure
        if self._backend is None:
            began = time.monotonic()
            self._telling.say(f"starting {config.model.engine.backend} on {config.model.name} ...")
            try:
                if self._start is not None:
                    self._backend = self._start(config)
                else:
                    self._backend = start_backend(config.model)
                    _warm_up(self._backend)
            except BackendError as error:
                self._failure = error
                raise
            info = self._backend.info
            self._telling.say(f"{info.name} {info.version} on {info.device}, started in {time.monotonic() - began:.0f} s")
        return self._backend

    def forget(self) -> None:
        """After an error of the engine: the next job starts another, unless this one never started."""
        if self._backend is not None and self._start is None:
            self._backend.close()
            self._backend = None

    def close(self) -> None:
        if self._backend is not None and self._start is None:
            self._backend.close()


def _warm_up(backend: Backend) -> None:
    """What an engine does once, when it first generates, should count for no cell."""
    sampling = Sampling(max_tokens=4, ignore_eos=True)
    backend.generate([Request(key=f"{each}", messages=(Message("user", "One"),), sampling=sampling, seed=each) for each in range(8)])
