"""Rows and run folders written by hand, through RunFolder itself: no strategy, no engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from variegate.config.strategies.few_shot import FewShotConfig
from variegate.records import ENGINE_ERROR, PROMPT_TOO_LONG, Completion, Fault, Item, Message, Record, Request, Sampling, Target
from variegate.seeding import derive_seed, digest
from variegate.store.files import write_atomic
from variegate.store.formats import state_format
from variegate.store.ledger import REASONS, Ledger
from variegate.store.rows import KEPT, Row
from variegate.store.run_folder import RunFolder
from variegate.store.settings import ABOUT

LABELS = ("joy", "anger", "fear")


FAULTS = (PROMPT_TOO_LONG, ENGINE_ERROR)

# Of `small_rounds`.
ASKED = 24 + len(REASONS)
TOTALS = f"{ASKED} requested = 24 kept + {len(REASONS)} dropped"


def make_row(label: str = "joy", slot: int = 0, *, text: str | None = None, outcome: str = KEPT, round: int = 0) -> Row:
    """A row of one item, as the pipeline makes it; of a fault, a row of none. text: what was read, or refused."""
    text = f"I am so full of {label} today, number {slot}" if text is None else text
    key = digest(["test", label, round, slot])
    target = Target((label,))
    request = Request(
        key=key,
        messages=(Message("user", f"Text about {label}: "),),
        sampling=Sampling(temperature=0.7, max_tokens=60, stop=('"',)),
        seed=derive_seed(key),
        target=target,
        slot=slot,
        round=round,
        group="run",
        parents=("0123456789abcdef",) if slot % 2 else (),
    )
    fault = Fault(outcome, f"no text: {outcome}") if outcome in FAULTS else None
    completion = Completion(
        key=key,
        text="" if fault else f" {text}",
        token_ids=() if fault else tuple(range(len(text.split()))),
        finish_reason="error" if fault else "length" if outcome == "unfinished" else "stop",
        num_prompt_tokens=12,
        logprob=-12.5 if outcome == KEPT else None,
        error=fault,
    )
    fields = {"text": text, "label": label} if outcome == KEPT else {"text": text}
    items = () if fault else (Item(key, target, fields, outcome, {}),)
    return Row(request, completion, items, {"strategy": "few_shot", "form": "chung", "model": "nano-llama", "suppression": "run"})


def make_record(id: str, text: str, label: str, origin: Mapping[str, Any] | None = None) -> Record:
    """A record of one text."""
    return Record(id, {"text": text, "label": label}, origin or {})


def make_settings(labels: Sequence[str] = LABELS, per_label: int = 10) -> dict[str, Any]:
    """A resolved run as run.yaml holds it: what `load_run` gave, dumped by pydantic."""
    from variegate.config import RunConfig

    config = RunConfig.model_validate(
        {
            "task": {
                "kind": "classification",
                "name": "feelings",
                "text_type": "emotional tweet",
                "context": "You write tweets.",
                "labels": {label: {"phrase": f"expressing {label}", "description": f"The writer feels {label}."} for label in labels},
                "licence": "CC-BY 4.0",
            },
            "model": {"name": "nano-llama", "path": "/nowhere/nano-llama", "licence": "Apache-2.0"},
            "strategy": {"kind": "few_shot", "form": "chung", "seed_pool": 0},
            "decoding": {"temperature": 0.7, "max_tokens": 60, "suppression": {}},
            "target": {"per_label": per_label},
            "output": "runs/feelings",
        }
    )
    return config.model_dump(mode="json")


def write_run(
    path: Path,
    rounds: Sequence[Sequence[Row]],
    *,
    labels: Sequence[str] = LABELS,
    per_label: int = 10,
    finished: bool = True,
    shortfall: dict[str, int] | None = None,
) -> RunFolder:
    """A run folder written through RunFolder itself, its manifest as the pipeline writes it."""
    folder = RunFolder(path)
    path.mkdir(parents=True, exist_ok=True)
    state_format(path)
    strategy = FewShotConfig(kind="few_shot", seed_pool=0)
    write_atomic(path / ABOUT, json.dumps({"words": strategy.words(), "citation": strategy.citation()}).encode())
    folder.write_config(yaml.safe_dump(make_settings(labels, per_label), sort_keys=False, allow_unicode=True))
    for index, rows in enumerate(rounds):
        rows = [replace(row, request=replace(row.request, round=index)) for row in rows]
        summary = Ledger.of(row.to_json() for row in rows).to_json()
        facts = {
            "round": index,
            **{name: summary[name] for name in ("requested", "kept", "dropped")},
            "under_feedback": sum(item.outcome == KEPT for row in rows if row.request.parents for item in row.items),
            "num_tokens": sum(len(row.completion.token_ids) for row in rows),
            "num_generated_tokens": sum(len(row.completion.token_ids) for row in rows),
            "num_prompt_tokens": 12 * len(rows),
            "num_cached_tokens": 4 * len(rows),
            "seconds": 0.5 + 0.1 * (index % 3),
            "reused": 0,
        }
        folder.commit_round(index, rows, facts)
    if finished:
        files = folder.write_results()
        ledger = Ledger.of(folder.rows())
        num_tokens = sum(facts["num_tokens"] for facts in folder.round_facts())
        folder.write_manifest(
            {
                "variegate": "0.1.0",
                "complete": not shortfall,
                "created": "2026-01-02T03:04:05+00:00",
                "command": "variegate generate feelings.run.yaml",
                "config_sha256": "c" * 64,
                "seed": 0,
                "model": {"name": "nano-llama", "path": "/nowhere/nano-llama", "sha256": "a" * 64},
                "tokenizer_sha256": "b" * 64,
                "engine": {
                    "name": "vllm",
                    "version": "0.32.0",
                    "device": "CPU (2 cores)",
                    "runner": "v1",
                    "dtype": "float32",
                    "max_model_len": 512,
                },
                "versions": {"torch": "2.13.0", "vllm": "0.32.0"},
                "ledger": ledger.to_json(),
                "shortfall": shortfall or {},
                "tokens": {"generated": num_tokens, "prompt": 12 * len(files), "cached": 0},
                "seconds": {"engine_start": 12.0, "generate": 80.0, "total": 93.0},
                "tokens_per_second": 4321.5,
                "records_per_second": 123.4,
                "reused": 0,
                "files": files,
                "rounds": folder.round_hashes(),
                "feedback": {"kept": 22, "share": 0.9, "rounds": len(rounds)},
                "suppression": {
                    "run": [{"token": " so", "share_percent": 4.2, "bias": -7.5}, {"token": "<b>", "share_percent": 0.4, "bias": -3.0}]
                },
            }
        )
    return folder


def small_rounds() -> list[list[Row]]:
    """Three labels, two rounds, every reason of the ledger once: 24 kept of ASKED requested."""
    first = [make_row(label, slot) for label in LABELS for slot in range(5)]
    dropped = [make_row("joy", 100 + index, outcome=reason) for index, reason in enumerate(REASONS)]
    second = [make_row(label, slot, round=1) for label in LABELS for slot in range(5, 8)]
    return [first + dropped, second]
