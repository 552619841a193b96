"""Zero-shot generation: the label's phrase or description, and no examples.

Reference: Li, Zhu, Lu and Yin, "Synthetic Data Generation with Large Language Models for Text Classification:
Potential and Limitations", EMNLP 2023 (form `li`); Chung, Kamar and Amershi, "Increasing Diversity While Maintaining
Accuracy: Text Data Generation with Large Language Models and Human Interventions", ACL 2023 (form `chung`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from variegate.config import ZeroShotConfig
from variegate.strategies.asking import Call, Prompt, Writer
from variegate.strategies.pool import Example, Pool


class ZeroShot:
    """Form `li`: each of a round's places is a chat of its own, whose prompt carries the chat's last `history` texts.

    Differs from the paper: the chats run side by side, one turn a round, where the paper runs one after the other.
    """

    needs_records = False

    def __init__(self, config: ZeroShotConfig, writer: Writer) -> None:
        self._config, self._writer = config, writer
        self.history = config.history if config.form == "li" else 0
        self.call_size = config.chats_per_label if self.history else config.completions_per_call

    def prompts(self, call: Call, pool: Pool, rng: random.Random) -> list[Prompt]:
        if self._config.form == "chung":
            return [Prompt(self._writer.chung_messages(call.label, ()), (), call.count)]
        return li_prompts(self._writer, call, pool, ())

    def stop(self) -> tuple[str, ...]:
        return self._writer.stop()


def li_prompts(writer: Writer, call: Call, pool: Pool, examples: Sequence[Example]) -> list[Prompt]:
    """One prompt for each chat that has a history; the chats that have none yet share one prompt."""
    out: list[Prompt] = []
    parents = tuple(each.id for each in examples)
    for chat in range(call.first_chat, call.first_chat + call.count):
        history = pool.history(call.label, chat)
        if not history and out and out[-1].parents == parents:
            out[-1] = Prompt(out[-1].messages, parents, out[-1].count + 1)
        else:
            out.append(Prompt(writer.li_messages(call.label, examples, history), (*parents, *(each.id for each in history)), 1))
    return out
