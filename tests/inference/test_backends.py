"""The contract of `inference/backend.py`, kept by both engines on nano-llama and nano-t5: the same tests run against each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.soft import write_soft
from tests.support.suppression import as_row
from variegate.config import ModelConfig, load_model
from variegate.errors import BackendError
from variegate.records import Message, Request, Sampling

pytestmark = pytest.mark.slow

PROMPTS = [
    'Write a request to a voice assistant that covers the element below.\nElement: asking what time it is\nRequest to a voice assistant: "',
    'Write a text message that covers the element below.\nElement: an unwanted advertisement\nText message: "',
    "Category:",
    'Write a request to a voice assistant for the category "yes". Gives a positive answer.\nRequest to a voice assistant: "',
]


def ask(text: str, *, seed: int = 1, bias: str = "", **sampling: Any) -> Request:
    options = {"temperature": 0.0, "max_tokens": 12, **sampling}
    return Request(key=f"{text[:9]}{seed}", messages=(Message("user", text),), sampling=Sampling(**options), seed=seed, bias=bias)


@pytest.fixture(params=["vllm", "transformers", "t5_vllm", "t5_transformers"])
def backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    engine = request.getfixturevalue(f"nano_{request.param}")
    yield engine
    engine.set_rows({})


def suppress(backend: Any, *biases: np.ndarray) -> list[str]:
    """Name these and no others to the engine; their digests."""
    rows = [as_row(bias) for bias in biases]
    backend.set_rows({row.digest: row for row in rows})
    return [row.digest for row in rows]


def texts(backend: Any, requests: list[Request]) -> list[str]:
    return [each.text for each in backend.generate(requests)]


def model_of(backend: Any) -> ModelConfig:
    return load_model("nano-t5" if backend.prompts.encoder_decoder else "nano-llama")


@cache
def plain_network(path: str, seq2seq: bool) -> Any:
    import transformers

    loader = transformers.AutoModelForSeq2SeqLM if seq2seq else transformers.AutoModelForCausalLM
    return loader.from_pretrained(path, dtype=torch.float32).eval()


@torch.inference_mode()
def forward_logprobs(backend: Any, prompt: tuple[int, ...], answer: Sequence[int], prefix: torch.Tensor | None = None) -> list[float]:
    """Of each token of an answer, by one plain forward pass of Transformers over prompt and answer."""
    network = plain_network(model_of(backend).path, backend.prompts.encoder_decoder)
    embed = network.get_input_embeddings()
    before = embed(torch.tensor([prompt]))
    if prefix is not None:
        before = torch.cat([prefix[None], before], dim=1)
    if backend.prompts.encoder_decoder:
        logits = network(inputs_embeds=before, decoder_input_ids=torch.tensor([[*backend.prompts.decoder_start, *answer]])).logits[0]
    else:
        whole = torch.cat([before, embed(torch.tensor([answer]))], dim=1)
        logits = network(inputs_embeds=whole).logits[0, before.shape[1] - 1 :]
    return torch.log_softmax(logits[: len(answer)], dim=-1)[range(len(answer)), answer].tolist()


def test_info_tells_the_engine(backend: Any) -> None:
    engine = model_of(backend).engine
    assert backend.info.vocab_size == (3072 if backend.prompts.encoder_decoder else 4096)
    assert backend.info.max_model_len == engine.max_model_len
    assert backend.info.max_prompt_len == (engine.max_model_len if backend.prompts.encoder_decoder else None)
    assert backend.info.dtype == "float32"
    assert backend.info.runner == ("v1" if backend.info.name == "vllm" and backend.info.device == "cpu" else backend.info.runner)


def test_completions_come_in_the_order_of_requests(backend: Any) -> None:
    requests = [ask(PROMPTS[i % 4], seed=i, temperature=1.0, max_tokens=1 + i % 7) for i in range(20)]
    completions = backend.generate(requests)
    assert [each.key for each in completions] == [each.key for each in requests]
    for request, completion in zip(requests, completions, strict=True):
        assert 1 <= len(completion.token_ids) <= request.sampling.max_tokens
        assert completion.num_prompt_tokens == len(backend.prompts.encode(request.messages))


def test_a_seed_gives_the_same_text_in_any_batch(backend: Any) -> None:
    requests = [ask(PROMPTS[i % 4], seed=i, temperature=1.0, top_p=0.95, max_tokens=10) for i in range(24)]
    together = texts(backend, requests)
    alone = [texts(backend, [request])[0] for request in requests[:3]]
    assert alone == together[:3]
    assert texts(backend, requests[::-1])[::-1] == together
    assert len(set(together)) > 12  # and different seeds give different texts


def test_stop_string_ends_the_text_and_is_cut(backend: Any) -> None:
    free = backend.generate([ask(PROMPTS[0], max_tokens=30)])[0]
    stopped = backend.generate([ask(PROMPTS[0], max_tokens=30, stop=('"',))])[0]
    assert stopped.finish_reason == "stop"
    assert '"' not in stopped.text
    assert free.text.startswith(stopped.text)


def test_max_tokens_gives_finish_reason_length(backend: Any) -> None:
    completion = backend.generate([ask(PROMPTS[0], max_tokens=2, ignore_eos=True)])[0]
    assert (completion.finish_reason, len(completion.token_ids)) == ("length", 2)


def test_a_prompt_too_long_is_an_error_of_its_own(backend: Any) -> None:
    good = texts(backend, [ask(PROMPTS[0])])[0]
    completions = backend.generate([ask(PROMPTS[0]), ask("word " * 1500, seed=9), ask(PROMPTS[0])])
    assert [each.finish_reason for each in completions][1] == "error"
    limit = f"max_prompt_len {backend.info.max_prompt_len}" if backend.prompts.encoder_decoder else "max_model_len 1024"
    assert completions[1].error is not None
    assert completions[1].error.kind == "prompt_too_long"
    assert limit in completions[1].error.message
    assert completions[0].text == completions[2].text == good


def test_logprob_is_the_models_own_under_temperature_and_suppression(backend: Any) -> None:
    bias = np.zeros(backend.info.vocab_size, dtype=np.float32)
    bias[:2000] = -3.0
    (digest,) = suppress(backend, bias)
    requests = [ask(PROMPTS[i], seed=i, temperature=0.8, bias=digest) for i in range(2)]
    for request, completion in zip(requests, backend.generate(requests, logprobs=True), strict=True):
        expected = sum(forward_logprobs(backend, backend.prompts.encode(request.messages), completion.token_ids))
        assert completion.logprob == pytest.approx(expected, abs=0.02)


def test_soft_prompts_stand_before_the_prompt(backend: Any, tmp_path: Path) -> None:
    """Some requests have one, of their own length; that of a request does not reach the others."""
    embeddings = plain_network(model_of(backend).path, backend.prompts.encoder_decoder).get_input_embeddings().weight.detach()
    plain = [ask(PROMPTS[i % 4], seed=i) for i in range(6)]
    generator = torch.Generator().manual_seed(0)
    drawn = [embeddings[torch.randint(len(embeddings), (length,), generator=generator)] for length in (1, 20, 5, 20)]
    prefixes = [*drawn[:3], None, drawn[3], None]
    named = write_soft(tmp_path / "soft", {str(i): prefix for i, prefix in enumerate(prefixes) if prefix is not None})
    requests = [dataclasses.replace(request, soft=named.get(str(i))) for i, request in enumerate(plain)]
    if backend.info.name == "vllm" and not backend.prompts.encoder_decoder:
        with pytest.raises(BackendError, match=r"soft prompts: .* use engine.backend: transformers"):
            backend.generate(requests)
        return
    before = backend.usage
    completions = backend.generate(requests, logprobs=True)
    for request, completion, prefix in zip(requests, completions, prefixes, strict=True):
        prompt = backend.prompts.encode(request.messages)
        assert completion.num_prompt_tokens == len(prompt) + (0 if prefix is None else len(prefix))
        expected = sum(forward_logprobs(backend, prompt, completion.token_ids, prefix))
        assert completion.logprob == pytest.approx(expected, abs=0.02)
    assert (backend.usage - before).prompt_tokens == sum(each.num_prompt_tokens for each in completions)
    before = backend.usage
    (narrow,) = write_soft(tmp_path / "narrow", {"narrow": torch.zeros(2, 7)}).values()
    with pytest.raises(BackendError, match=r"soft prompt of request .* got \[2, 7\] of F32, expected \[p, "):
        backend.generate([*requests, dataclasses.replace(plain[0], soft=narrow)])
    assert backend.usage == before  # nothing was sent
    assert texts(backend, plain[:1])


def against(backend: Any, tokens: Sequence[int]) -> np.ndarray:
    bias = np.zeros(backend.info.vocab_size, dtype=np.float32)
    bias[list(tokens)] = -100.0
    return bias


def test_a_row_reaches_only_the_requests_made_under_it(backend: Any) -> None:
    """A group is whose tokens are counted together, and suppresses nothing by itself."""
    plain = backend.generate([ask(PROMPTS[0])])[0]
    (digest,) = suppress(backend, against(backend, plain.token_ids))
    grouped = dataclasses.replace(ask(PROMPTS[0]), group="joy")
    suppressed, other, none = backend.generate([ask(PROMPTS[0], bias=digest), grouped, ask(PROMPTS[0])])
    assert not set(plain.token_ids) & set(suppressed.token_ids)
    assert other.text == none.text == plain.text


def test_rows_are_added_and_those_no_longer_named_given_up(backend: Any) -> None:
    plain = backend.generate([ask(PROMPTS[0])])[0]
    biases = [against(backend, plain.token_ids[:1]), against(backend, plain.token_ids)]
    alone = [texts(backend, [ask(PROMPTS[0], bias=digest)]) for bias in biases for digest in suppress(backend, bias)]
    assert alone[0] != alone[1]
    for place in (0, 1):
        (digest,) = suppress(backend, biases[place])
        both = suppress(backend, *biases)
        assert both[place] == digest
        assert [texts(backend, [ask(PROMPTS[0], bias=each)]) for each in both] == alone
    suppress(backend, biases[1])
    before = backend.usage
    with pytest.raises(BackendError, match=f"made under suppression row {both[0]}, which the engine does not hold .* set_rows"):
        backend.generate([ask(PROMPTS[0]), ask(PROMPTS[0], bias=both[0])])
    assert backend.usage == before  # nothing was sent
    assert texts(backend, [ask(PROMPTS[0], bias=both[1])]) == alone[1]


def test_rows_set_while_requests_run_leave_theirs_alone(backend: Any) -> None:
    """More requests than an engine runs at once; each time some finish, all rows but those of the requests are others."""
    plain = backend.generate([ask(prompt, seed=1) for prompt in PROMPTS])
    digests = suppress(backend, *(against(backend, each.token_ids[:2]) for each in plain))
    requests = [ask(PROMPTS[i % 4], seed=i, bias=digests[i % 3], max_tokens=4 + i % 9, ignore_eos=True) for i in range(80)]
    expected = texts(backend, requests)
    told: list[int] = []

    def disturb(count: int) -> None:
        told.append(count)
        suppress(backend, *(against(backend, range(100 + len(told) + i, backend.info.vocab_size)) for i in range(len(told) % 7)))

    assert [each.text for each in backend.generate(requests, on_progress=disturb)] == expected
    assert len(told) > 4
    backend.set_rows({})
    with pytest.raises(BackendError, match="does not hold"):  # those rows were theirs only until they were done
        backend.generate(requests[:1])


def test_score_equals_a_forward_pass(backend: Any) -> None:
    choices = [" card arrival", " card arrival late", " card", " exchange rate", " pin blocked"]
    prompt = (Message("user", 'Message to a bank\'s customer support: "where is my card"\nCategory:'),)
    scores = backend.score([prompt, prompt], choices)
    assert scores.shape == (2, 5)
    np.testing.assert_allclose(scores[0], scores[1], atol=1e-4)
    tokenizer = backend.prompts.tokenizer
    for choice, score in zip(choices, scores[0], strict=True):
        rest = tokenizer.encode(choice, add_special_tokens=False)
        if any(other != choice and other.startswith(choice) for other in choices):
            rest = [*rest, tokenizer.eos_token_id]  # " card" as a whole label, not as the beginning of another
        expected = sum(forward_logprobs(backend, tuple(tokenizer.encode(prompt[0].content)), rest))
        assert score == pytest.approx(expected, abs=0.02)


def test_constrained_scores_are_probabilities_over_the_choices(backend: Any) -> None:
    scores = backend.score(
        [(Message("user", PROMPTS[0]),), (Message("user", PROMPTS[1]),)], [" card arrival", " card", " exchange rate"], constrained=True
    )
    np.testing.assert_allclose(np.exp(scores).sum(axis=1), 1.0, atol=1e-5)


def classify(text: str) -> tuple[Message, ...]:
    return (Message("user", f'Message to a bank\'s customer support: "{text}"\nCategory:'),)


BANK = [" card arrival", " card linking", " card swallowed", " exchange rate", " exchange via app", " pin blocked", " top up failed"]


def test_each_prompt_can_have_choices_of_its_own(backend: Any) -> None:
    prompts = [classify("what is the exchange rate of today"), classify("the machine swallowed my card"), classify("i was charged twice")]
    choices = [BANK, BANK[:3], [" yes", " no"]]
    told: list[int] = []
    rows = backend.score_each(prompts, choices, constrained=True, on_progress=told.append)
    assert sum(told) == 3
    assert [len(row) for row in rows] == [7, 3, 2]
    for prompt, names, row in zip(prompts, choices, rows, strict=True):
        np.testing.assert_allclose(row, backend.score([prompt], names, constrained=True)[0], atol=1e-3)
        np.testing.assert_allclose(np.exp(row).sum(), 1.0, atol=1e-5)
    if not backend.prompts.encoder_decoder:
        assert [BANK[row.argmax()] for row in rows[:2]] == [" exchange rate", " card swallowed"]


def test_pruned_scores_keep_the_best_and_the_probable(backend: Any) -> None:
    prompts = [classify(text) for text in ("my card is lost", "what is the rate today", "the machine kept it", "my transfer is late")]
    exact = np.array(backend.score_each(prompts, [BANK] * 4, constrained=True))
    for prune in (0.05, 1.0):
        pruned = np.array(backend.score_each(prompts, [BANK] * 4, constrained=True, prune=prune))
        np.testing.assert_allclose(np.exp(pruned).sum(axis=1), 1.0, atol=1e-5)
        assert (pruned.argmax(axis=1) == exact.argmax(axis=1)).all()
        sure = (np.exp(exact) >= prune) | (exact == exact.max(axis=1, keepdims=True))
        np.testing.assert_allclose(pruned[sure], exact[sure], atol=1e-3)


def test_more_choices_than_vllm_scores_at_once(backend: Any) -> None:
    """170 labels with different first tokens: vLLM takes 128 tokens a request."""
    tokenizer = backend.prompts.tokenizer
    words = [tokenizer.decode([token]) for token in range(600, 1200)]
    choices = [word for word in words if word.startswith(" ") and word.strip().isalpha()][:170]
    assert len(choices) == 170
    row = backend.score([classify("my card")], choices)[0]
    for part in (choices[:85], choices[85:]):
        np.testing.assert_allclose(row[[choices.index(each) for each in part]], backend.score([classify("my card")], part)[0], atol=1e-3)
    np.testing.assert_allclose(np.exp(backend.score([classify("my card")], choices, constrained=True)).sum(), 1.0, atol=1e-4)


def test_usage_counts_what_the_engine_ran(backend: Any) -> None:
    start = backend.usage
    completions = backend.generate([ask(prompt, seed=i, ignore_eos=True, max_tokens=3) for i, prompt in enumerate(PROMPTS)])
    generated = backend.usage - start
    assert (generated.requests, generated.generated_tokens) == (4, 12)
    assert generated.prompt_tokens == sum(each.num_prompt_tokens for each in completions)
    assert generated.cached_tokens == sum(each.num_cached_tokens for each in completions)
    prompts = [classify("where is my card"), classify("a refund please")]
    middle = backend.usage
    backend.score(prompts, [" yes", " no"])  # different first tokens, one token each: one request a prompt
    scored = backend.usage - middle
    assert (scored.requests, scored.generated_tokens) == (2, 2)
    assert scored.prompt_tokens == sum(len(backend.prompts.encode(each)) for each in prompts)
    assert backend.usage - start == generated + scored
    before = backend.usage
    backend.generate([ask("word " * 1500)])
    assert backend.usage == before  # what was not run is not counted


def test_a_shared_beginning_is_found_in_the_cache(nano_vllm: Any) -> None:
    """20 prompts of one beginning of n tokens, in blocks of 32: all but the first find its whole blocks."""
    block = "Categories:\n" + "".join(f"- number {i}: Asks for the number {i} and for nothing else.\n" for i in range(20))
    prompts = [(Message("user", f'{block}Question: "what about {i}?"\nCategory:'),) for i in range(20)]
    shared = len(nano_vllm.prompts.encode((Message("user", f'{block}Question: "what about'),)))
    for _ in range(2):  # a call finds nothing of the one before: its cache starts empty
        before = nano_vllm.usage
        nano_vllm.score(prompts, [" yes", " no"])
        used = nano_vllm.usage - before
        assert used.cached_tokens == 19 * (shared // 32) * 32
        assert used.hit_rate == used.cached_tokens / used.prompt_tokens


def test_penalties_and_truncation_change_what_they_should(backend: Any) -> None:
    free = backend.generate([ask(PROMPTS[2], max_tokens=40, ignore_eos=True)])[0]
    penalised = backend.generate([ask(PROMPTS[2], max_tokens=40, ignore_eos=True, frequency_penalty=2.0)])[0]
    assert len(set(penalised.token_ids)) > len(set(free.token_ids))
    greedy = texts(backend, [ask(PROMPTS[0])])
    for narrow in ({"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}):
        assert texts(backend, [ask(PROMPTS[0], temperature=1.3, **narrow)]) == greedy


@pytest.mark.parametrize("names", [("nano_vllm", "nano_transformers"), ("nano_t5_vllm", "nano_t5_transformers")], ids=["llama", "t5"])
def test_greedy_text_is_equal_between_the_engines(names: tuple[str, str], request: pytest.FixtureRequest) -> None:
    engines = [request.getfixturevalue(name) for name in names]
    rng = np.random.default_rng(0)
    bias = np.minimum(0, rng.normal(-1.0, 2.0, size=engines[0].info.vocab_size)).astype(np.float32)
    requests = [
        ask(prompt, seed=i, max_tokens=24, bias=digest, **penalty)
        for i, prompt in enumerate(PROMPTS)
        for digest in ("", as_row(bias).digest)
        for penalty in ({}, {"frequency_penalty": 0.5, "presence_penalty": 0.25})
    ]
    results = []
    for engine in engines:
        suppress(engine, bias)
        results.append([(each.text, each.finish_reason, each.token_ids) for each in engine.generate(requests)])
    assert results[0] == results[1]
    assert results[0][0] != results[0][2]  # the bias did something


def test_bias_after_temperature_is_scaled_by_it(nano_transformers: Any) -> None:
    """logits / T + bias == (logits + T * bias) / T: with scale T, the draw equals one from a bias of T times the size."""
    bias = np.linspace(-2, 0, 4096, dtype=np.float32)
    once, twice = suppress(nano_transformers, bias, 2 * bias)
    request = ask(PROMPTS[0], temperature=2.0, bias=once, suppression_scale=2.0)
    doubled = dataclasses.replace(request, bias=twice, sampling=dataclasses.replace(request.sampling, suppression_scale=1.0))
    assert texts(nano_transformers, [request]) == texts(nano_transformers, [doubled])
