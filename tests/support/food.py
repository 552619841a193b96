"""Runs of a small task about food: their configuration, and the ways of making prompts and feeding back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from variegate.config import RunConfig
from variegate.config.resources import asset

LABELS = ("apple", "bread", "cheese")


def make_config(output: Path, per_label: int = 12, *, labels: Sequence[str] = LABELS, **parts: Any) -> RunConfig:
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
            "strategy": {"kind": "zero_shot", "form": "li", "history": 0, "completions_per_call": 4, **parts.pop("strategy", {})},
            "target": {"per_label": per_label, "max_attempts": parts.pop("max_attempts", 5)},
            "rounds": {"min_requests": 12, **parts.pop("rounds", {})},
            "output": str(output),
            **parts,
        }
    )


# The ways of making prompts and of feeding back that a resumed run has to stand up to.
VARIANTS: dict[str, dict[str, Any]] = {
    "zero_shot": {},
    "chung": {"strategy": {"form": "chung", "completions_per_call": 3}, "rounds": {"calls": 2}},
    "few_shot": {"strategy": {"kind": "few_shot", "form": "chung", "history": 0, "seed_pool": 0, "completions_per_call": 3}},
    "history": {"strategy": {"history": 2, "chats_per_label": 4}},
    "by_label": {"decoding": {"suppression": {"group": "label"}}},
    "by_run": {"decoding": {"suppression": {"group": "run", "top_k": None}}, "strategy": {"form": "chung"}},
}
