"""A plan says what the run then does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from variegate.config import ModelConfig
from variegate.errors import UsageError
from variegate.inference.tokenization import load_tokenizer
from variegate.pipeline.plan import make_plan

Run = Callable[..., Any]


def test_an_empty_folder(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", **variant)
    plan = make_plan(config)
    assert not (tmp_path / "r").exists()  # a plan writes nothing
    _, backend = run(config)
    assert (plan.labels, plan.target, plan.kept, plan.reusable) == (3, 36, 0, 0)
    assert plan.next_round == len(backend.calls[0])
    assert plan.max_requests == 180
    tokenizer = load_tokenizer(config.model)
    lengths = [len(tokenizer(request.prompt).input_ids) for request in backend.calls[0]]
    assert (plan.prompt_tokens_max, plan.prompt_tokens_mean) == (max(lengths), sum(lengths) / len(lengths))
    assert [sample["messages"][0]["content"] for sample in plan.samples] == [
        next(request.prompt for request in backend.calls[0] if request.label == label) for label in ("apple", "bread")
    ]
    assert (plan.refusals, plan.max_model_len) == ([], 1024)


def test_a_finished_and_a_changed_run(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r"), clean=True)
    plan = make_plan(config_of(tmp_path / "r"))
    assert (plan.kept, plan.reusable, plan.next_round, plan.prompt_tokens_max) == (36, 36, 0, 0)
    raised = config_of(tmp_path / "r", 14)
    plan = make_plan(raised)
    _, backend = run(raised, clean=True)
    assert plan.reusable == 36
    assert len(backend.asked) == 6
    assert plan.next_round == len(backend.asked)
    assert make_plan(config_of(tmp_path / "r", decoding={"temperature": 0.3})).reusable == 0


def test_refusals(config_of: Run, tmp_path: Path) -> None:
    plan = make_plan(config_of(tmp_path / "r", decoding={"max_tokens": 1020}))
    assert len(plan.refusals) == 1
    assert plan.refusals[0].startswith("12 of 12 prompts would be dropped as too long: prompt of ")
    with pytest.raises(UsageError, match="no folder"):
        make_plan(config_of(tmp_path / "r", model={"name": "m", "path": "/nowhere/m"}))


def test_an_encoder_decoders_prompts_need_no_room_for_answers(config_of: Run, make_tiny_t5: Run, tmp_path: Path) -> None:
    model: dict[str, Any] = {"name": "t5", "path": str(make_tiny_t5(tmp_path / "t5"))}
    plan = make_plan(config_of(tmp_path / "r", model=model, decoding={"max_tokens": 511}))
    assert (plan.refusals, plan.max_model_len) == ([], 512)
    encode = load_tokenizer(ModelConfig.model_validate(model)).encode
    assert encode(plan.samples[0]["messages"][0]["content"])[-1] == 1  # what the encoder reads ends in </s>
    longest = plan.prompt_tokens_max
    assert longest >= len(encode(plan.samples[0]["messages"][0]["content"]))
    plan = make_plan(config_of(tmp_path / "r", model=model, decoding={"max_tokens": 512}))
    assert "decoder start 1 + max_tokens 512 > max_model_len 512" in plan.refusals[0]
    plan = make_plan(config_of(tmp_path / "r", model={**model, "engine": {"max_model_len": longest - 1}}, decoding={"max_tokens": 4}))
    assert f"prompt of {longest} tokens > max_prompt_len {longest - 1}" in plan.refusals[0]


@pytest.mark.slow
def test_an_eta_is_measured_on_real_rows(config_of: Run, tmp_path: Path) -> None:
    plan = make_plan(config_of(tmp_path / "r", 4, decoding={"max_tokens": 4}), measure=8)
    assert plan.measured_rows == 8
    assert plan.seconds_per_row is not None
    assert 0 < plan.seconds_per_row < 30
    assert plan.eta_seconds == pytest.approx(12 * plan.seconds_per_row)
