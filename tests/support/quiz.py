"""Runs of promptmix on a small task, whose engine writes lists: with an introduction, shares in brackets, copies, and answers that are none."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.support.engine import FakeEngine
from tests.support.food import make_config
from variegate.config import RunConfig
from variegate.records import Request

LABELS = ("apple", "bread", "cheese", "date", "egg", "fig")
DISHES = ("soup", "pie", "tart", "stew", "salad", "sauce", "roll", "cake", "toast", "curry")
SIDES = ("rice", "peas", "beans", "herbs", "nuts", "cream", "leeks", "corn", "chard", "lentils")


def write_data(folder: Path) -> dict[str, str]:
    """Train, dev and test, no text in two of them; a copy of a test text stands in train."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = {
        split: [
            {"text": f"{split} menu {number} of {label} and {SIDES[number]}", "label": label} for label in LABELS for number in range(6)
        ]
        for split in ("train", "dev", "test")
    }
    rows["train"] += rows["test"][::6]
    for split, own in rows.items():
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in own))
    return {split: str(folder / f"{split}.jsonl") for split in rows}


def make_quiz(folder: Path, data: Path, per_label: int = 9, **strategy: Any) -> RunConfig:
    return make_config(
        folder,
        per_label,
        labels=LABELS,
        task={"data": {**write_data(data), "overlap": "leave_out"}},
        strategy={"kind": "promptmix", "requests_per_cycle": 2, **strategy},
        rounds={"shard": 5},
    )


def write_list(request: Request, rng: random.Random) -> str:
    """What follows the prompt's `1. "`; now and then no list, a copy of an example, or an echo."""
    if rng.random() < 0.1:
        return ""
    label, partner = request.target.name, request.facts.get("partner", "")
    texts = [
        f"{rng.choice(DISHES)} {rng.randrange(1000)} of {label} with {partner or rng.choice(SIDES)} and {rng.choice(SIDES)}"
        for _ in range(3)
    ]
    if rng.random() < 0.2:
        texts[1] = next((line[2:] for line in request.prompt.split("\n") if line.startswith("- ")), texts[1])
    if rng.random() < 0.2:
        texts[2] = f"{round(100 * request.facts['alpha'])}% {label}"
    return '"\n'.join(text if not place else f'{place + 1}. "{text}' for place, text in enumerate(texts)) + '"'


def quiz_engine(**options: Any) -> FakeEngine:
    return FakeEngine(write=write_list, **options)
