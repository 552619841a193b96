"""What a run would do, without generating it: counts, prompts, tokens, what is on disk already, and what would be refused.

With `measure` it starts the engine and times a few rows, which are not stored.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.errors import BackendError
from variegate.inference.backend import check_model_path
from variegate.inference.session import EngineSession
from variegate.inference.tokenization import PromptEncoder
from variegate.pipeline.driver.stream import Stream
from variegate.pipeline.estimate import Estimate, estimate
from variegate.pipeline.generate import make_table
from variegate.pipeline.givens import planned_givens
from variegate.pipeline.gold import Gold, planned_gold
from variegate.pipeline.resume import changes_since
from variegate.pipeline.room import max_model_len, why_too_long
from variegate.pipeline.seeds import planned_seeds
from variegate.pipeline.works import Desk
from variegate.pipeline.works.bench import Bench
from variegate.progress import Progress, Silent
from variegate.records import Request, Work
from variegate.seeding import digest
from variegate.store.formats import check_format
from variegate.store.rows import KEPT, stored_completion, stored_items
from variegate.store.run_folder import ROUNDS, RunFolder, round_key


@dataclass(slots=True)
class Plan:
    labels: int
    target: int  # records wanted in all
    kept: int  # records that are on disk and stay
    reusable: int  # rows on disk that need no generation; exact up to the first round that has to be made
    next_round: int  # requests that the first round lacks which is not whole
    next_work: str  # the work that comes before any round; "" for none
    max_requests: int  # requests the run may make at most
    blocks: int  # of each label, if nothing is dropped: what is asked under one state of the suppression table, pool and chats
    feeds_back: bool  # whether later texts are made under earlier ones at all
    share_under_feedback: float  # of the records: those of a label's first block know nothing of earlier texts
    prompt_tokens_mean: float  # of what the encoder reads, in an encoder-decoder
    prompt_tokens_max: int
    new_tokens_max: int  # per request
    max_model_len: int | None  # of an encoder-decoder's prompt and answer each; None: unknown before the model was downloaded
    samples: list[dict[str, Any]]  # filled-in prompts
    refusals: list[str] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)  # since the run that the folder holds: `field: old -> new`
    set_aside: int = 0  # rounds on disk that no longer fit; their rows stay a source of answers
    estimate: Estimate | None = None  # where rows were timed

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(config: RunConfig, *, measure: int = 0, num_samples: int = 2, progress: Progress | None = None) -> Plan:
    """Raises UsageError and ConfigError as the run itself would. `measure`: rows to time, 0 for none."""
    check_model_path(config.model)
    folder = RunFolder(Path(config.output))
    folder.check_place()
    check_format(folder.path, ("run.yaml", "rounds"))
    session = EngineSession(config.model, progress=progress, warm_up=True)
    stream, gold = plan_stream(config, folder, session)
    bench = Bench(folder, Desk(config, stream.kind, gold, progress or Silent()), session.rest)
    encoder = PromptEncoder(config.model)
    kept, reusable, requests, work, standing = _replay(stream, folder, bench)
    lengths = [len(encoder.encode(request.messages)) for request in requests]
    limit = max_model_len(config, encoder)
    refusals = []
    if limit is not None:
        reasons = [reason for length in lengths if (reason := why_too_long(config, encoder, length, limit))]
        if reasons:
            refusals.append(f"{len(reasons)} of {len(requests)} prompts would be dropped as too long: {reasons[0]}")
    if config.model.engine.backend == "vllm":
        from variegate.inference.vllm_versions import check_version, vllm_version

        try:
            check_version(vllm_version())
        except BackendError as error:
            refusals.append(str(error))
    labels = config.task.labels
    blocks, share = _feedback(stream)
    plan = Plan(
        labels=len(labels),
        target=sum(stream.talk.wanted.values()),
        kept=kept,
        reusable=reusable,
        next_round=len(requests),
        next_work=work,
        max_requests=sum(stream.talk.max_requests.values()),
        blocks=blocks,
        feeds_back=stream.talk.blocks.first is not None,
        share_under_feedback=share,
        prompt_tokens_mean=sum(lengths) / len(lengths) if lengths else 0.0,
        prompt_tokens_max=max(lengths, default=0),
        new_tokens_max=config.decoding.max_tokens,
        max_model_len=limit,
        samples=_samples(requests, num_samples),
        refusals=refusals,
        changes=_changes(folder, config),
        set_aside=_set_aside(folder, standing),
    )
    if measure and requests:
        plan.estimate = estimate(config, stream, session, requests, measure, max(0, plan.target - kept), progress or Silent())
    return plan


def _changes(folder: RunFolder, config: RunConfig) -> list[str]:
    try:
        return changes_since(folder, config)[1]
    except ValueError as error:
        return [f"run.yaml is damaged, and is written anew ({error})"]


def _set_aside(folder: RunFolder, standing: int) -> int:
    """Rounds on disk beyond the first `standing`."""
    return max(0, len(folder.shelf.names(ROUNDS)) - standing)


def _feedback(stream: Stream) -> tuple[int, float]:
    """(blocks of each label, share of the records made under feedback), if nothing is dropped."""
    blocks = stream.talk.blocks
    if blocks.first is None:
        return 1, 0.0
    requests = [math.ceil(number / stream.talk.per_answer) for number in stream.talk.wanted.values()]
    without = sum(min(blocks.at(0).end or 0, number) for number in requests)
    return max(blocks.at(number - 1).index + 1 for number in requests), 1 - without / sum(requests)


def plan_stream(config: RunConfig, folder: RunFolder, session: EngineSession) -> tuple[Stream, Gold]:
    """The stream that a run would begin with, and the real examples that its works are judged by; nothing is written."""
    gold = planned_gold(folder, config)
    seeds, givens = planned_seeds(folder, config), planned_givens(folder, config)
    return Stream(config, digest(session.identity, length=32), make_table(config), seeds, givens, gold.validation), gold


def _replay(stream: Stream, folder: RunFolder, bench: Bench) -> tuple[int, int, list[Request], str, int]:
    """Take what is on disk into the stream as far as it holds; (records that stay, rows that can be reused, what the first round
    that is not whole lacks, or the work that comes first, rounds that stay as they are)."""
    answers = folder.answers()
    kept = reusable = standing = 0
    while requests := stream.ask():
        if isinstance(requests, Work):
            done = bench.find(requests)
            if done is None:
                return kept, reusable, [], requests.name, standing
            stream.talk.heard(requests, done.rows())
            continue
        known = answers.take(request.key for request in requests)
        reusable += len(known)
        if len(known) < len(requests):
            kept += sum(item.outcome == KEPT for row in known.values() for item in stored_items(row))
            return kept, reusable, [request for request in requests if request.key not in known], "", standing
        if standing == stream.round and folder.round_stands(standing, round_key(request.key for request in requests)):
            standing += 1
        rows = stream.settle(requests, [stored_completion(known[request.key]) for request in requests])
        kept += sum(item.outcome == KEPT for row in rows for item in row.items)
    return kept, reusable, [], "", standing


def _samples(requests: list[Request], num: int) -> list[dict[str, Any]]:
    """The first prompt of each of the first `num` labels."""
    first: dict[str, Request] = {}
    for request in requests:
        first.setdefault(request.target.name, request)
    return [{"label": label, "messages": [asdict(message) for message in request.messages]} for label, request in list(first.items())[:num]]
