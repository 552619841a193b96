"""Both kinds of networks against plain forward passes of one sequence, without padding and without a cache."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.soft import write_soft
from tests.support.suppression import as_row
from variegate.config import ModelConfig, load_model
from variegate.config.resources import asset
from variegate.errors import BackendError
from variegate.inference.start import start_backend
from variegate.inference.transformers_networks import DecoderOnly, EncoderDecoder, Network, Prompt, load_network
from variegate.records import Message, Request, Sampling

TEXTS = ["arbe code", "wo", "qui " * 40, "ve ra so ti un", 'Where is my card? "', "zefago " * 9]
NEW = 8  # tokens of an answer


def ask(text: str, seed: int = 0, **sampling: Any) -> Request:
    options = {"max_tokens": NEW, "temperature": 0.0, "ignore_eos": True, **sampling}
    return Request((Message("user", text),), Sampling(**options), key=f"{text[:5]}{seed}", seed=seed)


@pytest.fixture(scope="module", params=["gated-untied", "relu-tied", "nano-llama"])
def model(request: pytest.FixtureRequest, make_tiny_t5: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> ModelConfig:
    if request.param == "nano-llama":
        return load_model("nano-llama", ["engine.backend=transformers", "engine.batch_size=5"])
    gated = request.param == "gated-untied"
    folder = make_tiny_t5(tmp_path_factory.mktemp("models") / request.param, gated=gated, tied=not gated)
    return ModelConfig.model_validate(
        {"name": request.param, "path": str(folder), "engine": {"backend": "transformers", "batch_size": 5, "dtype": "float32"}}
    )


@pytest.fixture(scope="module")
def backend(model: ModelConfig) -> Iterator[Any]:
    backend = start_backend(model)
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def plain(model: ModelConfig) -> Any:
    """The same network, loaded without us."""
    folder = Path(model.path)
    seq2seq = json.loads((folder / "config.json").read_text()).get("is_encoder_decoder")
    loader = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
    return loader.from_pretrained(folder, dtype=torch.float32).eval()


@torch.inference_mode()
def logits_after(network: Any, ids: tuple[int, ...], answer: tuple[int, ...], prefix: Tensor | None = None) -> Tensor:
    """[t + 1, v]: after the prompt, and after each token of the answer."""
    embed = network.get_input_embeddings()
    before = embed(torch.tensor([ids]))
    if prefix is not None:
        before = torch.cat([prefix[None], before], dim=1)
    if network.config.is_encoder_decoder:
        return network(inputs_embeds=before, decoder_input_ids=torch.tensor([[0, *answer]]), use_cache=False).logits[0]
    after = embed(torch.tensor([answer], dtype=torch.long))
    return network(inputs_embeds=torch.cat([before, after], dim=1), use_cache=False).logits[0, before.shape[1] - 1 :]


def test_greedy_rows_of_a_ragged_batch_equal_single_passes(backend: Any, plain: Any) -> None:
    requests = [ask(text) for text in TEXTS]
    for request, completion in zip(requests, backend.generate(requests, logprobs=True), strict=True):
        ids = backend.prompts.encode(request.messages)
        logprobs = logits_after(plain, ids, completion.token_ids).log_softmax(dim=-1)
        assert completion.token_ids == tuple(logprobs[:NEW].argmax(dim=-1).tolist())
        expected = sum(float(logprobs[place, token]) for place, token in enumerate(completion.token_ids))
        assert completion.logprob == pytest.approx(expected, abs=1e-3)


def test_soft_prompts_stand_before_the_embeddings(backend: Any, plain: Any, tmp_path: Path) -> None:
    """Of 1 to 40 vectors as large as embeddings, and none, mixed in a batch; one of them twice."""
    scale = plain.get_input_embeddings().weight.std().item()
    lengths = (3, None, 1, 40, None, 3)
    prefixes = {
        str(length): scale * torch.randn(length, backend._network.width, generator=torch.Generator().manual_seed(length))
        for length in lengths
        if length
    }
    named = write_soft(tmp_path / "soft", prefixes)
    without = backend.generate([ask(text) for text in TEXTS], logprobs=True)
    requests = [replace(ask(text), soft=named.get(str(length))) for text, length in zip(TEXTS, lengths, strict=True)]
    before = backend.usage
    completions = backend.generate(requests, logprobs=True)
    for request, completion, bare, length in zip(requests, completions, without, lengths, strict=True):
        ids, prefix = backend.prompts.encode(request.messages), prefixes.get(str(length))
        assert completion.token_ids == tuple(logits_after(plain, ids, completion.token_ids, prefix)[:NEW].argmax(dim=-1).tolist())
        assert completion.num_prompt_tokens == len(ids) + (length or 0)
        assert (completion.logprob == pytest.approx(bare.logprob, abs=1e-4)) is (not length)
    assert (backend.usage - before).prompt_tokens == sum(each.num_prompt_tokens for each in completions)


def test_scores_equal_single_passes(backend: Any, plain: Any) -> None:
    choices = [" card arrival", " card", "quico", " exchange rate", "arbe"]
    prompts = [(Message("user", text),) for text in TEXTS]
    start = backend.usage
    scores = backend.score(prompts, choices)
    end = backend.prompts.tokenizer.eos_token_id
    for prompt, row in zip(prompts, scores, strict=True):
        ids = backend.prompts.encode(prompt)
        for choice, tokens, score in zip(choices, backend.prompts.continuations(prompt, choices), row, strict=True):
            path = (*tokens, end) if choice == " card" else tokens  # as a whole label, not as the beginning of another
            logprobs = logits_after(plain, ids, path).log_softmax(dim=-1)
            assert score == pytest.approx(sum(float(logprobs[place, token]) for place, token in enumerate(path)), abs=1e-3)
    used = backend.usage - start
    assert used.generated_tokens == used.requests > 6
    assert used.prompt_tokens > sum(len(backend.prompts.encode(prompt)) for prompt in prompts)


def test_repetition_penalty_is_that_of_a_single_row(backend: Any, plain: Any) -> None:
    """Of the decoder's tokens alone in an encoder-decoder, of the whole prompt elsewhere; never of padding."""
    requests = [ask(text, repetition_penalty=1.5) for text in TEXTS]
    penalty = transformers.RepetitionPenaltyLogitsProcessor(1.5)
    changed = 0
    for request, completion in zip(requests, backend.generate(requests), strict=True):
        ids, answer = backend.prompts.encode(request.messages), completion.token_ids
        logits = logits_after(plain, ids, answer)
        for place, token in enumerate(answer):
            seen = torch.tensor([[*((0,) if backend.prompts.encoder_decoder else ids), *answer[:place]]])
            assert token == penalty(seen, logits[place : place + 1].clone()).argmax()
            changed += token != logits[place].argmax()
    assert changed


def test_a_seeds_text_does_not_depend_on_its_batch_mates(backend: Any) -> None:
    requests = [ask(TEXTS[n % 6], n, temperature=1.0, top_p=0.95, repetition_penalty=1.2) for n in range(12)]
    together = [each.token_ids for each in backend.generate(requests)]
    assert [each.token_ids for each in backend.generate(requests[::-1])][::-1] == together
    assert [backend.generate([request])[0].token_ids for request in requests[:2]] == together[:2]
    assert len(set(together)) == 12


def test_an_end_ends_unless_it_is_to_be_ignored(backend: Any) -> None:
    """A bias that leaves the end alone."""
    (end,) = backend._network.ends
    bias = torch.full((backend.info.vocab_size,), -1000.0)
    bias[end] = 0
    row = as_row(bias.numpy())
    backend.set_rows({row.digest: row})
    for ignore, tokens, reason in ((False, (end,), "stop"), (True, (end,) * 4, "length")):
        request = ask("wo", max_tokens=4, ignore_eos=ignore)
        (completion,) = backend.generate([Request(request.messages, request.sampling, key="k", bias=row.digest)])
        assert (completion.text, completion.token_ids, completion.finish_reason) == ("", tokens, reason)


def tiny(folder: Path, **engine: Any) -> ModelConfig:
    return ModelConfig.model_validate({"name": "t5", "path": str(folder), "engine": engine})


def load(model: ModelConfig) -> Network:
    from variegate.inference.tokenization import PromptEncoder

    return load_network(model, PromptEncoder(model))


def test_the_longest_sequence(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    nano = load(load_model("nano-llama"))
    assert isinstance(nano, DecoderOnly)
    assert [nano.max_len(wanted) for wanted in (None, 99, 9999)] == [1024, 99, 1024]
    t5 = load(tiny(make_tiny_t5(tmp_path / "t5")))
    assert isinstance(t5, EncoderDecoder)
    assert [t5.max_len(wanted) for wanted in (None, 99, 9999)] == [512, 99, 9999]  # positions are relative: there is no limit


def test_what_generate_begins_with(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    """Padding and soft prompts are no tokens; the second is attended to."""
    nano = load(load_model("nano-llama"))
    start = nano.start([Prompt((5, 6, 7)), Prompt((8,), torch.zeros(1, nano.width))])
    assert start.ids.tolist() == [[5, 6, 7], [nano.pad, nano.pad, 8]]
    assert start.real.tolist() == [[True, True, True], [False, False, True]]
    assert start.arguments["attention_mask"].tolist() == [[1, 1, 1], [0, 1, 1]]
    t5 = load(tiny(make_tiny_t5(tmp_path / "t5")))
    start = t5.start([Prompt((5, 6, 7)), Prompt((8,), torch.zeros(1, 96))])
    assert (start.ids.tolist(), start.real.tolist()) == ([[0], [0]], [[True], [True]])
    assert start.arguments["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_dummy_weights(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_tiny_t5(tmp_path / "t5")
    (folder / "model.safetensors").unlink()
    backend = start_backend(tiny(folder, backend="transformers", load_format="dummy", dtype="float32"))
    (completion,) = backend.generate([ask("wo", max_tokens=3)])
    assert len(completion.token_ids) == 3
    backend.close()


def test_weights_of_four_bits() -> None:
    """bitsandbytes' NF4, on a CPU too: half a byte a weight, and nearly the same answer."""
    pytest.importorskip("bitsandbytes")
    full, four = (
        start_backend(load_model("nano-t5", ["engine.backend=transformers", *more])) for more in ([], ["engine.quantization=bitsandbytes"])
    )
    weight, whole = (each._network.model.encoder.block[0].layer[1].DenseReluDense.wi_0.weight for each in (four, full))
    assert (weight.dtype, 2 * weight.numel()) == (torch.uint8, whole.numel())
    prompt, choices = (Message("user", 'Write a text message.\nText message: "'),), [" yes", " card", " what"]
    assert four.score([prompt], choices) == pytest.approx(full.score([prompt], choices), rel=0.25)
    assert len(four.generate([ask("wo", max_tokens=3)])[0].token_ids) == 3
    for backend in (full, four):
        backend.close()


def test_widths_that_four_bits_on_a_cpu_do_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """bitsandbytes' kernel for CPUs with AVX512 and bfloat16 stops at a width that is no multiple of 32, as nano-llama's 688."""
    modules = pytest.importorskip("bitsandbytes").nn.modules
    model = load_model("nano-llama", ["engine.backend=transformers", "engine.quantization=bitsandbytes"])
    monkeypatch.setattr(modules, "has_avx512bf16", lambda: True)
    if torch.cuda.is_available():
        start_backend(model).close()
        return
    with pytest.raises(BackendError, match=r"a layer of it is 688 wide, .* multiples of 32"):
        start_backend(model)


def test_settings_that_a_model_brings_along_change_nothing(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    """Beams, a shortest and a longest length, repetitions, a first token: a request says all of how it is drawn."""
    folder = make_tiny_t5(tmp_path / "t5")
    texts = []
    for more in ({}, {"num_beams": 3, "min_length": 9, "max_length": 5, "no_repeat_ngram_size": 1, "forced_bos_token_id": 7}):
        settings = {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, **more}
        (folder / "generation_config.json").write_text(json.dumps(settings))
        backend = start_backend(tiny(folder, backend="transformers", dtype="float32"))
        texts.append([each.token_ids for each in backend.generate([ask(text, ignore_eos=False) for text in TEXTS])])
        backend.close()
    assert texts[0] == texts[1]


# -- what a folder of weights can lack -------------------------------------------------------------------------


def copied(tmp_path: Path, name: str = "nano-llama", **settings: Any) -> Path:
    """A copy of a bundled model, with changes to its config.json; None takes a field away."""
    folder = tmp_path / "model"
    shutil.copytree(asset(name), folder)
    for file in ("config.json", "tokenizer_config.json"):
        whole = json.loads((folder / file).read_text()) | settings.get(file.partition(".")[0], {})
        (folder / file).write_text(json.dumps({key: value for key, value in whole.items() if value is not None}))
    return folder


def started_on(folder: Path) -> Any:
    return start_backend(load_model(str(folder), ["engine.backend=transformers", "engine.dtype=float32"]))


@pytest.mark.parametrize("change", ["half", "prefix"])
def test_tensors_that_the_weights_lack_are_named_not_made_up(tmp_path: Path, change: str) -> None:
    folder = copied(tmp_path)
    weights = load_file(folder / "model.safetensors")
    if change == "half":
        weights = {name: each for name, each in weights.items() if ".layers.1." not in name}
    else:
        weights = {f"base_model.model.{name}": each for name, each in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackendError, match=r"its weights lack \d+ of the network's tensors .*which would be random numbers") as caught:
        started_on(folder)
    assert ("base_model.model." in str(caught.value)) == (change == "prefix")


def test_a_rotary_kind_that_is_not_known_is_named(tmp_path: Path) -> None:
    folder = copied(tmp_path, config={"rope_scaling": {"rope_type": "mrope2", "factor": 2.0}, "rope_parameters": None})
    with pytest.raises(BackendError, match=r"mrope2.*needs a newer one"):
        started_on(folder)


def test_without_named_padding_and_end_the_networks_own_are_taken(tmp_path: Path) -> None:
    folder = copied(tmp_path, tokenizer_config={"pad_token": None, "bos_token": None, "eos_token": None})
    backend = started_on(folder)
    asked = [
        Request(key=str(i), messages=(Message("user", "Write a request to a voice assistant.\n" * (1 + i)),),
                sampling=Sampling(temperature=0.0, max_tokens=12), seed=0)
        for i in range(3)
    ]  # fmt: skip
    assert [each.error for each in backend.generate(asked)] == [None] * 3


def test_any_end_that_a_file_names_stops_a_text(tmp_path: Path) -> None:
    """A fine-tuned model's generation_config.json may still name the base model's end."""
    folder = copied(tmp_path)
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": 5}))
    ends = started_on(folder)._network.ends
    assert ends == {5, json.loads((folder / "config.json").read_text())["eos_token_id"]}
