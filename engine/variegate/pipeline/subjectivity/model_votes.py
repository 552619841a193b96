"""Votes of a language model on the label of each text: K answers a text, sampled at a temperature, kept on a shelf in chunks.

A stand-in for annotators: the votes say how sure one model is, not how far people differ. Knows texts and answers; knows nothing of agreement.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig, TaskConfig
from variegate.curation.answers import read_answers
from variegate.curation.asks import Wording
from variegate.errors import UsageError
from variegate.inference.backend import Backend
from variegate.inference.session import EngineSession, Start
from variegate.kinds import check_one_text, kind_of
from variegate.kinds.text import as_one
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.progress import Progress, Silent
from variegate.records import Request, Sampling
from variegate.seeding import derive_seed, digest
from variegate.store.asked import ANSWERS, AskedFolder
from variegate.store.texts import TextSet
from variegate.strategies.prompts import Prompts

_SPARE_TOKENS = 8  # behind the longest label's, for a full stop or a line end
_STOP = ("\n",)


@dataclass(frozen=True, slots=True)
class VoteSettings:
    model: ModelConfig
    votes: int = 5  # K
    temperature: float = 1.0
    seed: int = 0
    class_block: bool = True  # list the labels with their descriptions in the prompt
    chunk: int = 1024  # texts asked between two commits


@dataclass(frozen=True, slots=True)
class ModelVotes:
    labels: tuple[tuple[str, ...], ...]  # of each text, those of its K answers that name a label
    num_read: dict[str, int]  # how an answer was read -> answers
    num_unread: int
    examples_unread: tuple[str, ...]  # a few answers that name no label
    num_errors: int
    first_error: str


def ask_model(
    texts: TextSet,
    task: TaskConfig,
    settings: VoteSettings,
    folder: Path,
    *,
    start: Start | None = None,
    progress: Progress | None = None,
) -> tuple[Annotated, dict[str, Any]]:
    """The texts with the model's votes as their labels, and what `instances.source` tells of them. See `collect_votes`.

    A text none of whose answers names a label is left out. Labels of `texts` are the true ones.
    Raises UsageError also where `texts` has vectors alone, or no answer names a label.
    """
    check_one_text(kind_of(task), f"task {task.name!r}: the model is asked about one text", "give people's labels instead")
    if texts.texts is None:
        raise UsageError(f"{texts.source}: holds no texts to ask about: name their field with --text-field")
    found = collect_votes(list(map(as_one, texts.texts)), task, settings, folder, start=start, progress=progress)
    kept = [place for place, labels in enumerate(found.labels) if labels]
    if not kept:
        said = (
            f"all {found.num_errors} failed, the first: {found.first_error}"
            if found.num_errors
            else f"they begin {found.examples_unread[0]!r:.60}"
        )
        raise UsageError(
            f"{settings.model.name}: none of its {len(texts) * settings.votes} answers names a label of task {task.name!r}: {said}"
        )
    warnings = []
    if found.num_unread:
        warnings.append(f"{found.num_unread:,} of {len(texts) * settings.votes:,} answers name no label: they count as not given")
    if found.num_errors:
        warnings.append(f"{found.num_errors:,} questions could not be asked, the first: {found.first_error}")
    items = Annotated(
        source=texts.source,
        form="model",
        ids=texts.ids,
        texts=texts.texts,
        votes=found.labels,
        true=texts.labels,
        true_field=None if texts.labels is None else "as read",
        num_annotators=1,
        unlabelled=len(texts) - len(kept),
        warnings=tuple(warnings),
    ).take(kept)
    about = {
        "kind": "model",
        "model": settings.model.name,
        "backend": settings.model.engine.backend,
        "votes": settings.votes,
        "temperature": settings.temperature,
        "folder": str(folder),
        "read": found.num_read,
        "unread": found.num_unread,
        "unread_examples": list(found.examples_unread),
        "errors": found.num_errors,
    }
    return items, about


def collect_votes(
    texts: Sequence[str],
    task: TaskConfig,
    settings: VoteSettings,
    folder: Path,
    *,
    start: Start | None = None,
    progress: Progress | None = None,
) -> ModelVotes:
    """K answers for each text. The same call goes on from what is in `folder`; a larger K adds to it.

    Answer k of a text is found by a key of (all that it depends on, text, k) and drawn with a seed of (seed, text, k), so neither
    chunks nor a stop between them change it, and a changed setting asks only what it changed. Equal texts are asked once.
    Raises UsageError where `folder` holds other things, or is of another format; StoreError; what the engine raises.
    """
    progress = progress or Silent()
    wording = Wording(Prompts().render, task.labels, task.text_type, task.context, settings.model.chat, settings.class_block)
    distinct = list(dict.fromkeys(texts))
    with EngineSession(settings.model, progress=progress, start=start, process="worker") as session:
        asked = _asked(wording, settings, session.identity)
        common = digest(asked, length=32)
        keys = [[digest([common, text, k], length=32) for text in distinct] for k in range(settings.votes)]
        questions = {key: (text, k) for k, own in enumerate(keys) for key, text in zip(own, distinct, strict=True)}

        def ask(keys: Sequence[str], done: int) -> list[dict[str, Any]]:
            progress.update("asking the model", done, len(questions), asked=len(keys))
            with session.lease() as engine:
                sampling = _sampling(engine, wording, settings)
                requests = [_request(*questions[key], wording, settings, sampling) for key in keys]
                answers = engine.generate(requests, on_progress=progress.advance)
            return [{"answer": each.text, "error": each.error.message if each.error else None} for each in answers]

        store = AskedFolder(folder, asked, note=progress.note)
        with store.opened():
            rows = store.answers({f"{ANSWERS}/{k:03d}": own for k, own in enumerate(keys)}, settings.chunk, ask)
            progress.update("asking the model", len(questions), len(questions))
    by_question = {question: rows[key] for key, question in questions.items()}
    return _collected([by_question[text, k] for k in range(settings.votes) for text in texts], len(texts), task)


def _asked(wording: Wording, settings: VoteSettings, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer depends on beside its text and number."""
    prompt = [message.content for message in wording.messages("A text.", list(wording.labels))]
    return {
        "kind": "labels of texts",
        **identity,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "labels": {name: label.title for name, label in wording.labels.items()},
        "prompt": digest(prompt),
    }


def _sampling(engine: Backend, wording: Wording, settings: VoteSettings) -> Sampling:
    labels = list(wording.labels)
    answers = [wording.answer(name) for name in labels]
    longest = max(map(len, engine.prompts.continuations(wording.messages("A text.", labels), answers)))
    return Sampling(temperature=settings.temperature, max_tokens=longest + _SPARE_TOKENS, stop=_STOP)


def _request(text: str, k: int, wording: Wording, settings: VoteSettings, sampling: Sampling) -> Request:
    messages = wording.messages(text, list(wording.labels))
    return Request(key=digest([text, k]), messages=messages, sampling=sampling, seed=derive_seed(settings.seed, "vote", text, k))


def _collected(rows: Sequence[dict[str, Any]], n: int, task: TaskConfig) -> ModelVotes:
    """rows: vote 0 of all texts, then vote 1, and so on. Answers are read strictly: without embeddings, so by their words alone."""
    votes: list[list[str]] = [[] for _ in range(n)]
    how: Counter[str] = Counter()
    unread: list[str] = []
    errors = [row["error"] for row in rows if row["error"] is not None]
    titles = {name: label.title for name, label in task.labels.items()}
    asked = [(place % n, row["answer"]) for place, row in enumerate(rows) if row["error"] is None]
    readings = read_answers([answer for _, answer in asked], [list(titles)] * len(asked), titles)
    for (item, answer), reading in zip(asked, readings, strict=True):
        if reading.label is None:
            unread.append(answer)
            continue
        how[reading.path] += 1
        votes[item].append(reading.label)
    return ModelVotes(
        labels=tuple(map(tuple, votes)),
        num_read=dict(sorted(how.items())),
        num_unread=len(unread),
        examples_unread=tuple(dict.fromkeys(unread))[:5],
        num_errors=len(errors),
        first_error=errors[0] if errors else "",
    )
