"""What a run would do, without generating it: counts, prompts, tokens, what is on disk already, and what would be refused.

With `measure` it starts the engine and times a few rows, which are not stored.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.errors import BackendError, UsageError
from variegate.inference.backend import DEFAULT_SEQUENCE_LEN, check_model_path, too_long
from variegate.inference.identity import fingerprint
from variegate.inference.start import start_backend
from variegate.inference.tokenization import PromptEncoder
from variegate.pipeline.generate import make_table
from variegate.pipeline.reuse import Reuse
from variegate.pipeline.rounds import RunState
from variegate.records import Request
from variegate.store.run_folder import RunFolder


@dataclass(slots=True)
class Plan:
    labels: int
    target: int  # records wanted in all
    kept: int  # records that are on disk and stay
    reusable: int  # rows on disk that need no generation; exact up to the first round that has to be made
    next_round: int  # requests in the first round that has to be made
    max_requests: int  # requests the run may make at most
    prompt_tokens_mean: float  # of what the encoder reads, in an encoder-decoder
    prompt_tokens_max: int
    new_tokens_max: int  # per request
    max_model_len: int | None  # of an encoder-decoder's prompt and answer each; None: unknown before the model was downloaded
    samples: list[dict[str, Any]]  # filled-in prompts
    refusals: list[str] = field(default_factory=list)
    seconds_per_row: float | None = None
    eta_seconds: float | None = None
    measured_rows: int = 0

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(config: RunConfig, *, measure: int = 0, num_samples: int = 2) -> Plan:
    """Raises UsageError and ConfigError as the run itself would. `measure`: rows to time, 0 for none."""
    check_model_path(config.model)
    state = RunState(config, fingerprint(config.model), make_table(config))
    encoder = PromptEncoder(config.model)
    reusable, requests = _replay(state, RunFolder(Path(config.output)))
    lengths = [len(encoder.encode(request.messages)) for request in requests]
    limit = _max_model_len(config, encoder)
    prompt_limit = limit if encoder.encoder_decoder else None
    refusals = []
    if limit is not None:
        reasons = [reason for length in lengths if (reason := too_long(length, config.decoding.max_tokens, limit, prompt_limit))]
        if reasons:
            refusals.append(f"{len(reasons)} of {len(requests)} prompts would be dropped as too long: {reasons[0]}")
    if config.model.engine.backend == "vllm":
        from variegate.inference.vllm_start import check_version, vllm_version

        try:
            check_version(vllm_version())
        except BackendError as error:
            refusals.append(str(error))
    labels = config.task.labels
    kept = state.ledger.to_json()["kept"]
    plan = Plan(
        labels=len(labels),
        target=config.target.per_label * len(labels),
        kept=kept,
        reusable=reusable,
        next_round=len(requests),
        max_requests=state.schedule.max_requests * len(labels),
        prompt_tokens_mean=sum(lengths) / len(lengths) if lengths else 0.0,
        prompt_tokens_max=max(lengths, default=0),
        new_tokens_max=config.decoding.max_tokens,
        max_model_len=limit,
        samples=_samples(requests, num_samples),
        refusals=refusals,
    )
    if measure and requests:
        plan.measured_rows = min(measure, len(requests))
        plan.seconds_per_row = _measure(config, requests, plan.measured_rows)
        plan.eta_seconds = plan.seconds_per_row * max(0, plan.target - kept)
    return plan


def _replay(state: RunState, folder: RunFolder) -> tuple[int, list[Request]]:
    """Take the rounds on disk into the state as far as they hold; (rows that can be reused, the next round's requests)."""
    reuse = Reuse()
    reuse.add_rounds([*folder.aside_folders(), *folder.round_folders()])
    reusable = 0
    while requests := state.next_requests():
        known = reuse.take(request.key for request in requests)
        reusable += len(known)
        if len(known) < len(requests):
            return reusable, requests
        state.finish_round(requests, [known[request.key] for request in requests])
    return reusable, []


def _samples(requests: list[Request], num: int) -> list[dict[str, Any]]:
    """The first prompt of each of the first `num` labels."""
    first: dict[str, Request] = {}
    for request in requests:
        first.setdefault(request.label, request)
    return [{"label": label, "messages": [asdict(message) for message in request.messages]} for label, request in list(first.items())[:num]]


def _max_model_len(config: RunConfig, encoder: PromptEncoder) -> int | None:
    if config.model.engine.max_model_len:
        return config.model.engine.max_model_len
    path = Path(config.model.path) / "config.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8")).get("max_position_embeddings")
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: not valid JSON: {error}") from error
    if found:
        return int(found)
    return DEFAULT_SEQUENCE_LEN if encoder.encoder_decoder else None


def _measure(config: RunConfig, requests: list[Request], rows: int) -> float:
    """Seconds a row at full load: the difference between a run of all `rows` and of a quarter of them, so that what is
    paid once falls out; the larger run's mean where that difference is not positive."""
    backend = start_backend(config.model)
    try:
        backend.generate(requests[:8])  # compiles and warms up
        few = max(1, rows // 4)
        times = []
        for count in (few, rows):
            start = time.monotonic()
            backend.generate(requests[:count])
            times.append(time.monotonic() - start)
    finally:
        backend.close()
    slope = (times[1] - times[0]) / (rows - few) if rows > few else 0.0
    return slope if slope > 0 else times[1] / rows
