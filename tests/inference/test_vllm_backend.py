"""What vllm_backend does beside the contract that it shares: test_backends.py has that."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from variegate.config import ModelConfig
from variegate.config.resources import asset
from variegate.errors import BackendError
from variegate.inference.choices import Descent
from variegate.inference.engine_output import EngineOutput
from variegate.inference.scoring import Question
from variegate.inference.tokenization import PromptEncoder
from variegate.inference.vllm_backend import MOST_ALLOWED_TOKENS, VllmBackend, _progress_bar
from variegate.records import Message, Request, Sampling


def test_progress_counts_finished_prompts_only() -> None:
    seen: list[int] = []
    bar_class: Any = _progress_bar(seen.append)
    list(bar_class([1, 2], desc="Rendering prompts"))
    bar_class(desc="Rendering prompts").update(5)
    bar = bar_class(total=3, desc="Processed prompts", dynamic_ncols=True, postfix="")
    bar.update(2)
    bar.update(1)
    assert (seen, bar.n) == ([2, 1], 3)
    assert _progress_bar(None) is False


def test_an_engine_that_dies_is_told_in_its_own_words() -> None:
    from vllm.v1.engine.exceptions import EngineDeadError

    backend = object.__new__(VllmBackend)  # without an engine
    backend._output = EngineOutput()
    with backend._output.hidden():
        os.write(2, b"(EngineCore pid=1) ERROR 11-30 10:00:00 [core.py:1] torch.OutOfMemoryError: no room\n")
    for error in (EngineDeadError(), ValueError("Too many logit bias tokens")):
        said = r"(?s)vLLM stopped in a batch: .*Run the same command again.*OutOfMemoryError: no room"
        with pytest.raises(BackendError, match=said), backend._explained("in a batch"):
            raise error


def test_a_start_is_told_in_steps(nano_t5_vllm: Any, nano_transformers: Any, start_steps: dict[str, list[str]]) -> None:
    """By what its process prints to descriptors 1 and 2: of an engine in this process pytest itself has caught that."""
    assert start_steps["vllm nano-t5"][:2] == ["importing", "loading the weights"]
    assert "profiling" in start_steps["vllm nano-t5"]
    assert start_steps["transformers nano-llama"] == ["importing", "loading the weights"]


def test_its_log_is_quiet_when_it_has_started(nano_vllm: Any) -> None:
    assert not logging.getLogger("vllm.v1.worker").isEnabledFor(logging.ERROR)
    assert "VLLM_LOGGING_LEVEL" not in os.environ


def test_a_chat_prompt_goes_through_the_engine(nano_vllm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the model's template, with all its turns: what comes back is what the same text gets as a plain prompt."""
    template = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
    for name in ("tokenizer.json", "config.json"):
        shutil.copy(asset("nano-llama") / name, tmp_path)
    settings = json.loads((asset("nano-llama") / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({**settings, "chat_template": template}))
    chat = PromptEncoder(ModelConfig(name="chatty", path=str(tmp_path), chat=True))
    turns = (Message("system", "You write."), Message("user", "Write."), Message("assistant", "One card."), Message("user", "Another."))
    rendered = "[system] You write.\n[user] Write.\n[assistant] One card.\n[user] Another.\n[assistant] "
    sampling = Sampling(temperature=0.0, max_tokens=12, ignore_eos=True)
    assert nano_vllm.prompts.encode((Message("user", rendered),)) == chat.encode(turns)
    (plain,) = nano_vllm.generate([Request((Message("user", rendered),), sampling, key="a", seed=1)])
    monkeypatch.setattr(nano_vllm, "prompts", chat)
    (answer,) = nano_vllm.generate([Request(turns, sampling, key="a", seed=1)])
    assert (answer.error, len(answer.token_ids), answer.num_prompt_tokens) == (None, 12, len(chat.encode(turns)))
    assert answer.token_ids == plain.token_ids
    (other,) = nano_vllm.generate([Request(turns[-1:], sampling, key="a", seed=1)])
    assert other.num_prompt_tokens < answer.num_prompt_tokens


@pytest.mark.slow
def test_a_cache_that_cannot_be_emptied_is_an_error(nano_vllm: Any) -> None:
    """A request under way holds blocks of it."""
    from vllm import SamplingParams

    engine = nano_vllm._llm.llm_engine
    engine.add_request("under way", {"prompt_token_ids": list(range(40, 120))}, SamplingParams(max_tokens=3, ignore_eos=True))
    engine.step()
    try:
        with pytest.raises(BackendError, match="did not empty its prefix cache"):
            nano_vllm.generate([Request((Message("user", "One"),), Sampling(max_tokens=1), key="a", seed=1)])
    finally:
        while engine.has_unfinished_requests():
            engine.step()


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "steps"), [(MOST_ALLOWED_TOKENS, 2), (MOST_ALLOWED_TOKENS + 1, 1)])
def test_a_descent_of_more_tokens_than_an_engine_takes_goes_in_single_steps(nano_vllm: Any, allowed: int, steps: int) -> None:
    tokens = (40, 41)
    descent = Descent(tokens, tuple(range(40, 40 + allowed)), (), 2)
    (found,) = nano_vllm._answer([[50, 51, 52]], [Question(0, (), tokens, descent)], lambda count: None)
    assert len(found) == steps
    assert set(found[0].logprobs) >= set(tokens)


def test_model_runner_v2_takes_that_many_allowed_tokens() -> None:
    logit_bias = pytest.importorskip("vllm.v1.worker.gpu.sample.logit_bias", reason="needs a vLLM with Model Runner V2")
    assert logit_bias.MAX_NUM_ALLOWED_TOKEN_IDS == MOST_ALLOWED_TOKENS
