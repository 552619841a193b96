"""How long generating will take, from a few requests that an engine answers and that are not stored: its start, its speed, what is dropped."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from variegate.config import RunConfig
from variegate.inference.session import EngineSession
from variegate.pipeline.driver.stream import Stream
from variegate.progress import Progress
from variegate.records import Completion, Request


@dataclass(frozen=True, slots=True)
class Estimate:
    """not_included: in words."""

    measured_rows: int  # requests that were timed, all at once
    at_once: int  # that the run's next block gives the engine: it answers more of them at a time, and so faster
    start_seconds: float
    seconds_per_row: float
    kept_per_row: float  # records that came of a request: drops, and requests asked again for them, follow
    requests: int  # that the rest will take, at most what the run may ask
    seconds: float | None  # of the rest, the start among it; None where no measured row was kept, so that nothing says so
    not_included: tuple[str, ...]


def estimate(
    config: RunConfig, stream: Stream, session: EngineSession, requests: Sequence[Request], rows: int, missing: int, progress: Progress
) -> Estimate:
    """requests: of the next round. rows: of them that are timed. missing: records that are still to come. Takes the answers into the
    stream, which is then of no more use."""
    timed = list(requests[:rows])
    with session:
        seconds, answers = _time(config, stream, session, timed, progress)
        info = session.info
        started = session.start_seconds
    before = sum(stream.ledger.kept(name) for name in stream.talk.wanted)
    stream.settle(timed, answers)
    kept = (sum(stream.ledger.kept(name) for name in stream.talk.wanted) - before) / len(timed)
    most = max(sum(stream.talk.max_requests.values()) - stream.ledger.requests.total(), 0) + len(timed)
    left = min(math.ceil(missing / kept), most) if kept else most
    seats = info.max_num_seqs if info is not None and info.max_num_seqs else len(requests)
    return Estimate(
        measured_rows=len(timed),
        at_once=min(len(requests), config.rounds.shard, seats),
        start_seconds=started,
        seconds_per_row=seconds,
        kept_per_row=kept,
        requests=left,
        seconds=started + left * seconds if kept else None,
        not_included=tuple(_not_included(config, stream)),
    )


def _not_included(config: RunConfig, stream: Stream) -> list[str]:
    found = []
    if stream.talk.blocks.first is not None:
        found.append("blocks of other sizes, and prompts that grow by what was written before")
    if config.decoding.suppression is not None:
        found.append("suppression as the table fills: more texts may then be dropped")
    if config.strategy.works:
        found.append("the works of the strategy, and what is asked after them")
    return found


def _time(
    config: RunConfig, stream: Stream, session: EngineSession, requests: list[Request], progress: Progress
) -> tuple[float, list[Completion]]:
    """(seconds a row at full load, the answers). The difference between a run of all and of a quarter of them, so that what is paid once
    falls out; the larger run's mean where that difference is not positive."""
    with session.lease() as backend:
        if stream.table is not None:
            backend.set_rows(stream.rows())
        few = max(1, len(requests) // 4)
        times: list[float] = []
        answers: list[Completion] = []
        for count in (few, len(requests)):
            progress.update("timing", 0, 1, asked=count)
            start = time.monotonic()
            answers = backend.generate(requests[:count], logprobs=config.logprobs, on_progress=progress.advance)
            times.append(time.monotonic() - start)
    slope = (times[1] - times[0]) / (len(requests) - few) if len(requests) > few else 0.0
    return (slope if slope > 0 else times[1] / len(requests)), answers
