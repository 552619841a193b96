"""A run from its configuration to its finished folder: rounds until the target, resume, reuse, and the files at the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.errors import Interrupted
from variegate.inference.backend import check_model_path
from variegate.inference.session import EngineSession, Start
from variegate.inference.suppression.table import SuppressionTable, exempt_token_ids
from variegate.inference.tokenization import load_tokenizer, load_vocab_size
from variegate.pipeline.driver.run import Run
from variegate.pipeline.driver.stream import Stream, make_sampling
from variegate.pipeline.givens import givens_of
from variegate.pipeline.gold import gold_of
from variegate.pipeline.manifest import make_manifest, top_suppressed
from variegate.pipeline.resume import ResumeMode, prepare
from variegate.pipeline.seeds import seeds_of
from variegate.pipeline.works import Desk
from variegate.pipeline.works.bench import Bench
from variegate.progress import Progress, Silent
from variegate.seeding import digest
from variegate.store.run_folder import RunFolder


@dataclass(slots=True)
class RunSummary:
    folder: Path
    report: Path | None  # None where the caller wanted none
    requested: int
    kept: int
    dropped: dict[str, int]
    shortfall: dict[str, int]  # label -> records missing from the target
    reused: int
    answered: int  # requests, by an engine in this call
    tokens_per_second: float | None
    feedback: dict[str, Any]  # as in the manifest
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
            stop=make_sampling(config).stop,
            extra=suppression.exempt,
            special_ids=tokenizer.all_special_ids,
            encode=lambda text: tokenizer.encode(text, add_special_tokens=False),
            terminators=suppression.exempt_terminators,
        )
    return SuppressionTable(
        vocab_size,
        top_k=suppression.top_k,
        floor=suppression.floor,
        scale=suppression.scale,
        exempt=exempt,
        min_tokens=suppression.min_tokens,
    )


def generate(
    config: RunConfig,
    *,
    resume: ResumeMode = "auto",
    progress: Progress | None = None,
    session: EngineSession | None = None,
    start: Start | None = None,
    report: Callable[[RunFolder], Path] | None = None,
) -> RunSummary:
    """Run `config` to its target and write records.jsonl, dropped.jsonl and manifest.json.

    session: of the run's model, and the caller's to close; otherwise the run has one of its own.
    start: makes that one's engine, which is then the caller's to close.
    report: writes the report of the finished folder, still under its lock, and returns its path.
    Raises UsageError, BackendError, StoreError; Interrupted on Ctrl-C, with all finished rounds on disk.
    """
    progress = progress or Silent()
    began = time.monotonic()
    check_model_path(config.model)
    own = session or EngineSession(config.model, progress=progress, start=start, process="worker" if config.strategy.works else "here")
    started = own.start_seconds
    folder = RunFolder(Path(config.output), on_damage=progress.note)
    with folder.lock():
        changes = prepare(folder, config, resume)
        gold = gold_of(folder, config)
        stream = Stream(
            config,
            digest(own.identity, length=32),
            make_table(config),
            seeds_of(folder, config),
            givens_of(folder, config),
            gold.validation,
        )
        bench = Bench(folder, Desk(config, stream.kind, gold, progress), own.rest) if config.strategy.works else None
        run = Run(config, folder, stream, own, progress, bench)
        try:
            while run.advance():
                pass
            totals = stream.ledger.to_json()
            decode = load_tokenizer(config.model).decode if stream.table is not None else None
            folder.write_manifest(
                make_manifest(
                    config,
                    folder,
                    stream,
                    fingerprint=own.fingerprint,
                    engine=run.engine,
                    seconds={"engine_start": round(own.start_seconds - started, 2), "total": round(time.monotonic() - began, 2)},
                    suppression=top_suppressed(stream, decode),
                    works=run.works,
                )
            )
        except KeyboardInterrupt as error:
            kept = stream.ledger.to_json()["kept"]
            raise Interrupted(
                f"stopped: {stream.round} rounds with {kept} records are in {folder.path}; the shard or work in progress was left out. "
                "Run the same command again to go on."
            ) from error
        finally:
            if session is None:
                own.close()
        manifest = folder.read_manifest() or {}
        return RunSummary(
            folder=folder.path,
            report=report(folder) if report else None,
            requested=totals["requested"],
            kept=totals["kept"],
            dropped=totals["dropped"],
            shortfall=stream.shortfall(),
            reused=manifest.get("reused", 0),
            answered=run.answered,
            tokens_per_second=manifest.get("tokens_per_second"),
            feedback=manifest.get("feedback", {}),
            changes=changes,
        )
