from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from variegate.config import ModelConfig
from variegate.config.resources import asset
from variegate.errors import BackendError, UsageError
from variegate.inference.identity import identity
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
    encoder.tokenizer, encoder._vocab_size = ContextTokenizer(), 1 << 62
    for text in ("a\nx:", "b\nx:", "b\nx", "x:", "x", "\n"):
        found = encoder.continuations((Message("user", text),), ["yes", "no"])
        assert found == tuple(tuple(encoder.tokenizer.encode(text + choice)[len(text) :]) for choice in ("yes", "no")), text


def test_continuations_of_a_chat_stand_alone(tokenizer_with: Callable[..., ModelConfig]) -> None:
    encoder = PromptEncoder(tokenizer_with(chat_template=TEMPLATE))
    found = encoder.continuations((Message("user", "Which?"),), ["card arrival", "atm"])
    assert [encoder.tokenizer.decode(each) for each in found] == ["card arrival", "atm"]


@pytest.fixture(scope="module")
def tiny_t5(make_tiny_t5: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_t5(tmp_path_factory.mktemp("models") / "t5")


def test_an_encoder_decoder_reads_the_prompt_and_starts_anew(plain: PromptEncoder, tiny_t5: Path) -> None:
    assert (plain.encoder_decoder, plain.decoder_start) == (False, ())
    encoder = PromptEncoder(ModelConfig(name="t5", path=str(tiny_t5)))
    assert (encoder.encoder_decoder, encoder.decoder_start) == (True, (0,))
    messages = (Message("system", "Where is "), Message("user", 'my card? "'))
    ids = encoder.encode(messages)
    assert list(ids) == encoder.tokenizer('Where is my card? "').input_ids
    assert ids[-1] == encoder.tokenizer.eos_token_id
    choices = [" card arrival", "card arrival", " card"]
    found = encoder.continuations(messages, choices)
    assert found == encoder.continuations((Message("user", "Another"),), choices)
    assert [encoder.tokenizer.decode(each) for each in found] == choices
    assert not {0, 1, 2} & {token for each in found for token in each}


def test_an_encoder_decoders_chat_goes_through_the_template(tiny_t5: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_t5, tmp_path / "chat")
    (tmp_path / "chat" / "chat_template.jinja").write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}</s>")
    encoder = PromptEncoder(ModelConfig(name="t5", path=str(tmp_path / "chat"), chat=True))
    ids = encoder.encode((Message("user", "Write."),))
    assert (encoder.tokenizer.decode(ids), ids.count(1)) == ("[user] Write.</s>", 1)
    with pytest.raises(UsageError, match="has no chat template"):
        PromptEncoder(ModelConfig(name="t5", path=str(tiny_t5), chat=True))


def test_an_encoder_decoder_must_say_what_starts_its_decoder(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_tiny_t5(tmp_path / "t5", decoder_start_token_id=None)
    with pytest.raises(BackendError, match=r"model 't5': its config\.json has no decoder_start_token_id: add"):
        PromptEncoder(ModelConfig(name="t5", path=str(folder)))


def test_answers_of_a_sentencepiece_tokenizer_begin_a_word(tiny_t5: Path, tmp_path: Path) -> None:
    """T5's own tokenizer puts a space before a text, and folds line breaks: with or without one of ours, an answer is the same."""
    import transformers

    shutil.copytree(tiny_t5, tmp_path / "t5", ignore=shutil.ignore_patterns("tokenizer*"))
    pieces = ["▁", "▁card", "▁arrival", "card", "arrival", ":", '"', "▁Category", *"abcdefghijklmnopqrstuvwxyz"]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((piece, -3.0 - place / 10) for place, piece in enumerate(pieces))]
    transformers.T5Tokenizer(vocab=vocab, extra_ids=0).save_pretrained(tmp_path / "t5")
    encoder = PromptEncoder(ModelConfig(name="t5", path=str(tmp_path / "t5")))
    assert type(encoder.tokenizer).__name__ == "T5Tokenizer"
    prompt = (Message("user", 'card: "arrival"\nCategory:'),)
    pieces_of = encoder.tokenizer.convert_ids_to_tokens
    assert pieces_of(encoder.encode(prompt)) == ["▁card", ":", "▁", '"', "arrival", '"', "▁Category", ":", "</s>"]
    spaced, bare = encoder.continuations(prompt, [" card arrival", "card arrival"])
    assert pieces_of(spaced) == ["▁card", "▁arrival"]
    assert spaced == bare


# -- chat templates --------------------------------------------------------------------------------------------

SYSTEM = (Message("system", "Reviews of films."), Message("user", "Write one."))


def test_a_template_without_a_system_role_gets_it_before_the_first_user_message(tokenizer_with: Callable[..., ModelConfig]) -> None:
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" + TEMPLATE
    silent = TEMPLATE.replace("{% for m in messages %}", "{% for m in messages if m.role != 'system' %}")
    for template in (refuses, silent):
        encoder = PromptEncoder(tokenizer_with(chat_template=template))
        assert encoder.tokenizer.decode(encoder.encode(SYSTEM)[1:]) == "[user] Reviews of films.\n\nWrite one.\n[assistant]"


def test_a_template_with_todays_date_gives_the_same_prompt_on_every_day(tokenizer_with: Callable[..., ModelConfig]) -> None:
    encoder = PromptEncoder(tokenizer_with(chat_template="{{ strftime_now('%d %b %Y') }} " + TEMPLATE))
    assert encoder.tokenizer.decode(encoder.encode(SYSTEM)).startswith("26 Jul 2024")


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% for m in messages %}{{ m.role }}{% endfor %}", "leaves out what the user says"),
        ("{{ tools[0].name }}" + TEMPLATE, "cannot be filled in: UndefinedError"),
        ("{% if %}", "cannot be filled in: TemplateSyntaxError"),
        ("{{ raise_exception('only with tools') }}", "only with tools"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_by_name(tokenizer_with: Callable[..., ModelConfig], template: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        PromptEncoder(tokenizer_with(chat_template=template))
    assert "'chatty'" in str(caught.value)
    assert "model.chat: false" in str(caught.value)


def test_one_of_several_templates_is_chosen_by_name_or_file(tokenizer_with: Callable[..., ModelConfig], tmp_path: Path) -> None:
    named = [{"name": "tool_use", "template": "T" + TEMPLATE}, {"name": "rag", "template": "R" + TEMPLATE}]
    model = tokenizer_with(chat_template=named)
    with pytest.raises(UsageError, match=r"choose one with model\.chat_template: rag, tool_use"):
        PromptEncoder(model)
    with pytest.raises(UsageError, match=r"'rags' is no template of .* did you mean 'rag'\?"):
        PromptEncoder(model.model_copy(update={"chat_template": "rags"}))
    file = tmp_path / "own.jinja"
    file.write_text("F" + TEMPLATE)
    for given, first in (("rag", "R"), (str(file), "F")):
        encoder = PromptEncoder(model.model_copy(update={"chat_template": given}))
        assert encoder.tokenizer.decode(encoder.encode(SYSTEM)).startswith(first)
    with_default = tokenizer_with(chat_template=[*named, {"name": "default", "template": "D" + TEMPLATE}])
    encoder = PromptEncoder(with_default)
    assert encoder.tokenizer.decode(encoder.encode(SYSTEM)).startswith("D")


def test_the_template_is_told_what_the_model_file_says(tokenizer_with: Callable[..., ModelConfig]) -> None:
    model = tokenizer_with(chat_template=TEMPLATE + "{% if enable_thinking is defined and not enable_thinking %}[no thinking]{% endif %}")
    plain, told = PromptEncoder(model), PromptEncoder(model.model_copy(update={"chat_arguments": {"enable_thinking": False}}))
    assert told.tokenizer.decode(told.encode(SYSTEM)).endswith("[assistant][no thinking]")
    assert plain.tokenizer.decode(plain.encode(SYSTEM)).endswith("[assistant]")


@pytest.mark.parametrize("chat", [False, True])
def test_strings_that_read_like_special_tokens_are_text(tokenizer_with: Callable[..., ModelConfig], chat: bool) -> None:
    model = tokenizer_with(chat_template=TEMPLATE + "{{ eos_token }}").model_copy(update={"chat": chat})
    encoder = PromptEncoder(model)
    end, start = encoder.tokenizer.eos_token_id, encoder.tokenizer.bos_token_id
    text = "Text: </s> and <s>, then <pad>."
    ids = encoder.encode((Message("user", text),))
    assert ids.count(start) == 1
    assert ids.count(end) == (1 if chat else 0)  # the template's own
    assert text in encoder.tokenizer.decode(ids)
    assert end not in encoder.continuations((Message("user", "Class:"),), ["a </s> b"])[0]
    ordinary = (Message("user", "No such thing."),)
    assert encoder.encode(ordinary) == PromptEncoder(model).encode(ordinary)


def test_a_model_with_a_chat_template_is_a_chat_model_unless_told_otherwise(tokenizer_with: Callable[..., ModelConfig]) -> None:
    with_template, path = tokenizer_with(chat_template=TEMPLATE), tokenizer_with(chat_template=TEMPLATE).path
    assert ModelConfig(name="a", path=path).chat
    assert not ModelConfig(name="a", path=path, chat=False).chat
    assert ModelConfig.model_validate(with_template.model_dump()) == with_template
    assert not ModelConfig(name="a", path=tokenizer_with().path).chat
    assert "chat" not in ModelConfig(name="a", path="owner/unknown").model_fields_set


def test_a_template_file_is_part_of_what_identifies_the_engine(tokenizer_with: Callable[..., ModelConfig], tmp_path: Path) -> None:
    model = tokenizer_with(chat_template=TEMPLATE)
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    keys = [
        identity(model.model_copy(update=change))
        for change in ({}, {"chat_template": str(tmp_path / "own.jinja")}, {"chat_arguments": {"a": 1}})
    ]
    assert keys[0] != keys[1] != keys[2] != keys[0]
    assert set(keys[0]) == {"model", "tokenizer", "chat"}


def test_a_token_beyond_the_networks_vocabulary_is_refused_before_an_engine_starts(
    tokenizer_with: Callable[..., ModelConfig], tmp_path: Path
) -> None:
    """A tokenizer that got chat tokens, of a network whose embeddings were never enlarged."""
    model = tokenizer_with(chat_template="<|im_start|>" + TEMPLATE)
    tokenizer = load_tokenizer(model)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"its tokenizer knows '<\|im_start\|>' \(4096\), and the network has 4,096 tokens"):
        PromptEncoder(model)


def test_a_vocabulary_that_the_configuration_keeps_with_its_text_part(tmp_path: Path) -> None:
    import transformers

    transformers.Gemma3Config(text_config={"vocab_size": 777, "num_hidden_layers": 1}).save_pretrained(tmp_path)
    assert load_vocab_size(ModelConfig(name="gemma", path=str(tmp_path))) == 777


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_foreign_code_runs_only_when_told_and_never_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(asset("nano-llama"), folder)
    ran = tmp_path / "ran"
    (folder / "foreign.py").write_text(
        f"open({str(ran)!r}, 'w').close()\nimport transformers\n"
        "class Config(transformers.LlamaConfig): pass\nclass Own(transformers.PreTrainedTokenizerFast): pass\n"
    )
    settings = json.loads((folder / file).read_text())
    settings["auto_map"] = {"AutoConfig": "foreign.Config"} if file == "config.json" else {"AutoTokenizer": ["foreign.Own", "foreign.Own"]}
    settings |= {"model_type": "foreign"} if file == "config.json" else {"tokenizer_class": "Own"}
    (folder / file).write_text(json.dumps(settings))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a question was asked"))
    with pytest.raises(BackendError, match=r"brings Python code of its own, which runs only with model\.trust_remote_code: true"):
        PromptEncoder(ModelConfig(name="foreign", path=str(folder)))
    assert not ran.exists()
    PromptEncoder(ModelConfig(name="foreign", path=str(folder), trust_remote_code=True))
    assert ran.exists()
