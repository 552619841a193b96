"""A small study that the tests of `compare` share: texts whose wording shows their label, the more so the lower the temperature.

The engine writes a label's own words; from each word on, with a chance that grows with the temperature, another label's.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.engine import FakeEngine
from variegate.config.resources import asset
from variegate.config.study import StudyConfig
from variegate.records import Request

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


def write_remark(request: Request, rng: random.Random) -> str:
    """What the engine writes; a request of no label is one that warms it up."""
    return write_text(rng, request.target.name, noise=request.sampling.temperature / 3) if request.target.labels else "warm"


def wordy_engine(*, fail_for: float | None = None, lent: bool = True, **options: Any) -> FakeEngine:
    """fail_for: raises for requests of this temperature."""
    return FakeEngine(write=write_remark, fail_when=lambda request: request.sampling.temperature == fail_for, lent=lent, **options)


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
        "model": {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": {"backend": "transformers"}},
        "strategy": {"kind": "zero_shot", "form": "li", "history": 0, "completions_per_call": 2},
        "target": {"per_label": per_label},
        "duplicates": {"near": None},
        "rounds": {"shard": 12},  # two calls of the engine a run
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
