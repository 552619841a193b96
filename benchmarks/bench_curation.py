"""What curation costs and is worth: both sides of every comparison in one process and one run, turn by turn.

    python benchmarks/bench_curation.py [--only NAME ...] [--texts 1000] [--repeats 5]

Needs the data sets (VARIEGATE_DATA). Writes benchmarks/results/curation-cpu.json, and relabelling-chat-cpu.json of the section
`relabel_chat`, which runs when it is named (--only relabel_chat). Sections:
  relabel      labelling real texts by scoring the label strings (`score` at their branchings, `whole` strings) against
               writing them (`generate`), same engine and prompts: items/s, accuracy against the real labels, agreement,
               prefix-cache hit rate. `one_token` is the engine's own limit: it reads every prompt and writes one token
  relabel_chat the same on smollm2-135m, with titles of 3 tokens and more; `shortest` writes as many tokens as the label has, which is
               the least that any way of writing it takes. By the clock, and by CPU-seconds of the process with its engine, which
               hold on a machine that others use too. About 7 minutes on 2 quiet cores, 2 of them the engine's start
  compare      `variegate compare nano` as a user runs it, into an empty folder with no vectors cached: seconds and CPU-seconds
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

import harness
from variegate.config import TaskConfig, load_model, load_task
from variegate.config.curation import RelabelStage
from variegate.config.examples import read_examples
from variegate.curation.asks import Ask, Plan, Wording
from variegate.curation.judging import Items, Judgement
from variegate.curation.relabel import judge, observe, plan_stage
from variegate.embeddings import Encoder
from variegate.errors import UsageError
from variegate.inference.backend import Backend
from variegate.inference.start import start_backend
from variegate.records import Request, Sampling
from variegate.strategies.prompts import Prompts

SECTIONS = ("relabel", "compare")
CHAT = "relabel_chat"
EXAMPLES_PER_CLASS = 5  # real ones, for the class vectors
Encode = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]


@dataclass(frozen=True, slots=True)
class Case:
    """One way of asking. labels: the task's most frequent ones alone, as many; None: all. title_tokens: least of a label's title."""

    task: str
    labels: int | None
    nearest: int | None
    class_block: bool | Literal["all"]
    title_tokens: int = 1


# nano-llama was trained on the train splits of banking77 and hwu64, and never saw trec6: its labels there are guesses, the
# speed is real.
CASES = {
    "trec6_6_classes": Case("trec6", None, None, True),
    "hwu64_6_classes": Case("hwu64", 6, None, True),
    "banking77_6_classes": Case("banking77", 6, None, True),
    "banking77_nearest_5": Case("banking77", None, 5, True),
    "banking77_nearest_5_no_block": Case("banking77", None, 5, False),
    "banking77_all_77_no_block": Case("banking77", None, None, False),
}
CHAT_CASES = {
    "6_classes": Case("banking77", 6, None, True, title_tokens=3),
    "nearest_5": Case("banking77", None, 5, True, title_tokens=3),
    "nearest_5_of_one_block": Case("banking77", None, 5, "all", title_tokens=3),
}


def read_task(case: Case, count: Callable[[str], int] | None = None) -> tuple[TaskConfig, list[tuple[str, str]], list[tuple[str, str]]]:
    """The task with the case's labels, its held-out texts in random order, and some real examples of each class.

    count: tokens of a title; needed for `title_tokens`.
    """
    task = load_task(case.task)
    if task.data is None or task.data.train is None or task.data.test is None:
        raise UsageError(f"{case.task}: needs data.train and data.test")
    read = {
        split: read_examples(Path(path), (task.data.text_field,), task.data.label_field).rows
        for split in ("train", "dev", "test")
        if (path := getattr(task.data, split)) is not None
    }
    held_out = [*read.get("dev", ()), *read["test"], *(read["train"] if case.task == "trec6" else ())]
    long = {name for name, label in task.labels.items() if count is None or count(label.title) >= case.title_tokens}
    counts = Counter(label for _, label in held_out if label in long)
    kept = {label for label, _ in counts.most_common(case.labels)}
    task = task.model_copy(update={"labels": {name: label for name, label in task.labels.items() if name in kept}})
    held_out = [row for row in held_out if row[1] in kept]
    random.Random(0).shuffle(held_out)
    taken: Counter[str] = Counter()
    examples = []
    for text, label in read["train"]:
        if label in kept and taken[label] < EXAMPLES_PER_CLASS:
            taken[label] += 1
            examples.append((text, label))
    return task, held_out, examples


def relabel_case(case: Case, backend: Backend, encode: Encode, texts: int, repeats: int, *, warmup: int = 1) -> dict[str, Any]:
    """By the clock; of a chat model by CPU-seconds too, where threads that wait sleep (KMP_BLOCKTIME=0, OMP_WAIT_POLICY=PASSIVE)."""
    chat = backend.prompts.chat
    task, held_out, examples = read_task(case, lambda title: len(backend.prompts.continuations((), (title,))[0]) if chat else 1)
    held_out = held_out[:texts]
    items = Items(
        tuple(f"text:{place}" for place in range(len(held_out))),
        tuple(text for text, _ in held_out),
        tuple(label for _, label in held_out),
        ((),) * len(held_out),
    )
    score = RelabelStage(kind="relabel", nearest_classes=case.nearest, class_block=case.class_block, scoring="branching")
    stages = {
        "score": score,
        "whole": score.model_copy(update={"scoring": "whole"}),
        "generate": score.model_copy(update={"mode": "generate"}),
    }
    words = {"render": Prompts().render, "text_type": task.text_type, "context": task.context, "chat": chat}
    plan = plan_stage(score, items, task.labels, encode=encode, examples=examples, **words)
    judged: dict[str, Judgement] = {}

    def side(name: str) -> float:
        """Items/s of asking in chunks and judging, the embedding of unreadable answers included."""

        def run() -> Judgement:
            stage = stages[name]
            rows = [
                row
                for start in range(0, len(plan.asks), stage.chunk)
                for row in observe(plan.asks[start : start + stage.chunk], backend, stage)
            ]
            return judge(stage, plan, rows, items, task.labels, encode=encode)

        judged[name], seconds = harness.timed(run)
        return len(items) / seconds

    sides: dict[str, Callable[[], float]] = {name: partial(side, name) for name in stages}
    one_token_usage: dict[str, int] = {}
    sides["one_token"] = lambda: one_token(plan, backend, one_token_usage)
    if chat:
        sides["shortest"] = lambda: shortest(plan, judged["score"], backend)
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    figures = harness.interleave(
        {name: partial(_with_cpu, run, len(items), cpu[name]) for name, run in sides.items()}, repeats, warmup=warmup
    )
    cpu = {name: values[warmup:] for name, values in cpu.items()}
    heads = sum(num_shared(ask, Wording(labels=task.labels, class_block=case.class_block, **words), backend) for ask in plan.asks)
    out: dict[str, Any] = {
        **asdict(case),
        "classes": len(task.labels),
        "texts": len(items),
        "groups": judged["score"].facts["groups"],
        "items_per_second": {name: harness.summarize(values) for name, values in figures.items()},
        "score_over_generate": harness.ratio(figures, "score", "generate"),
        "whole_over_generate": harness.ratio(figures, "whole", "generate"),
        "one_token_over_generate": harness.ratio(figures, "one_token", "generate"),
        "score_over_one_token": harness.ratio(figures, "score", "one_token"),
        "accuracy": {name: accuracy(each, items) for name, each in judged.items()},
        "agreement_with_generate": {name: agreement(judged[name], judged["generate"]) for name in ("score", "whole")},
        "prefix_hit_rate": {name: each.facts["prefix_hit_rate"] for name, each in judged.items()},
        "block_hit_rate": one_token_usage["cached_tokens"] / heads if heads else None,
        "usage": {name: each.facts["usage"] for name, each in judged.items()},
        "paths": judged["generate"].facts["paths"],
    }
    if chat:
        out["score_over_shortest"] = harness.ratio(figures, "score", "shortest")
        out["whole_over_shortest"] = harness.ratio(figures, "whole", "shortest")
        out["by_cpu_seconds"] = {
            "items_per_cpu_second": {name: harness.summarize(values) for name, values in cpu.items()},
            **{f"{one}_over_{other}": harness.ratio(cpu, one, other) for one in ("score", "whole") for other in ("generate", "shortest")},
            "one_token_over_generate": harness.ratio(cpu, "one_token", "generate"),
        }
    return out


def _with_cpu(run: Callable[[], float], count: int, rates: list[float]) -> float:
    """run's own figure; items per CPU-second of this process go to `rates`."""
    start = time.process_time()
    rate = run()
    rates.append(count / (time.process_time() - start))
    return rate


def one_token(plan: Plan, backend: Backend, usage: dict[str, int]) -> float:
    """Items/s of the engine when it reads every prompt once and writes one token: no way of labelling is faster."""
    requests = [Request(ask.messages, Sampling(temperature=0.0, max_tokens=1), key=ask.id) for ask in plan.asks]
    before = backend.usage
    _, seconds = harness.timed(lambda: backend.generate(requests))
    usage.update(asdict(backend.usage - before))
    return len(requests) / seconds


def shortest(plan: Plan, scored: Judgement, backend: Backend) -> float:
    """Items/s of the engine when it writes as many tokens as the label that was found has, and no end."""
    labels = {verdict.id: verdict.label for verdict in scored.verdicts}
    requests = []
    for ask in plan.asks:
        answer = ask.answers[ask.choices.index(labels[ask.id])] if labels[ask.id] in ask.choices else ask.answers[0]
        length = len(backend.prompts.continuations(ask.messages, (answer,))[0])
        requests.append(Request(ask.messages, Sampling(temperature=0.0, max_tokens=length, ignore_eos=True), key=ask.id))
    _, seconds = harness.timed(lambda: backend.generate(requests))
    return len(requests) / seconds


def num_shared(ask: Ask, wording: Wording, backend: Backend) -> int:
    """Tokens of the ask's prompt before its text."""
    pair = backend.prompts.encode(ask.messages), backend.prompts.encode(wording.messages("", ask.choices))
    return next((place for place, (own, other) in enumerate(zip(*pair, strict=False)) if own != other), min(map(len, pair)))


def unrefused(judgement: Judgement) -> list[Any]:
    """Verdicts whose label is the model's; where it refused, no label at all: the given one is the true one here."""
    return [replace(each, label="") if each.reason in ("refused", "unjudged") else each for each in judgement.verdicts]


def agreement(one: Judgement, other: Judgement) -> float:
    return float(np.mean([a.label == b.label for a, b in zip(unrefused(one), unrefused(other), strict=True)]))


def accuracy(judgement: Judgement, items: Items) -> float:
    return float(np.mean([each.label == true for each, true in zip(unrefused(judgement), items.labels, strict=True)]))


def relabel(texts: int, repeats: int, cases: Sequence[str]) -> dict[str, Any]:
    encoder = Encoder()
    backend = start_backend(load_model("nano-llama"))
    out = {}
    try:
        for name in cases:
            out[name] = relabel_case(CASES[name], backend, lambda each: np.asarray(encoder.encode(list(each)).vectors), texts, repeats)
            print(name, out[name], flush=True)
    finally:
        backend.close()
    return out


def relabel_chat(texts: int) -> dict[str, Any]:
    """The first case in two turns, the others in one: the engine is slow, and the sides are far apart."""
    encoder = Encoder()
    backend = start_backend(load_model("smollm2-135m"))
    out = {}
    try:
        for place, (name, case) in enumerate(CHAT_CASES.items()):
            turns: Mapping[str, int] = {"repeats": 1 if place else 2, "warmup": 0}
            out[name] = relabel_case(case, backend, lambda each: np.asarray(encoder.encode(list(each)).vectors), texts, **turns)
            print(name, out[name], flush=True)
    finally:
        backend.close()
    return out


def compare() -> dict[str, Any]:
    """8 cells of 1,200 records with the embedding student; the processes that it starts included."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "variegate.cli.main", "compare", "nano", "-o", f"{folder}/study"]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _, seconds = harness.timed(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "VARIEGATE_CACHE": f"{folder}/cache"})
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        study = json.loads(Path(f"{folder}/study/study.json").read_text(encoding="utf-8"))
    return {
        "cells": len(study["cells"]),
        "records": [cell["available"] + cell["leaked_dropped"] for cell in study["cells"]],
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "failed": sum(cell["status"] != "done" for cell in study["cells"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=(*SECTIONS, CHAT), default=SECTIONS)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES), help="of the relabel section")
    parser.add_argument("--texts", type=int, default=1000, help="of the relabel section")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dry", action="store_true", help="print only")
    parser.add_argument("--chat-texts", type=int, default=32, help="of the relabel_chat section")
    args = parser.parse_args()
    if CHAT in args.only:
        found = {CHAT: relabel_chat(args.chat_texts)}
        if not args.dry:
            print(harness.save("relabelling-chat-cpu", found), flush=True)
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "relabel": lambda: relabel(args.texts, args.repeats, args.cases),
        "compare": compare,
    }
    results: dict[str, Any] = {}
    for section in (each for each in args.only if each != CHAT):
        results[section] = sections[section]()
        if not args.dry:
            print(harness.save("curation-cpu", results), flush=True)


if __name__ == "__main__":
    main()
