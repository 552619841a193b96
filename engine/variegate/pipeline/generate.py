"""A run from its configuration to its finished folder: rounds until the target, resume, reuse, and the files at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from variegate.config import RunConfig
from variegate.errors import Interrupted
from variegate.inference.backend import Backend, check_model_path
from variegate.inference.identity import Fingerprint, fingerprint
from variegate.inference.start import start_backend
from variegate.inference.suppression.table import SuppressionTable, exempt_token_ids
from variegate.inference.tokenization import load_tokenizer, load_vocab_size
from variegate.pipeline.manifest import make_manifest, top_suppressed
from variegate.pipeline.resume import ResumeMode, prepare
from variegate.pipeline.reuse import Reuse
from variegate.pipeline.rounds import RunState
from variegate.records import Completion, Request
from variegate.store.rows import Row, stored_completion
from variegate.store.run_folder import RunFolder


class Progress(Protocol):
    """What a run tells while it goes. The command line draws it; tests count it."""

    def note(self, text: str) -> None: ...

    def start(self, target: int) -> None: ...

    def completions(self, count: int) -> None: ...

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None: ...


class Silent:
    def note(self, text: str) -> None:
        pass

    def start(self, target: int) -> None:
        pass

    def completions(self, count: int) -> None:
        pass

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None:
        pass


@dataclass(slots=True)
class RunSummary:
    folder: Path
    report: Path | None  # None where the caller wanted none
    requested: int
    kept: int
    dropped: dict[str, int]
    shortfall: dict[str, int]  # label -> records missing from the target
    reused: int
    tokens_per_second: float | None
    changes: list[str] = field(default_factory=list)  # what changed since the run the folder held


def make_table(config: RunConfig) -> SuppressionTable | None:
    """An empty suppression table for the run's model; None where the run does not suppress."""
    suppression = config.decoding.suppression
    if suppression is None:
        return None
    tokenizer = load_tokenizer(config.model)
    vocab_size = load_vocab_size(config.model)
    exempt: frozenset[int] = frozenset()
    if suppression.exempt_terminators or suppression.exempt:
        exempt = exempt_token_ids(
            tokenizer.decode,
            min(vocab_size, len(tokenizer)),
            stop=config.decoding.stop or (),
            extra=suppression.exempt,
            special_ids=tokenizer.all_special_ids,
            encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
            terminators=suppression.exempt_terminators,
        )
    return SuppressionTable(vocab_size, top_k=suppression.top_k, floor=suppression.floor, scale=suppression.scale, exempt=exempt)


class Run:
    """One run in progress. The engine starts when the first row has to be generated, and not before."""

    def __init__(
        self,
        config: RunConfig,
        folder: RunFolder,
        progress: Progress,
        *,
        identity: Fingerprint,
        start: Callable[[RunConfig], Backend] | None = None,
    ) -> None:
        self.config, self.folder, self.progress = config, folder, progress
        self.identity = identity
        self.state = RunState(config, identity, make_table(config))
        self.reuse = Reuse()
        self.backend: Backend | None = None
        self.engine_start_seconds = 0.0
        self._start = start

    def advance(self) -> bool:
        """Do one round: replay it from disk, or make and commit it. False when nothing is left to ask for."""
        number = self.state.round
        requests = self.state.next_requests()
        stored = self.folder.rounds_path / f"{number:06d}"
        if not requests:
            if stored.is_dir():  # rounds of a larger target: they are not part of this run
                self.set_aside(number)
            return False
        if stored.is_dir():
            stored_rows = self.folder.read_round(stored)
            if [row["key"] for row in stored_rows] == [request.key for request in requests]:
                self.replay(requests, stored_rows)
                return True
            self.set_aside(number)
        self.commit(requests)
        return True

    def replay(self, requests: list[Request], stored_rows: list[dict[str, Any]]) -> None:
        """Take a committed round into the state; rewrite it where its texts are judged differently now."""
        rows = self.state.finish_round(requests, [stored_completion(row) for row in stored_rows])
        if [row.to_json() for row in rows] != stored_rows:
            self.set_aside(rows[0].request.round)
            self.write(rows, reused=len(rows), num_generated_tokens=0, seconds=0.0)
        self.progress.round_done(kept=sum(row.kept for row in rows), dropped=sum(not row.kept for row in rows), tokens=0, seconds=0.0)

    def set_aside(self, number: int) -> None:
        """Rounds from `number` on belong to another configuration: keep them as a source of rows."""
        self.reuse.add_rounds(self.folder.set_rounds_aside(number))

    def commit(self, requests: list[Request]) -> None:
        """Reuse what is there, generate the rest, and make the round appear on disk at once."""
        known = self.reuse.take(request.key for request in requests) if len(self.reuse) else {}
        missing = [request for request in requests if request.key not in known]
        if missing:
            self.engine()  # started before the clock: its seconds are no part of a round's
        start = time.monotonic()
        fresh = self.generate(missing) if missing else []
        seconds = time.monotonic() - start
        known.update({completion.key: completion for completion in fresh})
        rows = self.state.finish_round(requests, [known[request.key] for request in requests])
        tokens = sum(len(completion.token_ids) for completion in fresh)
        self.write(rows, reused=len(requests) - len(missing), num_generated_tokens=tokens, seconds=seconds)
        kept = sum(row.kept for row in rows)
        self.progress.round_done(kept=kept, dropped=len(rows) - kept, tokens=tokens, seconds=seconds)

    def generate(self, requests: list[Request]) -> list[Completion]:
        backend = self.engine()
        if self.state.table is not None:
            backend.set_rows(self.state.table.rows())
        return backend.generate(requests, logprobs=self.config.logprobs, on_progress=self.progress.completions)

    def engine(self) -> Backend:
        if self.backend is None:
            self.progress.note(f"starting {self.config.model.engine.backend} on {self.config.model.name} ...")
            start = time.monotonic()
            if self._start is not None:
                self.backend = self._start(self.config)
            else:
                self.backend = start_backend(self.config.model)
            self.engine_start_seconds = time.monotonic() - start
            info = self.backend.info
            runner = f", model runner {info.runner}" if info.runner else ""
            self.progress.note(
                f"{info.name} {info.version} on {info.device}{runner}, {info.dtype}, started in {self.engine_start_seconds:.0f} s"
            )
        return self.backend

    def write(self, rows: list[Row], *, reused: int, num_generated_tokens: int, seconds: float) -> None:
        facts = self.state.facts(rows, reused=reused, num_generated_tokens=num_generated_tokens, seconds=round(seconds, 4))
        self.folder.commit_round(rows[0].request.round, rows, facts)


def generate(
    config: RunConfig,
    *,
    resume: ResumeMode = "auto",
    progress: Progress | None = None,
    start: Callable[[RunConfig], Backend] | None = None,
    report: Callable[[RunFolder], Path] | None = None,
) -> RunSummary:
    """Run `config` to its target and write records.jsonl, dropped.jsonl and manifest.json.

    start: makes the engine, in place of `start_backend`; it is then the caller's to close.
    report: writes the report of the finished folder, still under its lock, and returns its path.
    Raises UsageError, BackendError, StoreError; Interrupted on Ctrl-C, with all finished rounds on disk.
    """
    progress = progress or Silent()
    began = time.monotonic()
    check_model_path(config.model)
    folder = RunFolder(Path(config.output))
    with folder.lock():
        changes = prepare(folder, config, resume)
        run = Run(config, folder, progress, identity=fingerprint(config.model), start=start)
        if resume != "never":
            run.reuse.add_rounds(folder.aside_folders())
        target = config.target.per_label * len(config.task.labels)
        try:
            progress.start(target)
            while run.advance():
                pass
            totals = run.state.ledger.to_json()
            decode = load_tokenizer(config.model).decode if run.state.table is not None else None
            folder.write_manifest(
                make_manifest(
                    config,
                    folder,
                    run.state,
                    fingerprint=run.identity,
                    engine=run.backend.info if run.backend else None,
                    seconds={"engine_start": round(run.engine_start_seconds, 2), "total": round(time.monotonic() - began, 2)},
                    suppression=top_suppressed(run.state, decode),
                )
            )
        except KeyboardInterrupt as error:
            kept = run.state.ledger.to_json()["kept"]
            raise Interrupted(
                f"stopped: {run.state.round} rounds with {kept} records are in {folder.path}; the round in progress was left out. "
                "Run the same command again to go on."
            ) from error
        finally:
            if run.backend is not None and start is None:
                run.backend.close()
        manifest = folder.read_manifest() or {}
        return RunSummary(
            folder=folder.path,
            report=report(folder) if report else None,
            requested=totals["requested"],
            kept=totals["kept"],
            dropped=totals["dropped"],
            shortfall=run.state.shortfall(),
            reused=sum(each["reused"] for each in folder.round_facts()),
            tokens_per_second=manifest.get("tokens_per_second"),
            changes=changes,
        )
