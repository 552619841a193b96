"""A task of three classes for S3, with a real student: words show the class, and the seed data lack half of each class's words.

The engine writes a class's texts with its common words alone, unless the prompt shows a text: then with that text's words. The
student reads vectors of a tiny BERT with random weights: it knows words, and nothing of what they mean.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

from tests.support.engine import FakeEngine
from tests.support.tiny_bert import write_bert
from variegate.config import RunConfig
from variegate.config.resources import asset
from variegate.records import Request

LABELS = ("animals", "money", "weather")
COMMON = {
    "animals": ["cat", "dog", "horse", "rabbit", "parrot", "goat"],
    "money": ["bank", "loan", "salary", "invoice", "credit", "budget"],
    "weather": ["rain", "snow", "storm", "sunshine", "cloud", "thunder"],
}
RARE = {
    "animals": ["piranha", "lobster", "oyster", "cicada"],  # never in seed data
    "money": ["tithe", "dowry", "escrow", "stipend"],
    "weather": ["sirocco", "mistral", "sleet", "drizzle"],
}
FILLERS = ["the", "my", "a", "our", "this", "every", "some", "his", "her", "that"]


def write_text(rng: random.Random, words: list[str]) -> str:
    return " ".join(f"{rng.choice(FILLERS)} {word}" for word in rng.choices(words, k=4))


def write_data(folder: Path, *, train: int = 40, test: int = 20, swap: str = "") -> dict[str, str]:
    """Real data: half of a class's texts have its rare words. swap: the class whose rare words are the common ones of another, so that
    a student of seed data says that one for certain."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    for name, count in (("train", train), ("test", test)):
        rows = []
        for label in LABELS:
            rare = COMMON[LABELS[(LABELS.index(label) + 2) % 3]] if label == swap else RARE[label]
            rows += [{"text": write_text(rng, rare if n % 2 else COMMON[label]), "label": label} for n in range(count)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: str(folder / f"{name}.jsonl") for name in ("train", "test")}


def write(request: Request, rng: random.Random) -> str:
    """Rationales where a note is asked for; else a text, with the words of the one that the prompt shows where it shows one."""
    if request.note:
        return "\n".join(f"{n}. {rng.choice(FILLERS)} reason {rng.random():.4f}" for n in range(1, 20))
    label = request.target.name
    shown = re.search(r'"([^"]+)"\nWrite another', request.prompt)
    words = shown[1].split()[1::2] if shown else COMMON[label]
    return write_text(rng, words)


def engine(**options: Any) -> FakeEngine:
    return FakeEngine(write=write, **options)


def make_config(folder: Path, per_label: int = 12, *, data: dict[str, str] | None = None, **parts: Any) -> RunConfig:
    bert = folder.parent / "bert"
    if not bert.exists():
        write_bert(bert, words=[*FILLERS, *(word for words in (COMMON, RARE) for own in words.values() for word in own)])
    student = {"kind": "logistic_regression", "encoder": str(bert)}
    return RunConfig.model_validate(
        {
            "task": {
                "kind": "classification",
                "name": "remarks",
                "text_type": "remark",
                "context": "You chat.",
                "labels": {label: {"phrase": f"about {label}", "description": f"Is about {label}."} for label in LABELS},
                "data": {"overlap": "leave_out", **(data or write_data(folder.parent / "data"))},
            },
            "model": {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": {"backend": "transformers"}},
            "strategy": {
                "kind": "s3",
                "rationales": 4,
                "validation": 45,
                "select": 45,
                "gain": None,  # by chance alone such a student may say less after a round than before
                "student": student,
                **parts.pop("strategy", {}),
            },
            "target": {"per_label": per_label, "max_attempts": 5},
            "duplicates": {"near": None},
            "output": str(folder),
            **parts,
        }
    )
