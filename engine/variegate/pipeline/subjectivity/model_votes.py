"""Votes of a language model on the label of each text: K answers a text, sampled at a temperature, kept on disk in chunks.

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
from variegate.inference.session import EngineSession, Start
from variegate.inference.tokenization import PromptEncoder
from variegate.kinds import check_one_text, kind_of
from variegate.kinds.text import as_one
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.progress import Progress, Silent
from variegate.records import Request, Sampling
from variegate.seeding import derive_seed, digest
from variegate.store.texts import TextSet
from variegate.store.vote_folder import VoteFolder
from variegate.strategies.prompts import builtin_prompts

_SPARE_TOKENS = 8  # behind the longest label's, for a full stop or a line end
_STOP = ("\n",)


@dataclass(frozen=True, slots=True)
class VoteSettings:
    model: ModelConfig
    votes: int = 5  # K
    temperature: float = 1.0
    seed: int = 0
    class_block: bool = True  # list the labels with their descriptions in the prompt
    chunk: int = 1024  # texts asked between two writes to disk


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
    """K answers for each text. The same call goes on from the chunks in `folder`; a larger K adds to them.

    Answer k of a text is drawn with a seed of (seed, text, k), so neither chunks nor a stop between them change it.
    Raises UsageError where `folder` holds votes that were asked otherwise; what the engine raises.
    """
    wording = Wording(builtin_prompts().render, task.labels, task.text_type, task.context, settings.model.chat, settings.class_block)
    store = VoteFolder(folder)
    names = [f"votes/{k:03d}-{first:08d}" for k in range(settings.votes) for first in range(0, len(texts), settings.chunk)]
    progress = progress or Silent()
    whole = settings.votes * len(texts)
    with (
        EngineSession(settings.model, progress=progress, start=start, process="worker") as session,
        store.opened(_asked(texts, wording, settings, session.identity)),
    ):
        missing = [name for name in names if store.read(name) is None]
        if missing:
            sampling = _sampling(wording, settings)
            done = whole - sum(len(_chunk(name, texts, settings)) for name in missing)
            with session.lease() as engine:
                for name in missing:
                    requests = _requests(name, texts, wording, settings, sampling)
                    progress.update("asking the model", done, whole, asked=len(requests))
                    answers = engine.generate(requests, on_progress=progress.advance)
                    store.write(name, [{"answer": each.text, "error": each.error.message if each.error else None} for each in answers])
                    done += len(requests)
            progress.update("asking the model", done, whole)
        rows = {name: store.read(name) or [] for name in names}
    return _collected([row for name in names for row in rows[name]], len(texts), task)


def _asked(texts: Sequence[str], wording: Wording, settings: VoteSettings, identity: Mapping[str, Any]) -> dict[str, Any]:
    """What an answer depends on beside its text and number."""
    prompt = [message.content for message in wording.messages("A text.", list(wording.labels))]
    return {
        "kind": "labels of texts",
        **identity,
        "temperature": settings.temperature,
        "seed": settings.seed,
        "texts": digest(list(texts)),
        "chunk": settings.chunk,
        "labels": {name: label.title for name, label in wording.labels.items()},
        "prompt": digest(prompt),
    }


def _sampling(wording: Wording, settings: VoteSettings) -> Sampling:
    encoder = PromptEncoder(settings.model)
    labels = list(wording.labels)
    longest = max(map(len, encoder.continuations(wording.messages("A text.", labels), [wording.answer(name) for name in labels])))
    return Sampling(temperature=settings.temperature, max_tokens=longest + _SPARE_TOKENS, stop=_STOP)


def _requests(name: str, texts: Sequence[str], wording: Wording, settings: VoteSettings, sampling: Sampling) -> list[Request]:
    """Of the chunk of that name: one answer to each of its texts."""
    k = int(name.removeprefix("votes/").partition("-")[0])
    return [
        Request(
            key=digest([text, k]),
            messages=wording.messages(text, list(wording.labels)),
            sampling=sampling,
            seed=derive_seed(settings.seed, "vote", text, k),
        )
        for text in _chunk(name, texts, settings)
    ]


def _chunk(name: str, texts: Sequence[str], settings: VoteSettings) -> Sequence[str]:
    first = int(name.rpartition("-")[2])
    return texts[first : first + settings.chunk]


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
