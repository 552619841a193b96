"""A small study that the tests of `compare` share: texts whose wording shows their label, the more so the lower the temperature.

The backend writes a label's own words; from each word on, with a chance that grows with the temperature, another label's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from variegate.config.resources import asset
from variegate.config.study import StudyConfig
from variegate.inference.backend import EngineInfo
from variegate.records import Completion, Request

LABELS = ("animals", "money", "weather")
WORDS = {
    "animals": ["cat", "dog", "horse", "rabbit", "parrot", "goat", "sheep", "tiger", "hamster", "donkey", "whale", "otter"],
    "money": ["bank", "loan", "salary", "invoice", "credit", "budget", "mortgage", "dollar", "tax", "refund", "wallet", "debt"],
    "weather": ["rain", "snow", "storm", "sunshine", "cloud", "thunder", "fog", "breeze", "hail", "frost", "heat", "drizzle"],
}
FILLERS = ["the", "my", "a", "our", "this", "every", "some", "his", "her", "that"]


def write_text(rng: random.Random, label: str, *, noise: float) -> str:
    """Four words of the label, each with a filler; a noisy text has words of another label instead."""
    own = label if rng.random() >= noise else rng.choice([each for each in LABELS if each != label])
    return " ".join(f"{rng.choice(FILLERS)} {word}" for word in rng.sample(WORDS[own], 4))


class WordyBackend:
    """fail_at: the call of `generate` that raises `error`, from 1. fail_for: raises for requests of this temperature."""

    info = EngineInfo("scripted", "1", "cpu", "", "float32", 1024, 4096)

    def __init__(self, *, fail_at: int | None = None, error: BaseException | None = None, fail_for: float | None = None) -> None:
        self.fail_at, self.error, self.fail_for = fail_at, error or KeyboardInterrupt(), fail_for
        self.calls: list[list[Request]] = []
        self.biases: list[dict[str, Any]] = []

    def generate(self, requests: Sequence[Request], *, logprobs: bool = False, on_progress: Any = None) -> list[Completion]:
        self.calls.append(list(requests))
        if len(self.calls) == self.fail_at or (self.fail_for is not None and requests[0].sampling.temperature == self.fail_for):
            raise self.error
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Completion:
        text = write_text(random.Random(request.seed), request.label, noise=request.sampling.temperature / 3)
        return Completion(request.key, text, tuple(range(len(text.split()))), "stop", 7)

    def set_bias(self, bias: Mapping[str, Any]) -> None:
        self.biases.append(dict(bias))

    def close(self) -> None:
        raise AssertionError("an engine that the caller made is the caller's to close")


def write_data(folder: Path) -> dict[str, str]:
    """Real train (90 texts) and test (60) of the task, the words as `write_text`; returns their paths."""
    rng = random.Random(0)
    for name, count in (("train", 30), ("test", 20)):
        rows = [{"text": write_text(rng, label, noise=0.0), "label": label} for label in LABELS for _ in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: str(folder / f"{name}.jsonl") for name in ("train", "test")}


def make_study(folder: Path, data: Mapping[str, str] | None = None, *, per_label: int = 8, **parts: Any) -> StudyConfig:
    """folder: where everything lies. data: of the task; None writes it there. parts: of the study, `run` of its run."""
    folder.mkdir(exist_ok=True)
    run = {
        "task": {
            "kind": "classification",
            "name": "chatter",
            "text_type": "remark",
            "context": "You chat.",
            "labels": {label: {"phrase": f"about {label}", "description": f"Is about {label}."} for label in LABELS},
            "data": dict(write_data(folder) if data is None else data),
        },
        "model": {"name": "nano-llama", "path": str(asset("nano-llama"))},
        "strategy": {"kind": "zero_shot", "form": "li", "history": 0, "completions_per_call": 2},
        "target": {"per_label": per_label},
        "rounds": {"min_requests": 12},
        "duplicates": {"near": None},
        "backend": "transformers",
        "output": str(folder / "unused"),
        **parts.pop("run", {}),
    }
    return StudyConfig.model_validate(
        {
            "name": "small",
            "run": run,
            "axes": {"temperature": [0.3, 2.0], "curation": ["none", "lr"]},
            "curations": {"lr": {"stages": [{"kind": "label_replacement", "labels": "oracle", "inspected": 9}]}},
            "replicates": 2,
            "output": str(folder / "study"),
            **parts,
        }
    )
