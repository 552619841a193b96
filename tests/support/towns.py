"""A small task of questions in SQuAD's form: towns, each with a river, a founder and a year. All of it is made up."""

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

RIVERS = ["arno", "belt", "cole", "dart", "esk", "fowey"]
FOUNDERS = ["alba", "boris", "clara", "dora", "emil", "fritz"]
ASKED = {"river": "which river runs by {town}", "founder": "who founded {town}"}


def context_of(number: int) -> str:
    town, river, founder = f"town{number % 20}", RIVERS[number % 6], FOUNDERS[number // 3 % 6]
    return f"{town} lies by the river {river} . it was founded by {founder} ."


def row_of(number: int, what: str) -> dict[str, Any]:
    context = context_of(number)
    answer = re.search(r"river (\w+)" if what == "river" else r"by (\w+) \.", context)
    assert answer
    return {
        "id": f"{number}-{what}",
        "context": context,
        "question": f"{ASKED[what].format(town=context.split()[0])} ?",
        "answers": {"text": [answer[1]], "answer_start": [answer.start(1)]},
    }


def write_data(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in (("train", range(12)), ("test", range(12, 18))):
        rows = [row_of(number, what) for number in numbers for what in ASKED]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: str(folder / f"{name}.jsonl") for name in ("train", "test")}


def write(request: Request, rng: random.Random) -> str:
    """A right question about the context, one whose answer does not stand there, or none at all."""
    context = request.target.given["context"]
    town, river = context.split()[0], context.split("river ")[1].split()[0]
    founder = context.split("by ")[-1].split()[0]
    asked, answer = rng.choice([(ASKED["river"], river), (ASKED["founder"], founder), (ASKED["founder"], "nobody"), ("hm", "")])
    return f" {asked.format(town=town)} {rng.choice(['now', 'then', 'today', ''])} ?\nAnswer: {answer}\n"


def engine(**options: Any) -> FakeEngine:
    return FakeEngine(write=write, **options)


def student(folder: Path) -> dict[str, Any]:
    if not (folder / "bert").exists():
        words = sorted({word for number in range(18) for what in ASKED for word in f"{context_of(number)} {ASKED[what]}".split()})
        write_bert(folder / "bert", words=[*words, "?", ".", "now", "then", "today"])
    return {"kind": "span_qa", "model": str(folder / "bert"), "epochs": 2, "max_tokens": 24, "stride": 4, "learning_rate": 1e-3}


def make_config(folder: Path, per_label: int = 10, *, data: dict[str, str] | None = None, **parts: Any) -> RunConfig:
    own = student(folder.parent)
    return RunConfig.model_validate(
        {
            "task": {
                "kind": "extractive_qa",
                "name": "towns",
                "text_type": "question",
                "context": "You set questions on towns.",
                "data": data or write_data(folder.parent / "data"),
            },
            "model": {"name": "nano-llama", "path": str(asset("nano-llama")), "engine": {"backend": "transformers"}},
            "strategy": {"kind": "s3", "validation": 8, "select": 8, "gain": None, "student": own, **parts.pop("strategy", {})},
            "target": {"per_label": per_label, "max_attempts": 9},
            "duplicates": {"near": None},
            "output": str(folder),
            **parts,
        }
    )
