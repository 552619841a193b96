from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from variegate.config import ModelConfig
from variegate.config.resources import asset
from variegate.errors import BackendError, UsageError
from variegate.inference.tokenization import PromptEncoder, load_tokenizer, load_vocab_size
from variegate.records import Message

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.fixture(scope="module")
def plain() -> PromptEncoder:
    return PromptEncoder(ModelConfig(name="nano", path=str(asset("nano-llama"))))


@pytest.fixture
def tokenizer_with(tmp_path: Path) -> Callable[..., ModelConfig]:
    def make(**changes: object) -> ModelConfig:
        for name in ("tokenizer.json", "config.json"):
            shutil.copy(asset("nano-llama") / name, tmp_path)
        settings = json.loads((asset("nano-llama") / "tokenizer_config.json").read_text())
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, **changes}))
        return ModelConfig(name="chatty", path=str(tmp_path), chat=True)

    return make


def test_plain_prompts_are_one_text_with_one_bos(plain: PromptEncoder) -> None:
    ids = plain.encode((Message("system", "Where is "), Message("user", "my card?")))
    assert list(ids) == plain.tokenizer("Where is my card?").input_ids
    assert ids.count(plain.tokenizer.bos_token_id) == 1
    assert ids[0] == plain.tokenizer.bos_token_id


def test_equal_prompts_are_encoded_once(plain: PromptEncoder) -> None:
    before = plain.encode.cache_info().misses
    for _ in range(5):
        plain.encode((Message("user", "a prompt of its own"),))
    assert plain.encode.cache_info().misses == before + 1


def test_a_chat_goes_through_the_template_and_gets_no_second_bos(tokenizer_with: Callable[..., ModelConfig]) -> None:
    encoder = PromptEncoder(tokenizer_with(chat_template=TEMPLATE))
    messages = (Message("system", "You write."), Message("user", "Write."), Message("assistant", "One."), Message("user", "More."))
    ids = encoder.encode(messages)
    assert encoder.tokenizer.decode(ids[1:]) == "[system] You write.\n[user] Write.\n[assistant] One.\n[user] More.\n[assistant]"
    assert ids.count(encoder.tokenizer.bos_token_id) == 1


def test_chat_without_a_template_is_refused(tokenizer_with: Callable[..., ModelConfig]) -> None:
    with pytest.raises(UsageError, match="has no chat template: set chat: false"):
        PromptEncoder(tokenizer_with(chat_template=None))


@pytest.mark.parametrize("end", ["Category:", 'Text: "', "Answer", "a "])
def test_continuations_continue_the_prompts_own_tokens(plain: PromptEncoder, end: str) -> None:
    choices = [" card arrival", " card", "card", "ing rate", '" then']
    prompt = plain.encode((Message("user", end),))
    for choice, ids in zip(choices, plain.continuations((Message("user", end),), choices), strict=True):
        assert ids
        whole = plain.tokenizer.decode([*prompt, *ids], skip_special_tokens=True)
        assert whole == plain.tokenizer.decode(plain.tokenizer.encode(end + choice), skip_special_tokens=True)


def test_no_tokenizer_no_config(tmp_path: Path) -> None:
    model = ModelConfig(name="empty", path=str(tmp_path))
    with pytest.raises(BackendError, match="model 'empty': no tokenizer could be loaded"):
        load_tokenizer(model)
    with pytest.raises(BackendError, match="model 'empty': no configuration could be loaded"):
        load_vocab_size(model)


def test_vocab_size_is_the_width_of_the_weights() -> None:
    from safetensors import safe_open

    folder = asset("nano-llama")
    with safe_open(folder / "model.safetensors", "np") as weights:
        assert load_vocab_size(ModelConfig(name="n", path=str(folder))) == weights.get_slice("model.embed_tokens.weight").get_shape()[0]


def test_continuations_are_those_of_the_whole_text(plain: PromptEncoder) -> None:
    """Looked up by the prompt's last line; each must be what encoding the whole text gives."""
    choices = [" card arrival", " exchange rate", " atm", "s", "ing", "!", " ", "\n"]
    for text in ("one line only", "Text: a b\nCategory:", "Text: something else\nCategory:", "Text: a\nKind", "\n", "ends in a break\n"):
        messages = (Message("user", text),)
        prompt = list(plain.encode(messages))
        for choice, found in zip(choices, plain.continuations(messages, choices), strict=True):
            whole = plain.tokenizer.encode(text + choice)
            merged = whole[: len(prompt)] != prompt
            expected = plain.tokenizer.encode(choice, add_special_tokens=False) if merged else whole[len(prompt) :]
            assert list(found) == expected, (text, choice)


class ContextTokenizer:
    """Characters, each with an id that also holds the character before it: as in tokenizers that look at what stands before."""

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        before = chr(2) if add_special_tokens else chr(1)
        return [1000 * ord(a) + ord(b) for a, b in zip(before + text, text, strict=False)]

    def __call__(self, texts: list[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [self.encode(text) for text in texts]}


def test_continuations_are_remembered_for_the_last_line_alone() -> None:
    encoder = PromptEncoder(ModelConfig(name="nano", path=str(asset("nano-llama"))))
    encoder.tokenizer = ContextTokenizer()
    for text in ("a\nx:", "b\nx:", "b\nx", "x:", "x", "\n"):
        found = encoder.continuations((Message("user", text),), ["yes", "no"])
        assert found == tuple(tuple(encoder.tokenizer.encode(text + choice)[len(text) :]) for choice in ("yes", "no")), text


def test_continuations_of_a_chat_stand_alone(tokenizer_with: Callable[..., ModelConfig]) -> None:
    encoder = PromptEncoder(tokenizer_with(chat_template=TEMPLATE))
    found = encoder.continuations((Message("user", "Which?"),), ["card arrival", "atm"])
    assert [encoder.tokenizer.decode(each) for each in found] == ["card arrival", "atm"]
