"""Relabelling by a language model: ask, keep what came back, judge (PromptMix, step 2).

Three functions, called in this order by the pipeline:

    plan = plan_stage(stage, items, task.labels, ...)             # pure but for `encode`: equal inputs give an equal plan
    rows = observe(plan.asks[start:end], backend, stage)          # one batch of the engine; rows are JSON, stored as they are
    judgement = judge(stage, plan, rows, items, task.labels, ...) # pure but for `encode`: `rows` of all chunks, in any order

Knows questions and engines; knows no files. Real examples are never relabelled: only generated items are given as `items`.

Reference: Sahu et al., "PromptMix: A Class Boundary Augmentation Method for Large Language Model Distillation", EMNLP 2023.
Differs from the paper: labels are scored, not written (`mode: generate` writes them); a refusal is no class; the order of
classes is the task's; the class block has no examples; real examples are not relabelled; nothing is encoded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.config.curation import RelabelStage
from variegate.curation.asks import Ask, Plan, Render, Wording, make_plan
from variegate.curation.candidates import class_vectors, nearest_classes, words_of
from variegate.curation.judging import Items
from variegate.curation.relabel_verdicts import judge
from variegate.errors import UsageError, nearest
from variegate.inference.backend import Backend, too_long
from variegate.kinds.task import LabelConfig
from variegate.kinds.text import as_one
from variegate.records import Request, Sampling

__all__ = ["asked", "judge", "observe", "plan_stage"]

Encode = Callable[[Sequence[str]], Float[np.ndarray, "n d"]]  # texts -> vectors
Row = dict[str, Any]
ANSWER_SLACK = 8  # tokens an answer may be longer than the longest label


def plan_stage(
    stage: RelabelStage,
    items: Items,
    labels: Mapping[str, LabelConfig],
    *,
    render: Render,
    text_type: str,
    context: str,
    chat: bool,
    encode: Encode | None = None,
    examples: Sequence[tuple[str, str]] = (),
    calibration: Sequence[tuple[str, str]] = (),
) -> Plan:
    """All asks of the stage, those that calibrate it included.

    render: `Prompts(...).render`. text_type, context: the task's. chat: the labelling model's `chat`.
    encode: needed where `stage.nearest_classes` is below the number of labels. examples: real (text, label), whose mean
    embedding with that of title and description is a class's vector (PromptMix: the seeds); they may be none, or lack classes.
    calibration: real (text, label) that are asked about too. `calibration: temperature` is fitted on them and needs some;
    for the rest, the facts tell how many the model labels right. They should not be what the labelling model was trained on.
    Raises UsageError for what is missing, and for labels that the task does not know.
    """
    if len(labels) < 2:
        raise UsageError("relabel: the task has one label: there is nothing to choose; leave the stage out")
    for text_label in (examples, calibration):
        unknown = [label for _, label in text_label if label not in labels]
        if unknown:
            raise UsageError(f"relabel: an example has the label {unknown[0]!r}, which the task does not know{nearest(unknown[0], labels)}")
    if stage.calibration == "temperature" and not calibration:
        raise UsageError(
            "relabel: calibration: temperature needs labelled real examples, and there are none: name data.dev or data.train in the task, "
            "or use calibration: contextual or none"
        )
    wording = Wording(render, labels, text_type, context, chat, stage.class_block)
    texts = [*map(as_one, items.texts), *(text for text, _ in calibration)]
    candidates = _candidates(stage, texts, labels, encode, examples)
    return make_plan(
        items,
        candidates[: len(items)],
        wording,
        real=calibration,
        real_candidates=candidates[len(items) :],
        content_free=stage.calibration == "contextual",
    )


def _candidates(
    stage: RelabelStage,
    texts: Sequence[str],
    labels: Mapping[str, LabelConfig],
    encode: Encode | None,
    examples: Sequence[tuple[str, str]],
) -> list[tuple[str, ...]]:
    names = tuple(labels)
    if stage.nearest_classes is None or stage.nearest_classes >= len(names):
        return [names] * len(texts)
    if encode is None:
        raise UsageError(f"relabel: nearest_classes: {stage.nearest_classes} of {len(names)} labels needs an encoder")
    if not texts:
        return []
    vectors = class_vectors(
        names,
        encode([words_of(labels[name]) for name in names]),
        _encode(encode, [text for text, _ in examples]),
        [label for _, label in examples],
    )
    places = nearest_classes(encode(texts), vectors, stage.nearest_classes)
    return [tuple(names[place] for place in row) for row in places.tolist()]


def _encode(encode: Encode, texts: Sequence[str]) -> Float[np.ndarray, "n d"]:
    return encode(texts) if texts else np.empty((0, 0))


def observe(asks: Sequence[Ask], backend: Backend, stage: RelabelStage, *, on_progress: Callable[[int], None] | None = None) -> list[Row]:
    """Ask the engine. One JSON-able row for each ask, in order:

    {id, choices: [label names], logprobs: [float] | answer: str | error: str}; the first row also has
    usage: {requests, prompt_tokens, cached_tokens, generated_tokens}, of this call.
    `error` where this one could not be asked (a prompt too long); raises BackendError where the engine itself fails.
    The result depends on the asks of this call alone, not on earlier calls.

    The backend needs: info, prompts, usage, and score_each (mode score) or generate (mode generate).
    on_progress is called with the number of asks that just finished.
    """
    before = backend.usage
    rows: list[Row] = [{"id": ask.id, "choices": list(ask.choices)} for ask in asks]
    if stage.mode == "generate":
        _write(asks, rows, backend, on_progress)
    else:
        _score(asks, rows, backend, stage, on_progress)
    if rows:
        rows[0]["usage"] = asdict(backend.usage - before)
    return rows


def least_probability(stage: RelabelStage) -> float:
    """Labels from this probability on are scored exactly; the best one always is. Where the engine need not look, labels that
    begin alike share their probability equally.

    1 (the best alone) asks about once for a text; of `whole`, whose probability leaks on the way, the others then stand with at
    least what they have, and the best one's confidence is a lower bound. A margin needs the second, a temperature all that matter;
    contextual calibration and division by lengths need every label.
    """
    if stage.calibration == "contextual" or stage.length_normalised:
        return 0.0
    return 0.05 if stage.margin > 0 or stage.calibration == "temperature" else 1.0


def asked(stage: RelabelStage) -> list[Any]:
    """What of the stage, beside the asks themselves, changes a row of `observe`: stored rows are good while it is equal."""
    if stage.mode == "generate":
        return [stage.mode]
    return [stage.mode, stage.scores, stage.length_normalised, least_probability(stage)]


def _score(asks: Sequence[Ask], rows: list[Row], backend: Backend, stage: RelabelStage, on_progress: Callable[[int], None] | None) -> None:
    """Fill in log-probabilities. `scoring: branching` is p(label | prompt, the answer is one of the candidates), by branching
    of the trie of their tokens; `whole` is p(label | prompt), all tokens counted."""
    info = backend.info
    fitting, lengths = [], []
    for place, ask in enumerate(asks):
        tokens = [len(each) for each in backend.prompts.continuations(ask.messages, ask.answers)]
        reason = too_long(len(backend.prompts.encode(ask.messages)), max(tokens) + 1, info.max_model_len, info.max_prompt_len)
        if reason:
            rows[place]["error"] = reason
        else:
            fitting.append(place)
            lengths.append(tokens)
    whole = stage.scores == "whole"
    scores = backend.score_each(
        [asks[place].messages for place in fitting],
        [asks[place].answers for place in fitting],
        constrained=not whole,
        prune=least_probability(stage),
        on_progress=on_progress,
    )
    for place, row, tokens in zip(fitting, scores, lengths, strict=True):
        values = row / np.array(tokens) if stage.length_normalised else row
        rows[place]["logprobs"] = [float(value) for value in values]


def _write(asks: Sequence[Ask], rows: list[Row], backend: Backend, on_progress: Callable[[int], None] | None) -> None:
    """Fill in greedy answers; a model that goes on with plain text is stopped at the end of the line."""
    longest = max((len(each) for ask in asks for each in backend.prompts.continuations(ask.messages, ask.answers)), default=0)
    sampling = Sampling(temperature=0.0, max_tokens=longest + ANSWER_SLACK, stop=() if backend.prompts.chat else ("\n",))
    requests = [Request(key=ask.id, messages=ask.messages, sampling=sampling) for ask in asks]
    for row, completion in zip(rows, backend.generate(requests, on_progress=on_progress), strict=True):
        if completion.finish_reason == "error":
            row["error"] = completion.error.message if completion.error else "the engine gave no answer"
        else:
            row["answer"] = completion.text
