"""Messages to token ids, the same way for every engine: a chat model's template, or plain text with its special tokens.

Of an encoder-decoder, the prompt is what the encoder reads.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from variegate.config import ModelConfig
from variegate.errors import BackendError, UsageError
from variegate.inference.chat import ChatTemplate
from variegate.records import Message

CONTINUATIONS_KEPT = 4096  # sets of choices whose tokens are remembered
_HIDDEN = "\ue000"  # a letter of nobody's: stands for one string while a template is filled in


def load_tokenizer(model: ModelConfig) -> Any:
    """The model's Hugging Face tokenizer, padding on the left. Raises BackendError."""
    import transformers

    place = model.tokenizer or model.path
    try:
        return transformers.AutoTokenizer.from_pretrained(place, revision=model.revision, padding_side="left", **_common(model, place))
    except (OSError, ValueError, ImportError) as error:
        raise BackendError(f"model {model.name!r}: no tokenizer could be loaded from {place}: {_said(error)}") from error


def load_config(model: ModelConfig) -> Any:
    """The model's Hugging Face configuration. Raises BackendError."""
    import transformers

    try:
        return transformers.AutoConfig.from_pretrained(model.path, revision=model.revision, **_common(model, model.path))
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise BackendError(f"model {model.name!r}: no configuration could be loaded from {model.path}: {_said(error)}") from error


def _common(model: ModelConfig, place: str) -> dict[str, Any]:
    """Without a word on foreign code, Transformers asks for a y at the terminal."""
    return {"local_files_only": Path(place).is_dir(), "trust_remote_code": model.trust_remote_code}


def _said(error: Exception) -> str:
    if "trust_remote_code" in str(error):
        return "it brings Python code of its own, which runs only with model.trust_remote_code: true; read that code first"
    return str(error)


def load_vocab_size(model: ModelConfig) -> int:
    """Width v of the model's logits, from its configuration. Raises BackendError."""
    return int(load_config(model).get_text_config().vocab_size)


class PromptEncoder:
    """Encodes prompts; equal prompts (the completions of one call) are encoded once.

    encoder_decoder: the encoder reads the prompt, and the answer starts a sequence of its own.
    decoder_start: the token such a sequence starts with; none for other models.
    """

    def __init__(self, model: ModelConfig) -> None:
        self.tokenizer = load_tokenizer(model)
        config = load_config(model)
        self.architectures: tuple[str, ...] = tuple(getattr(config, "architectures", None) or ())
        self.encoder_decoder = bool(getattr(config, "is_encoder_decoder", False))
        self.decoder_start = (_decoder_start(model, config),) if self.encoder_decoder else ()
        self.chat, self._name = model.chat, model.name
        if self.tokenizer.chat_template and "chat" not in model.model_fields_set:  # a hub id, which was not on this machine before
            raise UsageError(
                f"model {model.name!r}: was fetched now, and its tokenizer has a chat template: run the same command again to use it as a"
                " chat model, or set model.chat: false to send it plain text"
            )
        self._template = ChatTemplate(self.tokenizer, model) if model.chat else None
        self._special = re.compile("|".join(map(re.escape, sorted(_special_tokens(self.tokenizer), key=len, reverse=True))) or r"(?!)")
        self._vocab_size = int(config.get_text_config().vocab_size)
        self.encode = lru_cache(maxsize=4096)(self._encode)
        self._alone = lru_cache(maxsize=CONTINUATIONS_KEPT)(self._encode_alone)
        self._continued: dict[tuple[str, tuple[str, ...]], tuple[tuple[int, ...], ...]] = {}
        self._encode((Message("user", "What is wanted."),))  # the template's own tokens must be the network's

    def _encode(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        ids = self._ids(messages)
        if ids and max(ids) >= self._vocab_size:
            token = max(ids)
            raise UsageError(
                f"model {self._name!r}: its tokenizer knows {self.tokenizer.convert_ids_to_tokens(token)!r} ({token}), and the network has"
                f" {self._vocab_size:,} tokens: is it the tokenizer of another model, or were the embeddings never enlarged?"
            )
        return ids

    def _ids(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        if self._template is None:
            return self._plain("".join(message.content for message in messages), add_special_tokens=True)
        said: list[str] = []  # strings in the messages that only look like special tokens

        def hide(found: re.Match[str]) -> str:
            said.append(found[0])
            return _HIDDEN

        hidden = [Message(each.role, self._special.sub(hide, each.content)) for each in messages]
        first, *others = self._template.render(hidden).split(_HIDDEN) if said else [self._template.render(messages)]
        # The template writes the special tokens itself: adding them again would double BOS.
        ids = self.tokenizer.encode(first, add_special_tokens=False)
        for text, after in zip(said, others, strict=True):
            ids += [*self._plain(text), *self.tokenizer.encode(after, add_special_tokens=False)]
        return tuple(ids)

    def _plain(self, text: str, *, add_special_tokens: bool = False) -> tuple[int, ...]:
        """Token ids of text as text: a string in it that reads like a special token (`</s>`) is none."""
        return tuple(self.tokenizer.encode(text, add_special_tokens=add_special_tokens, **self._as_text(text)))

    def _as_text(self, text: str) -> dict[str, bool]:
        return {"split_special_tokens": True} if self._special.search(text) else {}

    def continuations(self, messages: Sequence[Message], choices: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Token ids of each choice as it continues the prompt; where a choice's first characters would merge with the
        prompt's last token, the prompt's own tokens are kept, as in generation. In a chat, and of an encoder-decoder, a
        choice stands alone.

        What a choice becomes is looked up for the prompt's last line: prompts of one template end alike, and no token
        crosses a line break that stands between other text.
        """
        if self.chat or self.encoder_decoder:
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
        return tuple(self._plain(choice) for choice in choices)

    def _continue(self, prompt: list[int], text: str, choices: tuple[str, ...]) -> tuple[tuple[int, ...], ...]:
        wholes = self.tokenizer([text + choice for choice in choices], **self._as_text("\n".join([text, *choices])))["input_ids"]
        alone = self._alone(choices)
        return tuple(
            tuple(whole[len(prompt) :]) if whole[: len(prompt)] == prompt and len(whole) > len(prompt) else own
            for whole, own in zip(wholes, alone, strict=True)
        )


def _special_tokens(tokenizer: Any) -> set[str]:
    return {*tokenizer.all_special_tokens, *(str(each) for each in tokenizer.added_tokens_decoder.values() if each.special)}


def _decoder_start(model: ModelConfig, config: Any) -> int:
    start = getattr(config, "decoder_start_token_id", None)
    if start is None:
        raise BackendError(
            f"model {model.name!r}: its config.json has no decoder_start_token_id: add the token that starts the decoder (T5's is its "
            "pad_token_id)"
        )
    return int(start)
