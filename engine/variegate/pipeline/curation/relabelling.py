"""The relabel stage: its questions are asked in chunks, and each chunk's answers go to disk at once.

An answer is found again by the key of its question (engine, prompt, choices), so a killed stage goes on where it was, and a
changed threshold or a grown run asks only what is new. Knows nothing of what the answers come to: `curation.relabel` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from variegate.config.curation import RelabelStage
from variegate.curation.asks import Ask, Wording
from variegate.curation.judging import Items, Judgement
from variegate.curation.relabel import asked, judge, observe, plan_stage
from variegate.inference.backend import check_model_path
from variegate.inference.session import Sessions
from variegate.kinds.text import as_one
from variegate.pipeline.curation.inputs import Inputs
from variegate.seeding import digest
from variegate.store.answers import Answers
from variegate.strategies.prompts import Prompts

_RECIPE = 2  # of the judgement: another one where equal questions and answers no longer come to the same verdicts


class Relabelling:
    """One relabel stage with its items. sessions: of the engines that there are."""

    def __init__(self, stage: RelabelStage, items: Items, inputs: Inputs, sessions: Sessions) -> None:
        self.stage, self.items, self.inputs = stage, items, inputs
        self.model = stage.model or inputs.run.model
        check_model_path(self.model)
        self._session = sessions.of(self.model)
        self.identity = digest(self._session.identity, length=32)
        self._render = Prompts(stage.templates).render
        self._examples = [(as_one(text), label) for text, label in inputs.seed_examples()] if self._narrows else []
        self._calibration = (
            [(as_one(text), label) for text, label in inputs.calibration_examples()] if stage.calibration == "temperature" else []
        )

    @property
    def _narrows(self) -> bool:
        """Whether a text's candidates are fewer than the labels, and so are found by embedding."""
        wanted = self.stage.nearest_classes
        return wanted is not None and wanted < len(self.inputs.task.labels)

    @property
    def _embeds(self) -> bool:
        return self._narrows or self.stage.mode == "generate"

    @property
    def reads(self) -> list[Any]:
        """What decides the judgement beside items, config and seed."""
        task = self.inputs.task
        wording = Wording(self._render, task.labels, task.text_type, task.context, self.model.chat, self.stage.class_block)
        prompt = [message.content for message in wording.messages("A text.", list(task.labels))]
        return [
            _RECIPE,
            asked(self.stage),
            self.identity,
            self.model.engine.max_model_len,  # beyond it nothing can be asked
            prompt,
            [[name, label.title, label.description] for name, label in task.labels.items()],
            digest([self._examples, self._calibration]),
            self.inputs.encoder_key if self._embeds else None,
        ]

    def judge(self, answers: Answers) -> Judgement:
        """answers: where they are found and kept."""
        task = self.inputs.task
        encode = self.inputs.encode if self._embeds else None
        plan = plan_stage(
            self.stage,
            self.items,
            task.labels,
            render=self._render,
            text_type=task.text_type,
            context=task.context,
            chat=self.model.chat,
            encode=encode,
            examples=self._examples,
            calibration=self._calibration,
        )
        keys = [self._key(ask) for ask in plan.asks]
        known = answers.known(keys)
        missing = [ask for ask, key in zip(plan.asks, keys, strict=True) if key not in known]

        def keep(asks: Sequence[Ask], rows: Sequence[dict[str, Any]]) -> None:
            keyed = [{"key": self._key(ask), **row} for ask, row in zip(asks, rows, strict=True)]
            answers.add(keyed)
            known.update({row["key"]: row for row in keyed})

        if missing:
            self._ask(missing, len(keys), keep)
        return judge(self.stage, plan, [known[key] for key in keys], self.items, task.labels, encode=encode)

    def _key(self, ask: Ask) -> str:
        return digest(
            [self.identity, asked(self.stage), ask.id, [asdict(message) for message in ask.messages], ask.choices, ask.answers], length=20
        )

    def _ask(self, asks: Sequence[Ask], whole: int, keep: Callable[[Sequence[Ask], Sequence[dict[str, Any]]], None]) -> None:
        """Hand the answers to `keep`, chunk by chunk."""
        size, progress = self.stage.chunk, self.inputs.progress
        done = whole - len(asks)
        with self._session.lease() as engine:
            for start in range(0, len(asks), size):
                chunk = asks[start : start + size]
                progress.update("relabelling", done, whole, asked=len(chunk))
                keep(chunk, observe(chunk, engine, self.stage, on_progress=progress.advance))
                done += len(chunk)
        progress.update("relabelling", done, whole)
