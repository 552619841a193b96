"""The first few answers of a run, read and judged as the run would: they are its own requests. Nothing is stored."""

from __future__ import annotations

from itertools import chain, zip_longest
from pathlib import Path

from variegate.config import RunConfig
from variegate.inference.backend import check_model_path
from variegate.inference.session import EngineSession, Start
from variegate.pipeline.driver.nothing import nothing_kept
from variegate.pipeline.plan import plan_stream
from variegate.pipeline.room import check_room
from variegate.progress import Progress, Silent
from variegate.records import KEPT, Request, Work
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder

MOST_ASKED = 4  # answers for each text that is wanted


def preview(config: RunConfig, number: int, *, progress: Progress | None = None, start: Start | None = None) -> list[Row]:
    """Answers in the order in which they were asked for, labels in turn, until `number` texts are kept or `MOST_ASKED` times as
    many were asked for; before that, what the strategy asks for itself.

    start: makes the engine, which is then the caller's to close. Raises NothingKeptError where no text is kept, and as
    `generate` does.
    """
    progress = progress or Silent()
    check_model_path(config.model)
    folder = RunFolder(Path(config.output))
    rows: list[Row] = []
    with EngineSession(config.model, progress=progress, start=start) as session:
        stream, _ = plan_stream(config, folder, session)
        kept = noted = 0
        while kept < number and len(rows) < MOST_ASKED * number + noted:
            asked = stream.ask()
            requests = [] if isinstance(asked, Work) else _in_turn(asked)
            notes = [request for request in requests if request.note]
            requests = notes or requests[: number - kept]
            if not requests:
                break
            if session.will_start:
                check_room(config, requests)
            with session.lease() as backend:
                progress.update("writing", kept, number, asked=len(requests))
                if stream.table is not None:
                    backend.set_rows(stream.rows())
                rows += stream.settle(requests, backend.generate(requests, logprobs=config.logprobs, on_progress=progress.advance))
            kept, noted = stream.ledger.totals()[KEPT], stream.ledger.note_requests
    if not kept:
        raise nothing_kept(config, len(rows), rows, stream.ledger.totals())
    return rows


def _in_turn(requests: list[Request]) -> list[Request]:
    """The first of each name, then the second of each, and so on."""
    by_name: dict[str, list[Request]] = {}
    for request in requests:
        by_name.setdefault(request.target.name, []).append(request)
    return [request for request in chain.from_iterable(zip_longest(*by_name.values())) if request is not None]
