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

    def li_messages(
        self, target: Target, examples: Sequence[Example], history: History, *, beside: Sequence[str] = ()
    ) -> tuple[Message, ...]:
        """Li et al.'s conversation: context, examples, what to write, then what came before and the diversity prompt.

        beside: paragraphs behind what to write. A chat model sees its own last texts as its turns, each answered by the request for another one.
        """
        label = self.task.labels[target.labels[0]]
        opening = [self.render("li_generate", label=label, style=self.task.style, word_limit=self.task.word_limit)]
        if examples:
            shown = [{"label": self.task.labels[each.label], "text": self._shown(each.fields)} for each in examples]
            opening.insert(0, self.render("li_examples", examples=shown))
        opening += [*beside, *self._given(target.given)]
        texts = [text for _, text in history]
        if not self.chat:
            parts = [self.render("li_context"), *opening]
            if texts:
                parts += [self.render("li_history", history=texts), self.render("li_diversity")]
            return (Message("user", "\n".join([*parts, self.render("cue")])),)
        messages = [Message("system", self.render("li_context")), self._request(*opening)]
        for text in texts:
            messages += [Message("assistant", text), self._request(self.render("chat_another"))]
        return tuple(messages)

    def chung_messages(self, target: Target, examples: Sequence[Example]) -> tuple[Message, ...]:
        """Chung et al.'s blocks: complete ones for the examples, then one left open for the target.

        A chat model sees the examples as its own turns: what was asked for, and the example as its answer.
        """
        asked = [(each.label, self.kind.target(each.fields).given, str(each.fields[self.kind.written])) for each in examples]
        if not self.chat:
            blocks = [self._chung_block("chung_block", label, given) + text.replace('"', "'") + '"' for label, given, text in asked]
            return (Message("user", "\n\n".join([*blocks, self._chung_block("chung_block", target.labels[0], target.given)])),)
        messages = [Message("system", self.render("li_context"))]
        for label, given, text in asked:
            messages += [self._request(self._chung_block("chung_chat", label, given)), Message("assistant", text)]
        return (*messages, self._request(self._chung_block("chung_chat", target.labels[0], target.given)))

    def like_messages(self, target: Target, fields: Mapping[str, Any]) -> tuple[Message, ...]:
        """A record's text, and the request for another one like it. A chat model sees the text as its own turn."""
        text = self.kind.said(fields)
        if self.kind.answer_lines:
            return self.question_messages(target, text)
        label = self.task.labels[target.labels[0]]
        if not self.chat:
            return (self.message("\n".join([*self._given(target.given), self.render("another", label=label, text=text)])),)
        return (*self.li_messages(target, (), ()), Message("assistant", text), self._request(self.render("s3_like", label=label)))

    def question_messages(self, target: Target, shown: str = "") -> tuple[Message, ...]:
        """For a question about what is given, and its answer. shown: a record in the words of an answer, to be followed by another one."""
        asked = self.render("s3_question", style=self.task.style, word_limit=self.task.word_limit, shown=shown, chat=self.chat)
        parts = [*self._given(target.given), asked]
        if self.chat:
            return (Message("system", self.render("li_context")), Message("user", "\n".join(parts)))
        return (self.message("\n".join([self.render("li_context"), *parts])),)

    def message(self, text: str) -> Message:
        """All that is said to a model, in one piece."""
        return Message("user", text)

    def _request(self, *parts: str) -> Message:
        """A turn of the user of a chat."""
        return Message("user", "\n".join([*parts, self.render("chat_text")]))

    def _chung_block(self, template: str, label: str, given: Mapping[str, Any]) -> str:
        return "\n".join([*self._given(given), self.render(template, label=self.task.labels[label])])

    def _given(self, given: Mapping[str, Any]) -> list[str]:
        """The fields that the model does not write, as a paragraph; none where it writes all."""
        return [self.render("given", given=dict(given))] if given else []

    def _shown(self, fields: Mapping[str, Any]) -> str:
        """An example's text, after what was given with it."""
        given = self.kind.target(fields).given
        return " | ".join([*(f"{name}: {text}" for name, text in given.items()), fields[self.kind.written]])
