"""A tokenizer's chat template as the engines use it: chosen, tried once at the start, and the same on every day.

Knows messages and text; knows no token.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig
from variegate.errors import UsageError, nearest
from variegate.records import Message

# What templates that ask for today's date are told: a prompt, and so a run's texts, must not change from one day to the next.
DATE = datetime.datetime(2024, 7, 26)  # a day, in no time zone
_SYSTEM, _USER = "Of what the answers are.", "What is wanted."


class ChatTemplate:
    """Raises UsageError for a tokenizer without a template, or with one that cannot be used."""

    def __init__(self, tokenizer: Any, model: ModelConfig) -> None:
        self._tokenizer, self._name = tokenizer, model.name
        self._template = _chosen(tokenizer, model)
        self._arguments: Mapping[str, Any] = {"strftime_now": DATE.strftime, **model.chat_arguments}
        self._system = self._takes_system()

    def render(self, messages: Sequence[Message]) -> str:
        """The conversation as the model reads it, up to where its answer begins. A template that knows no system role gets its
        text before the first user message."""
        turns = [{"role": message.role, "content": message.content} for message in messages]
        if not self._system and len(turns) > 1 and turns[0]["role"] == "system":
            turns[:2] = [{"role": turns[1]["role"], "content": f"{turns[0]['content']}\n\n{turns[1]['content']}"}]
        return self._filled(turns)

    def _filled(self, turns: list[dict[str, str]]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    turns, chat_template=self._template, tokenize=False, add_generation_prompt=True, **self._arguments
                )
            )
        except Exception as error:  # a template is a program of the model's maker: it may fail at anything
            raise UsageError(
                f"model {self._name!r}: its chat template cannot be filled in: {type(error).__name__}: {error}. Give what it needs in"
                " model.chat_arguments, another template in model.chat_template (a name or a file), or set model.chat: false"
            ) from error

    def _takes_system(self) -> bool:
        if _USER not in (alone := self._filled([{"role": "user", "content": _USER}])):
            raise UsageError(
                f"model {self._name!r}: its chat template leaves out what the user says (it gives {alone[:80]!r}): choose another with"
                " model.chat_template (a name or a file), or set model.chat: false"
            )
        try:
            both = self._filled([{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _USER}])
        except UsageError:
            return False
        return _SYSTEM in both and _USER in both


def _chosen(tokenizer: Any, model: ModelConfig) -> str:
    found = tokenizer.chat_template
    named = found if isinstance(found, Mapping) else {}
    if model.chat_template is not None:
        if model.chat_template in named:
            return str(named[model.chat_template])
        try:
            return Path(model.chat_template).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            known = f"The tokenizer's own: {', '.join(sorted(named))}" if named else "The tokenizer names none"
            raise UsageError(
                f"model.chat_template: {model.chat_template!r} is no template of {model.name!r} and no file that can be read ({error})"
                f"{nearest(model.chat_template, sorted(named))} {known}"
            ) from error
    if named and "default" not in named:
        raise UsageError(
            f"model {model.name!r}: its tokenizer has several chat templates and none is the default: choose one with"
            f" model.chat_template: {', '.join(sorted(named))}"
        )
    if not found:
        raise UsageError(f"model {model.name!r}: chat: true, but its tokenizer has no chat template: set chat: false")
    return str(named["default"] if named else found)
