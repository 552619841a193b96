"""Runs calls of an engine one after the other, in a process of its own, and hands each result over as it comes.

Knows an engine's methods by name; knows nothing of what is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from variegate.config import ModelConfig
from variegate.inference.backend import Backend, check_model_path
from variegate.inference.start import start_backend
from variegate.pipeline.workers import Exchange, run_in_worker

Start = Callable[[], Backend]


@dataclass(frozen=True, slots=True)
class Job:
    """One call: `method` of Backend with `arguments`. about: kept by the caller, not sent."""

    method: str
    arguments: tuple[Any, ...]
    about: Any = None


def run_jobs(
    model: ModelConfig,
    jobs: Iterable[Job],
    keep: Callable[[Job, Any], None],
    *,
    start: Start | None = None,
) -> None:
    """Call `keep(job, result)` for each job, in order. No job: no engine is started.

    start: makes the engine, in this process, in place of one in a process of its own; the caller closes it.
    Raises what the engine raises, and UsageError for a model that is not there; jobs done until then have been kept.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return
    if start is not None:
        engine, job = start(), first
        while job is not None:
            keep(job, getattr(engine, job.method)(*job.arguments))
            job = next(waiting, None)  # type: ignore[assignment]
        return
    check_model_path(model)
    current: Job | None = None

    def answer(result: Any) -> Any:
        nonlocal current
        if current is None:
            current = first
        else:
            keep(current, result)
            current = next(waiting, None)
        return None if current is None else (current.method, current.arguments)

    run_in_worker(f"{__name__}:serve", model, on_message=answer)


def serve(exchange: Exchange, model: ModelConfig) -> None:
    """In the other process: results out, calls in, until none comes."""
    engine = start_backend(model)
    try:
        call = exchange(None)
        while call is not None:
            method, arguments = call
            call = exchange(getattr(engine, method)(*arguments))
    finally:
        engine.close()
