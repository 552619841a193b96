"""The relabel stage: its questions are asked in chunks, in a process of its own, and each chunk's answers go to disk at once.

An answer is found again by the key of its question (engine, prompt, choices), so a killed stage goes on where it was, and a
changed threshold or a grown run asks only what is new. Knows nothing of what the answers come to: `curation.relabel` does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from variegate.config import ModelConfig, RunConfig
from variegate.config.curation import RelabelStage
from variegate.curation.asks import Ask, Wording
from variegate.curation.judging import Items, Judgement
from variegate.curation.relabel import asked, judge, observe, plan_stage
from variegate.inference.backend import Backend, check_model_path
from variegate.inference.identity import identity
from variegate.inference.start import start_backend
from variegate.kinds.text import as_one
from variegate.pipeline.curation.inputs import Inputs
from variegate.pipeline.workers import Exchange, run_in_worker
from variegate.seeding import digest
from variegate.store.answers import Answers
from variegate.strategies.prompts import Prompts

Start = Callable[[RunConfig], Backend]
_TELL_EVERY_S = 0.5


class Relabelling:
    """One relabel stage with its items. start: makes the engine, in this process, in place of one in a process of its own."""

    def __init__(self, stage: RelabelStage, items: Items, inputs: Inputs, *, start: Start | None = None) -> None:
        self.stage, self.items, self.inputs, self._start = stage, items, inputs, start
        run = inputs.run
        self.model: ModelConfig = stage.model or run.model
        check_model_path(self.model)
        self.identity = digest(identity(self.model), length=32)
        self._render = Prompts(stage.templates).render
        self._examples = [(as_one(text), label) for text, label in inputs.class_examples()] if self._narrows else []
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
        size = self.stage.chunk
        chunks = [asks[start : start + size] for start in range(0, len(asks), size)]
        done = whole - len(asks)
        report = self.inputs.report
        report("relabel: starting the engine", done, whole)
        if self._start is not None:
            engine = self._start(self.inputs.run.model_copy(update={"model": self.model}))
            for chunk in chunks:
                keep(chunk, observe(chunk, engine, self.stage))
                done += len(chunk)
                report("relabelling", done, whole)
            return

        waiting = iter(chunks)
        current: Sequence[Ask] = ()

        def answer(message: Any) -> Any:
            """To a worker that sends rows and is given the next chunk; to one that tells how far it is, nothing."""
            nonlocal current, done
            if isinstance(message, int):
                report("relabelling", done + message, whole)
                return None
            if current:
                keep(current, message)
                done += len(current)
                report("relabelling", done, whole)
            current = next(waiting, ())
            return current

        run_in_worker(f"{__name__}:observe_in_worker", self.model, self.stage, on_message=answer)


def observe_in_worker(exchange: Exchange, model: ModelConfig, stage: RelabelStage) -> None:
    """In the other process: rows out, chunks of asks in, until an empty one comes."""
    engine = start_backend(model)
    try:
        asks: Sequence[Ask] = exchange([])
        while asks:
            count, told = 0, time.monotonic()

            def progress(more: int) -> None:
                nonlocal count, told
                count += more
                if time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    exchange(count)

            asks = exchange(observe(asks, engine, stage, on_progress=progress))
    finally:
        engine.close()
