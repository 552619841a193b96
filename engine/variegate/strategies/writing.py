"""The two papers' prompts, Chung's and Li's, filled in for one task and one kind of model. Knows nothing of what is asked when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from variegate.config import TaskConfig
from variegate.kinds import TaskKind
from variegate.records import Message, Target
from variegate.strategies.conversation import Brief
from variegate.strategies.pool import Example
from variegate.strategies.prompts import Prompts

History = Sequence[Sequence[str]]  # (id, text) of a chat's last records, oldest first


@dataclass(frozen=True, slots=True)
class Writer:
    task: TaskConfig
    kind: TaskKind
    templates: Prompts
    chat: bool  # send separate messages; else one text that ends in an open quotation

    @classmethod
    def of(cls, brief: Brief) -> Writer:
        """Raises ConfigError where a template override is wrong."""
        return cls(brief.task, brief.kind, Prompts(brief.config.templates), brief.chat)

    def render(self, name: str, **values: object) -> str:
        return self.templates.render(name, text_type=self.task.text_type, context=self.task.context, **values)

    def li_messages(self, target: Target, examples: Sequence[Example], history: History) -> tuple[Message, ...]:
        """Li et al.'s conversation: context, examples, what to write, then what came before and the diversity prompt.

        A chat model sees its own last texts as its turns, each but the last answered by the diversity prompt.
        """
        label = self.task.labels[target.labels[0]]
        opening = [self.render("li_generate", label=label, style=self.task.style, word_limit=self.task.word_limit)]
        if examples:
            shown = [{"label": self.task.labels[each.label], "text": self._shown(each.fields)} for each in examples]
            opening.insert(0, self.render("li_examples", examples=shown))
        opening += self._given(target.given)
        texts = [text for _, text in history]
        if not self.chat:
            parts = [self.render("li_context"), *opening]
            if texts:
                parts += [self.render("li_history", history=texts), self.render("li_diversity")]
            return (Message("user", "\n".join([*parts, self.render("cue")])),)
        messages = [Message("system", self.render("li_context")), Message("user", "\n".join([*opening, self.render("chat_answer")]))]
        for text in texts:
            messages += [Message("assistant", text), Message("user", self.render("li_diversity"))]
        return tuple(messages)

    def chung_messages(self, target: Target, examples: Sequence[Example]) -> tuple[Message, ...]:
        """Chung et al.'s blocks: complete ones for the examples, then one left open for the target."""
        blocks = [
            self._chung_block(each.label, self.kind.target(each.fields).given) + each.fields[self.kind.written].replace('"', "'") + '"'
            for each in examples
        ]
        text = "\n\n".join([*blocks, self._chung_block(target.labels[0], target.given)])
        return (Message("user", text + "\n" + self.render("chat_answer") if self.chat else text),)

    def _chung_block(self, label: str, given: Mapping[str, Any]) -> str:
        return "\n".join([*self._given(given), self.render("chung_block", label=self.task.labels[label])])

    def _given(self, given: Mapping[str, Any]) -> list[str]:
        """The fields that the model does not write, as a paragraph; none where it writes all."""
        return [self.render("given", given=dict(given))] if given else []

    def _shown(self, fields: Mapping[str, Any]) -> str:
        """An example's text, after what was given with it."""
        given = self.kind.target(fields).given
        return " | ".join([*(f"{name}: {text}" for name, text in given.items()), fields[self.kind.written]])
