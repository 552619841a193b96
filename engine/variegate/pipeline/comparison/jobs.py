"""A study's work, a job at a time: a run, or a curation of one. Knows jobs; knows nothing of what else the study does."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.config.curation import CurationConfig
from variegate.errors import VariegateError
from variegate.inference.session import Sessions
from variegate.pipeline.comparison.real import Encoders, RealData
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.progress import Named, Progress
from variegate.store.run_folder import RunFolder


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


def do(job: Job, sessions: Sessions, real: RealData, encoders: Encoders, progress: Progress) -> str:
    """What came of it, in words. Raises what `generate` and `curate` raise; VariegateError also for a run that keeps nothing."""
    if job.curation is None:
        return _generate(job, sessions, Named(progress, f"{job.id}: "))
    found = curate_job(job, sessions, real, encoders, progress)
    return f"{found['kept']} kept, {found['changed']} labels changed"


def curate_job(job: Job, sessions: Sessions, real: RealData, encoders: Encoders, progress: Progress) -> dict[str, Any]:
    assert job.curation is not None  # noqa: S101  # a job to curate
    return curate(
        RunFolder(Path(job.run.output)),
        job.curation,
        job.name,
        progress=Named(progress, f"curating {job.id}: "),
        sessions=sessions,
        encoder=encoders.get(job.curation.encoder),
        oracle=real.oracle_of(job.curation),
    )


def _generate(job: Job, sessions: Sessions, progress: Progress) -> str:
    summary = generate(job.run, progress=progress, session=sessions.of(job.run.model))
    short = sum(summary.shortfall.values())
    if not summary.kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.dropped.items())
        raise VariegateError(
            f"no text was kept of {summary.requested} requested ({reasons}): look at `variegate show {summary.folder} --dropped`"
        )
    speed = f", {summary.tokens_per_second:,.0f} tokens/s" if summary.tokens_per_second else ""
    return f"{summary.kept} kept of {summary.requested}{f', {short} short of the target' if short else ''}{speed}"


def explain(error: Exception) -> tuple[str, str]:
    """(what to tell, the traceback where it is a fault in Variegate)"""
    if isinstance(error, VariegateError):
        return str(error), ""
    last = traceback.format_exception_only(error)[-1].strip()
    return f"{last}: this is an error in Variegate", "".join(traceback.format_exception(error))
