"""Students that answer questions: trained on records of `extractive_qa`, judged by SQuAD's exact match and F1 on real ones.

The counterpart of `train` for a kind without labels. Knows records and files; the student knows how it reads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import orjson

from variegate import __version__
from variegate.config.load import load_run
from variegate.config.student import SpanStudentConfig
from variegate.errors import UsageError
from variegate.kinds import Fields, TaskKind, kind_of
from variegate.metrics.squad import exact_match, f1
from variegate.pipeline.real_records import hash_of, hashes_of, read_records
from variegate.pipeline.training.fit import check_fit
from variegate.pipeline.training.train import QUESTIONS
from variegate.progress import Report
from variegate.store.files import new_folder, write_atomic
from variegate.store.hashes import write_hashes
from variegate.store.run_folder import RunFolder
from variegate.students.spans import Answer, Asked, SpanStudent, train_spans

ANSWERS = "answers.jsonl"  # a line for each test question: what every seed's student said of it


def asked_of(id: str, fields: Fields) -> Asked:
    """A record as a student takes it; of several answers the first."""
    answers = fields["answers"]
    text, start = (answers["text"][0], answers["answer_start"][0]) if answers["text"] else ("", -1)
    return Asked(id, fields["context"], fields["question"], text, start)


def judged(kind: TaskKind, records: Sequence[Fields], answers: Sequence[Answer]) -> list[tuple[float, float]]:
    """(exact match, F1) of each answer."""
    golds = [kind.gold(fields) for fields in records]
    return [(exact_match(said.text, gold), f1(said.text, gold)) for said, gold in zip(answers, golds, strict=True)]


def train_on_questions(
    config: SpanStudentConfig, run: Path, *, seeds: Sequence[int], output: Path | None, progress: Report | None = None
) -> dict[str, Any]:
    """Students of a run's records, judged on the task's test data; beside each seed's, one of as many real records of its train data.

    Contexts may stand in both; a question that does not stand in the test data alone is trained on. Returns what QUESTIONS holds.
    Raises UsageError and VariegateError as `train_spans` does, StoreError when `output` cannot be written.
    """
    task = load_run(run / "run.yaml").task
    kind, started = kind_of(task), time.perf_counter()
    check_fit(kind, config)
    test = read_records(task, "test")
    held_out = hashes_of(task, "test")
    records = [(each.id, each.fields) for each in RunFolder(run).records() if hash_of(task, each.fields) not in held_out]
    real = [(f"real:{n}", each) for n, each in enumerate(read_records(task, "train")) if hash_of(task, each) not in held_out]
    if not records:
        raise UsageError(f"{run}: holds no record to train on: look at what was dropped, `variegate show {run} --dropped`")
    sets: dict[str, Sequence[tuple[str, Fields]]] = {"set": records, "real": real}
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
    lines: list[dict[str, Any]] = [
        {"id": f"test:{n}", "question": each["question"], "gold": kind.gold(each)} for n, each in enumerate(test)
    ]
    with nullcontext() if output is None else new_folder(output, replace=True) as place:
        for seed in seeds:
            for name, rows in sets.items():
                student = train_spans(config, [asked_of(*row) for row in rows], seed=seed, progress=progress)
                said = student.answer([asked_of(f"test:{n}", each) for n, each in enumerate(test)], progress=progress)
                found = judged(kind, test, said)
                scores[name].append((fmean(em for em, _ in found), fmean(score for _, score in found)))
                if name == "set":
                    for line, answer in zip(lines, said, strict=True):
                        line.setdefault("answers", []).append(answer.text)
                    _save(student, place, seed)
        summary = {
            "variegate": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "config": config.model_dump(mode="json"),
            "test": {"source": task.data.test if task.data else None, "n": len(test)},
            "rows": [_row(name, len(sets[name]), own) for name, own in scores.items()],
            "seeds": list(seeds),
            "seconds": round(time.perf_counter() - started, 3),
        }
        if place is not None:
            write_atomic(place / QUESTIONS, orjson.dumps(summary, option=orjson.OPT_INDENT_2) + b"\n")
            write_atomic(place / ANSWERS, (orjson.dumps(line) + b"\n" for line in lines))
            write_hashes(place)
    return summary


def _save(student: SpanStudent, place: Path | None, seed: int) -> None:
    if place is not None:
        student.save(place / f"seed-{seed}")


def _row(name: str, n: int, scores: Sequence[tuple[float, float]]) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name, "n": n}
    for place, score in enumerate(("exact_match", "f1")):
        values = [each[place] for each in scores]
        row[score] = {"mean": fmean(values), "sd": stdev(values) if len(values) > 1 else None, "values": values}
    return row


def in_words(summary: Mapping[str, Any]) -> list[str]:
    """A line a set, for the terminal."""
    names = {"set": "the generated questions", "real": "the real questions"}
    out = [f"Judged on {summary['test']['n']:,} questions of {summary['test']['source']}, {len(summary['seeds'])} seed(s)."]
    for row in summary["rows"]:
        scores = [f"{label} {row[name]['mean']:.1%}" for name, label in (("exact_match", "exact match"), ("f1", "F1"))]
        out.append(f"A student of {names[row['name']]} ({row['n']:,}): {', '.join(scores)}.")
    return out
