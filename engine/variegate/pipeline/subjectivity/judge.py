"""A language model as the judge of pairs of tasks: which is more objective. Its answers are kept on a shelf in chunks.

Knows tasks, prompts and log-probabilities; knows nothing of how tasks are ranked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig, TaskConfig
from variegate.errors import UsageError
from variegate.inference.session import EngineSession, Start
from variegate.kinds.text import as_one
from variegate.pipeline.seeds import real_texts
from variegate.pipeline.subjectivity.task_votes import TaskVotes
from variegate.progress import Progress, Silent
from variegate.records import Message
from variegate.seeding import derive_rng, digest
from variegate.store.asked import COMPARISONS, VOTES, AskedFolder

_LONGEST_TEXT = 300  # characters of an instance in a prompt
_MOST_LABELS = 12  # spelt out in a prompt
_QUESTION = (
    "Which of two text classification tasks is more objective? A task is objective when the category of a text can be told from features of"
    " the text that anyone can point to, and subjective when it depends on the reader's own interpretation."
)


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    model: ModelConfig
    comparisons: int = 3  # of each pair, each with instances of its own
    instances: int = 3  # of each task in a prompt
    seed: int = 0
    chunk: int = 64  # comparisons between two commits


@dataclass(frozen=True, slots=True)
class _Comparison:
    first: str
    second: str
    prompts: tuple[tuple[Message, ...], tuple[Message, ...]]  # `first` shown as A, then as B


def judge_tasks(
    tasks: Sequence[TaskConfig], settings: JudgeSettings, folder: Path, *, start: Start | None = None, progress: Progress | None = None
) -> TaskVotes:
    """The model's votes on every pair of tasks, by the log-probabilities of " A" and " B" behind the same question.

    Each comparison is asked in both orders with the same instances. Its vote goes to the task whose log-odds, averaged over the two
    orders, are higher: a liking for the first place or for a letter adds to one and is taken from the other. Equal odds: no vote.
    `source` tells that liking: the mean probability of A, and the share of comparisons whose orders contradict each other.
    The same call goes on from what is in `folder`, where votes/rows.jsonl then holds the votes as rows of `winner` and `loser`.
    Raises UsageError for fewer than two tasks, two of one name, or a task without data; what the engine raises.
    Differs from the paper: there crowd workers vote.
    """
    names = [task.name for task in tasks]
    if len(tasks) < 2:
        raise UsageError(f"{names[0] if names else 'no task'}: a comparison needs two tasks: name more with --compare")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"task {twice!r} is given twice: it cannot be compared with itself")
    comparisons = _comparisons(tasks, settings)
    choices = ["A", "B"] if settings.model.chat else [" A", " B"]
    progress = progress or Silent()
    with EngineSession(settings.model, progress=progress, start=start, process="worker") as session:
        asked = {"kind": "pairs of tasks", **session.identity}
        keys = [
            digest([asked, each.first, each.second, [list(map(asdict, prompt)) for prompt in each.prompts]], length=32)
            for each in comparisons
        ]
        questions = dict(zip(keys, comparisons, strict=True))

        def ask(keys: Sequence[str], done: int) -> list[dict[str, Any]]:
            chunk = [questions[key] for key in keys]
            prompts = [prompt for each in chunk for prompt in each.prompts]
            progress.update("asking the model", done, len(questions), asked=len(prompts))
            with session.lease() as engine:
                scores = engine.score_each(prompts, [choices] * len(prompts), on_progress=progress.advance)
            return _rows(chunk, [row.tolist() for row in scores])

        store = AskedFolder(folder, asked, note=progress.note)
        with store.opened():
            found = store.answers({COMPARISONS: list(questions)}, settings.chunk, ask)
            progress.update("asking the model", len(questions), len(questions))
            rows = [found[key] for key in keys]
            votes = tuple((row["winner"], row["loser"]) for row in rows if row["winner"] is not None)
            store.made(VOTES, digest(votes, length=32), lambda: [{"winner": winner, "loser": loser} for winner, loser in votes])
    if not votes:
        raise UsageError(
            f"{settings.model.name}: finds both tasks of every pair equally likely: it cannot judge; take another model, or votes of people"
        )
    return TaskVotes(votes, None, tuple(sorted(names)), _source(rows, settings))


def _comparisons(tasks: Sequence[TaskConfig], settings: JudgeSettings) -> list[_Comparison]:
    texts = {task.name: _texts_of(task) if settings.instances else {} for task in tasks}
    out = []
    for one, other in combinations(sorted(tasks, key=lambda task: task.name), 2):
        for repetition in range(settings.comparisons):
            shown = []
            for task in (one, other):
                rng = derive_rng(settings.seed, "objective", one.name, other.name, repetition, task.name)
                shown.append(_described(task, _drawn(texts[task.name], settings.instances, rng)))
            orders = tuple(_question(a, b, chat=settings.model.chat) for a, b in ((shown[0], shown[1]), (shown[1], shown[0])))
            out.append(_Comparison(one.name, other.name, (orders[0], orders[1])))
    return out


def _texts_of(task: TaskConfig) -> dict[str, list[str]]:
    if task.data is None or task.data.train is None or not Path(task.data.train).is_file():
        named = "names no data.train" if task.data is None or task.data.train is None else f"data.train {task.data.train}: no such file"
        raise UsageError(
            f"task {task.name!r}: {named}, so it has no instances to show: name its data, set VARIEGATE_DATA to the folder of the data"
            " sets, or show none with --instances 0"
        )
    return {label: list(map(as_one, texts)) for label, texts in real_texts(task).items()}


def _drawn(texts: Mapping[str, Sequence[str]], count: int, rng: random.Random) -> list[tuple[str, str]]:
    """(text, label), each of another label as far as there are labels."""
    labels = [label for label in texts if texts[label]]
    order = rng.sample(labels, len(labels))
    chosen = [order[place % len(order)] for place in range(count)] if order else []
    return [(rng.choice(texts[label]), label) for label in chosen]


def _described(task: TaskConfig, instances: Sequence[tuple[str, str]]) -> str:
    titles = [label.title for label in task.labels.values()]
    more = f" and {len(titles) - _MOST_LABELS} more" if len(titles) > _MOST_LABELS else ""
    lines = [f"Sort each {task.text_type} into one of these categories: {', '.join(titles[:_MOST_LABELS])}{more}."]
    if instances:
        lines.append("Instances:")
    for text, label in instances:
        words = " ".join(text.replace('"', "'").split())
        cut = words if len(words) <= _LONGEST_TEXT else f"{words[:_LONGEST_TEXT]}…"
        lines.append(f'- "{cut}" is {task.labels[label].title}')
    return "\n".join(lines)


def _question(first: str, second: str, *, chat: bool) -> tuple[Message, ...]:
    end = "Which task is more objective, A or B? Answer with the letter alone." if chat else "The more objective task is task"
    return (Message("user", f"{_QUESTION}\n\nTask A: {first}\n\nTask B: {second}\n\n{end}"),)


def _rows(chunk: Sequence[_Comparison], scores: Sequence[Sequence[float]]) -> list[dict[str, Any]]:
    """scores: natural log-probabilities of A and B, of both orders of each comparison in turn."""
    rows = []
    for each, (ab, ba) in zip(chunk, zip(scores[::2], scores[1::2], strict=True), strict=True):
        first_as_a, first_as_b = ab[0] - ab[1], ba[1] - ba[0]  # log-odds of `first`
        odds = (first_as_a + first_as_b) / 2
        winner, loser = (None, None) if odds == 0 else (each.first, each.second) if odds > 0 else (each.second, each.first)
        rows.append({"first": each.first, "second": each.second, "as_a": first_as_a, "as_b": first_as_b, "winner": winner, "loser": loser})
    return rows


def _source(rows: Sequence[Mapping[str, Any]], settings: JudgeSettings) -> dict[str, Any]:
    """p_a: the mean probability of the letter A, 0.5 without a liking for the place. contradictions: orders that name different tasks."""
    p_a = [(1 + math.tanh(odds / 2)) / 2 for row in rows for odds in (row["as_a"], -row["as_b"])]  # the logistic function
    return {
        "kind": "model",
        "name": settings.model.name,
        "backend": settings.model.engine.backend,
        "comparisons": len(rows),
        "instances": settings.instances,
        "without_vote": sum(row["winner"] is None for row in rows),
        "position_bias": {
            "p_a": sum(p_a) / len(p_a),
            "a_preferred": sum(p > 0.5 for p in p_a) / len(p_a),
            "contradictions": sum(row["as_a"] * row["as_b"] < 0 for row in rows) / len(rows),
        },
        "judges": None,
    }
