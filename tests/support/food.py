"""Runs of a small task about food: their configuration, and the ways of making prompts and feeding back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.config.resources import asset

LABELS = ("apple", "bread", "cheese")


def make_config(output: Path, per_label: int = 12, *, labels: Sequence[str] = LABELS, **parts: Any) -> RunConfig:
    strategy = {"kind": "zero_shot", **parts.pop("strategy", {})}
    if strategy["kind"] in ("zero_shot", "few_shot"):
        strategy = {"completions_per_call": 4, **strategy}
    if strategy["kind"] == "zero_shot" and "form" not in strategy:
        strategy = {"form": "li", "history": 0, **strategy}
    return RunConfig.model_validate(
        {
            "task": {
                "kind": "classification",
                "name": "food",
                "text_type": "menu",
                "context": "You run a kitchen.",
                "labels": {label: {"phrase": f"with {label}", "description": f"Names {label}."} for label in labels},
                **parts.pop("task", {}),
            },
            "model": {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": {"backend": "transformers"}},
            "strategy": strategy,
            "target": {"per_label": per_label, "max_attempts": parts.pop("max_attempts", 5)},
            "rounds": parts.pop("rounds", {}),
            "output": str(output),
            **parts,
        }
    )


# The ways of making prompts and of feeding back that a resumed run has to stand up to.
VARIANTS: dict[str, dict[str, Any]] = {
    "zero_shot": {"rounds": {"shard": 7}},
    "faithful": {"strategy": {"completions_per_call": 3}, "decoding": {"suppression": {"faithful": True}}},
    "few_shot": {"strategy": {"kind": "few_shot", "seed_pool": 0, "completions_per_call": 3}, "rounds": {"first": 2}},
    "promptmix": {"strategy": {"kind": "promptmix", "shots": 0, "requests_per_cycle": 2}, "rounds": {"shard": 5}},
    "history": {"strategy": {"form": "li", "history": 2, "chats_per_label": 4}},
    "by_label": {"decoding": {"suppression": {"group": "label"}}, "rounds": {"first": 2, "shard": 7}},
    "by_run": {
        "decoding": {"suppression": {"group": "run", "top_k": None}},
        "strategy": {"form": "li", "history": 0},
        "rounds": {"first": 3, "growth": 0.5},
    },
}
