"""What is the Transformers backend's own; the contract it shares with vLLM is in test_backends.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tests.support.soft import write_soft
from variegate.config import ModelConfig, load_model
from variegate.config.resources import asset
from variegate.errors import BackendError
from variegate.inference.soft_prompts import SoftPrompts
from variegate.inference.start import start_backend
from variegate.inference.transformers_backend import OutputPenalties, RepetitionPenalty, TransformersBackend
from variegate.records import Fault, Message, Request, Sampling


@pytest.fixture(scope="module")
def nano() -> Iterator[Any]:
    backend = start_backend(load_model("nano-llama", ["engine.backend=transformers", "engine.batch_size=100"]))
    yield backend
    backend.close()


def ask(text: str, seed: int = 0, **sampling: Any) -> Request:
    return Request((Message("user", text),), Sampling(**{"max_tokens": 10, **sampling}), key=f"{seed}", seed=seed)


def test_penalties_worked_by_hand() -> None:
    """Prompt [0, 1], produced [2, 2, 3]: frequency .5 and presence .25 take 1.25 from token 2, .75 from token 3, 0 from the rest."""
    scores = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    ids = torch.tensor([[0, 1, 2, 2, 3], [3, 3, 0, 0, 0]])
    out = OutputPenalties(2, 0.5, 0.25)(ids, scores)
    assert out.tolist() == [[1.0, 2.0, 1.75, 3.25], [-1.75, 0.0, 0.0, 0.0]]
    assert OutputPenalties(5, 0.5, 0.25)(ids, scores).tolist() == scores.tolist()  # nothing produced yet


def test_repetition_penalty_worked_by_hand() -> None:
    """Logits of tokens seen are halved, or doubled below 0; token 0 stands at padding's and a soft prompt's places."""
    real = torch.tensor([[False, True], [True, True]])
    ids = torch.tensor([[0, 1, 2, 2], [0, 1, 3, 3]])
    out = RepetitionPenalty(2.0, real)(ids, torch.tensor([[1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0]]))
    assert out.tolist() == [[1.0, 1.0, 1.5, 4.0], [-2.0, -4.0, -3.0, -8.0]]


@pytest.mark.slow
def test_drawn_first_tokens_follow_the_models_own_softmax(nano: Any) -> None:
    """The whole path: temperature, then the draw, on nano-llama's real logits."""
    prompt = 'Write a text message that covers the element below.\nElement: an unwanted advertisement\nText message: "'
    completions = nano.generate([ask(prompt, seed, temperature=0.8, max_tokens=1) for seed in range(400)])
    with torch.inference_mode():
        logits = nano._network.model(torch.tensor([nano.prompts.encode((Message("user", prompt),))])).logits[0, -1]
    expected = 400 * torch.softmax(logits / 0.8, 0).numpy().astype(float)
    counts = np.bincount([completion.token_ids[0] for completion in completions], minlength=4096)
    often = expected > 8
    seen, wanted = (np.append(each[often], each[~often].sum()) for each in (counts, expected))
    assert often.sum() >= 3
    assert chisquare(seen, wanted * seen.sum() / wanted.sum()).pvalue > 1e-3


def test_a_rows_text_does_not_depend_on_its_batch_mates(nano: Any) -> None:
    prompts = ["Category:", "Write a question that", 'Text message: "', "a " * 100]
    requests = [ask(prompts[n % 4], n, temperature=1.0, top_p=0.9 if n > 3 else 1.0, max_tokens=8) for n in range(8)]
    together = [(each.text, each.token_ids) for each in nano.generate(requests)]
    assert [(each.text, each.token_ids) for each in nano.generate(requests[::-1])][::-1] == together
    for place in (0, 6):
        (alone,) = nano.generate([requests[place]])
        assert (alone.text, alone.token_ids) == together[place]


def test_progress_sums_to_the_rows_served(nano: Any) -> None:
    counts: list[int] = []
    requests = [ask("a", n, max_tokens=1) for n in range(102)]
    nano.generate([*requests, ask("word " * 1100), ask("a", max_tokens=2)], on_progress=counts.append)
    assert counts == [100, 2, 1]


@pytest.mark.parametrize(
    "engine", [{"tensor_parallel_size": 2}, {"extra": {"swap_space": 1}}, {"quantization": "awq"}, {"load_format": "gguf"}]
)
def test_engine_arguments_it_cannot_keep_are_refused(engine: dict[str, Any]) -> None:
    model = ModelConfig.model_validate({"name": "n", "path": str(asset("nano-llama")), "engine": engine})
    with pytest.raises(BackendError, match=r"use engine\.backend: vllm"):
        TransformersBackend(model)


def test_a_damaged_model_is_a_backend_error(tmp_path: Path) -> None:
    shutil.copytree(asset("nano-llama"), tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00garbage")
    with pytest.raises(BackendError, match="could not load model 'm'"):
        TransformersBackend(ModelConfig(name="m", path=str(tmp_path / "m")))
    (tmp_path / "m" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "m" / "pytorch_model.bin")  # pickled weights are never read
    with pytest.raises(BackendError, match="could not load model 'm'"):
        TransformersBackend(ModelConfig(name="m", path=str(tmp_path / "m")))


def test_dummy_weights_and_a_shorter_context(tmp_path: Path) -> None:
    config = json.loads((asset("nano-llama") / "config.json").read_text())
    shutil.copytree(asset("nano-llama"), tmp_path / "m", ignore=shutil.ignore_patterns("*.safetensors"))
    model = {"name": "m", "path": str(tmp_path / "m"), "engine": {"load_format": "dummy", "max_model_len": 32, "dtype": "float32"}}
    backend = TransformersBackend(ModelConfig.model_validate(model))
    assert (backend.info.max_model_len, backend.info.vocab_size) == (32, config["vocab_size"])
    (completion,) = backend.generate([ask("Hello", max_tokens=3, ignore_eos=True)])
    assert len(completion.token_ids) == 3
    backend.close()


def test_scores_of_a_prompt_too_long_are_refused(nano: Any) -> None:
    with pytest.raises(BackendError, match=r"score: prompt 1: .*max_model_len 1024"):
        nano.score([(Message("user", "a"),), (Message("user", "word " * 1100),)], [" yes", " no"])


@pytest.fixture(scope="module")
def tiny_t5(make_tiny_t5: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = make_tiny_t5(tmp_path_factory.mktemp("models") / "t5")
    model = {"name": "t5", "path": str(folder), "engine": {"dtype": "float32", "max_model_len": 16, "batch_size": 2}}
    backend = TransformersBackend(ModelConfig.model_validate(model))
    yield backend
    backend.close()


def test_an_encoder_decoder_has_room_for_a_prompt_and_for_an_answer(tiny_t5: Any) -> None:
    assert (tiny_t5.info.max_prompt_len, tiny_t5.info.max_model_len, tiny_t5.info.vocab_size) == (16, 16, 1000)
    long = ask("be" * 15, max_tokens=15, ignore_eos=True)
    fits, prompt_long, answer_long = tiny_t5.generate([long, ask("be" * 16), ask("ar", max_tokens=16)])
    assert (fits.num_prompt_tokens, len(fits.token_ids), fits.finish_reason) == (16, 15, "length")
    assert (prompt_long.finish_reason, prompt_long.error) == ("error", Fault("prompt_too_long", "prompt of 17 tokens > max_prompt_len 16"))
    assert "decoder start 1 + max_tokens 16 > max_model_len 16" in answer_long.error.message
    with pytest.raises(BackendError, match=r"score: prompt 1: prompt of 17 tokens > max_prompt_len 16"):
        tiny_t5.score([(Message("user", "ar"),), (Message("user", "be" * 16),)], [" yes", " no"])


def test_soft_prompts_are_read_as_requests_are_sent(tiny_t5: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    plain = SoftPrompts.of
    monkeypatch.setattr(SoftPrompts, "of", lambda self, request: events.append(request.key) or plain(self, request))
    named = write_soft(tmp_path / "soft", {"short": torch.zeros(2, 96), "long": torch.zeros(15, 96)})
    requests = [replace(ask("arbe", n, max_tokens=2), soft=named["long" if n == 2 else "short"]) for n in range(5)]
    completions = tiny_t5.generate(requests, on_progress=events.append)
    assert events == ["0", "1", 2, "2", "3", 1, "4", 1]
    length = len(tiny_t5.prompts.encode(requests[0].messages))
    assert [each.num_prompt_tokens for each in completions] == [length + 2, length + 2, length + 15, length + 2, length + 2]
    assert completions[2].error.message == f"prompt of {length + 15} tokens > max_prompt_len 16"


def test_a_soft_prompt_of_another_width_is_refused(tiny_t5: Any, nano: Any, tmp_path: Path) -> None:
    (narrow,) = write_soft(tmp_path / "soft", {"narrow": torch.zeros(2, 64)}).values()
    for backend, width in ((tiny_t5, 96), (nano, 256)):
        with pytest.raises(BackendError, match=rf"soft prompt of request 0: .* got \[2, 64\] of F32, expected \[p, {width}\]"):
            backend.generate([replace(ask("a"), soft=narrow)])
