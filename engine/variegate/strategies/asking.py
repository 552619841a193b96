"""What every strategy shares: what is asked for, how a prompt becomes requests, and the interface itself.

A strategy is pure: the same task, pool and seed give the same requests.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from variegate.config import TaskConfig
from variegate.records import Message
from variegate.strategies.pool import Example, Pool
from variegate.strategies.prompts import Prompts


@dataclass(frozen=True, slots=True)
class Call:
    """`count` texts wanted of one label in one round.

    first_slot: slots count a label's requests over the whole run. first_chat: places count them within the round.
    """

    label: str
    count: int
    first_slot: int
    first_chat: int
    round: int


@dataclass(frozen=True, slots=True)
class Prompt:
    """A filled-in prompt for `count` consecutive slots of a call."""

    messages: tuple[Message, ...]
    parents: tuple[str, ...]
    count: int


class Strategy(Protocol):
    needs_records: bool  # kept records become examples
    history: int  # last texts of a chat that prompts carry; a round then holds one turn of each chat
    call_size: int  # texts asked of a label in one call

    def prompts(self, call: Call, pool: Pool, rng: random.Random) -> list[Prompt]:
        """The prompts of one call; their counts sum to the call's."""
        ...

    def stop(self) -> tuple[str, ...]:
        """Strings that end a text when the run file names none."""
        ...


@dataclass(frozen=True, slots=True)
class Writer:
    """Fills templates for one task and one kind of model."""

    task: TaskConfig
    templates: Prompts
    chat: bool  # send separate messages; else one text that ends in an open quotation

    def render(self, name: str, **values: object) -> str:
        return self.templates.render(name, text_type=self.task.text_type, context=self.task.context, **values)

    def history_block(self, history: Sequence[Example]) -> str:
        return "\n".join([self.render("li_history", history=[each.text for each in history]), self.render("li_diversity")])

    def li_messages(self, label: str, examples: Sequence[Example], history: Sequence[Example]) -> tuple[Message, ...]:
        """Li et al.'s conversation: context, examples, what to write, then what came before and the diversity prompt.

        A chat model sees its own last texts as its turns, each but the last answered by the diversity prompt.
        """
        label_config = self.task.labels[label]
        opening = [self.render("li_generate", label=label_config, style=self.task.style, word_limit=self.task.word_limit)]
        if examples:
            shown = [{"label": self.task.labels[each.label], "text": each.text} for each in examples]
            opening.insert(0, self.render("li_examples", examples=shown))
        if not self.chat:
            parts = [self.render("li_context"), *opening]
            if history:
                parts.append(self.history_block(history))
            return (Message("user", "\n".join([*parts, self.render("cue")])),)
        messages = [Message("system", self.render("li_context")), Message("user", "\n".join([*opening, self.render("chat_answer")]))]
        for each in history:
            messages += [Message("assistant", each.text), Message("user", self.render("li_diversity"))]
        return tuple(messages)

    def chung_messages(self, label: str, examples: Sequence[Example]) -> tuple[Message, ...]:
        """Chung et al.'s blocks: complete ones for the examples, then one left open for the label."""
        blocks = [self.render("chung_block", label=self.task.labels[each.label]) + each.text.replace('"', "'") + '"' for each in examples]
        blocks.append(self.render("chung_block", label=self.task.labels[label]))
        text = "\n\n".join(blocks)
        return (Message("user", text + "\n" + self.render("chat_answer") if self.chat else text),)

    def stop(self) -> tuple[str, ...]:
        return () if self.chat else ('"',)
