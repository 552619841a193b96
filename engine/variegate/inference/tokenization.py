"""Messages to token ids, the same way for every engine: a chat model's template, or plain text with its BOS token."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig
from variegate.errors import BackendError, UsageError
from variegate.records import Message

CONTINUATIONS_KEPT = 4096  # sets of choices whose tokens are remembered


def load_tokenizer(model: ModelConfig) -> Any:
    """The model's Hugging Face tokenizer, padding on the left. Raises BackendError."""
    import transformers

    place = model.tokenizer or model.path
    try:
        return transformers.AutoTokenizer.from_pretrained(
            place, revision=model.revision, padding_side="left", local_files_only=Path(place).is_dir()
        )
    except (OSError, ValueError, ImportError) as error:
        raise BackendError(f"model {model.name!r}: no tokenizer could be loaded from {place}: {error}") from error


def load_vocab_size(model: ModelConfig) -> int:
    """Width v of the model's logits, from its configuration. Raises BackendError."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(model.path, revision=model.revision, local_files_only=Path(model.path).is_dir())
    except (OSError, ValueError) as error:
        raise BackendError(f"model {model.name!r}: no configuration could be loaded from {model.path}: {error}") from error
    return int(config.vocab_size)


class PromptEncoder:
    """Encodes prompts; equal prompts (the completions of one call) are encoded once."""

    def __init__(self, model: ModelConfig) -> None:
        self.tokenizer = load_tokenizer(model)
        self.chat = model.chat
        if self.chat and not self.tokenizer.chat_template:
            raise UsageError(f"model {model.name!r}: chat: true, but its tokenizer has no chat template: set chat: false")
        self.encode = lru_cache(maxsize=4096)(self._encode)
        self._alone = lru_cache(maxsize=CONTINUATIONS_KEPT)(self._encode_alone)
        self._continued: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, ...], ...]] = {}

    def _encode(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        if not self.chat:
            return tuple(self.tokenizer.encode("".join(message.content for message in messages)))
        conversation = [{"role": message.role, "content": message.content} for message in messages]
        text = self.tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        # The template writes the special tokens itself: adding them again would double BOS.
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def continuations(self, messages: Sequence[Message], choices: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Token ids of each choice as it continues the prompt; where a choice's first characters would merge with the
        prompt's last token, the prompt's own tokens are kept, as in generation.

        What a choice becomes is looked up for the prompt's last line: prompts of one template end alike, and no token
        crosses a line break that stands between other text.
        """
        if self.chat:
            return self._alone(tuple(choices))
        text = "".join(message.content for message in messages)
        line = text[text.rfind("\n") :] if "\n" in text else text
        key = (line, tuple(choices))
        found = self._continued.get(key)
        if found is None:
            found = self._continue(list(self.encode(tuple(messages))), text, key[1])
            if len(self._continued) >= CONTINUATIONS_KEPT:
                self._continued.clear()
            self._continued[key] = found
        return found

    def _encode_alone(self, choices: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(self.tokenizer.encode(choice, add_special_tokens=False)) for choice in choices)

    def _continue(self, prompt: list[int], text: str, choices: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        wholes = self.tokenizer([text + choice for choice in choices])["input_ids"]
        alone = self._alone(choices)
        return tuple(
            tuple(whole[len(prompt) :]) if whole[: len(prompt)] == prompt and len(whole) > len(prompt) else own
            for whole, own in zip(wholes, alone, strict=True)
        )
