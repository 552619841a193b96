"""A plan says what the run then does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from variegate.config import ModelConfig
from variegate.errors import UsageError
from variegate.inference.tokenization import load_tokenizer
from variegate.pipeline.plan import make_plan
from variegate.store.run_folder import RunFolder

Run = Callable[..., Any]


def test_an_empty_folder(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", **variant)
    plan = make_plan(config)
    assert not (tmp_path / "r").exists()  # a plan writes nothing
    _, backend = run(config)
    assert (plan.labels, plan.target, plan.kept, plan.reusable) == (3, 36, 0, 0)
    whole = [request for request in backend.asked if request.round == 0]
    assert plan.next_round == len(whole)
    texts_an_answer = 3 if config.strategy.kind == "promptmix" else 1
    assert plan.max_requests == 180 / texts_an_answer
    tokenizer = load_tokenizer(config.model)
    lengths = [len(tokenizer(request.prompt).input_ids) for request in whole]
    assert (plan.prompt_tokens_max, plan.prompt_tokens_mean) == (max(lengths), sum(lengths) / len(lengths))
    assert [sample["messages"][0]["content"] for sample in plan.samples] == [
        next(request.prompt for request in whole if request.target.name == label)
        for label in sorted({request.target.name for request in whole})[:2]
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


@pytest.mark.parametrize(
    ("parts", "blocks", "share"),
    [
        ({}, 1, 0.0),
        ({"decoding": {"suppression": {"group": "label"}}}, 2, 1 - 11 / 12),  # 32 shared by three labels
        ({"decoding": {"suppression": {}}, "rounds": {"first": 2}}, 4, 1 - 2 / 12),
        ({"strategy": {"kind": "few_shot", "seed_pool": 0}, "rounds": {"first": 3, "growth": 0}}, 4, 0.75),
        ({"strategy": {"history": 2, "chats_per_label": 4}}, 3, 1 - 4 / 12),
    ],
)
def test_what_share_will_be_made_under_feedback(
    config_of: Run, run: Run, tmp_path: Path, parts: dict[str, Any], blocks: int, share: float
) -> None:
    config = config_of(tmp_path / "r", **parts)
    plan = make_plan(config)
    assert (plan.blocks, plan.share_under_feedback) == (blocks, pytest.approx(share))
    summary, _ = run(config, clean=True)
    assert (summary.feedback["rounds"], summary.feedback["share"]) == (blocks, pytest.approx(share, abs=1e-4))


def test_refusals(config_of: Run, tmp_path: Path) -> None:
    plan = make_plan(config_of(tmp_path / "r", decoding={"max_tokens": 1020}))
    assert len(plan.refusals) == 1
    assert plan.refusals[0].startswith("36 of 36 prompts would be dropped as too long: prompt of ")
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


def test_what_a_change_sets_aside_is_said(config_of: Run, run: Run, tmp_path: Path) -> None:
    parts = {"strategy": {"kind": "few_shot", "seed_pool": 0, "num_examples": 2}, "rounds": {"first": 2}}
    run(config_of(tmp_path / "r", **parts), clean=True)
    rounds = RunFolder(tmp_path / "r").rounds()
    assert len(rounds) > 2
    plan = make_plan(config_of(tmp_path / "r", **parts))
    assert (plan.changes, plan.set_aside) == ([], 0)
    plan = make_plan(config_of(tmp_path / "r", 14, **parts))
    assert plan.changes == ["target.per_label: 12 -> 14"]
    for change in ({"decoding": {"temperature": 0.3}}, {"seed": 5}, {"strategy": {**parts["strategy"], "num_examples": 1}}):
        config = config_of(tmp_path / "r", **{**parts, **change})
        plan = make_plan(config)
        assert len(plan.changes) == 1
        before = {name: RunFolder(tmp_path / "r").round_hashes()[name] for name in rounds}
        assert len(RunFolder(tmp_path / "r").rounds()) == len(rounds)  # a plan moves nothing
        shutil.copytree(tmp_path / "r", tmp_path / "copy")
        run(config_of(tmp_path / "copy", **{**parts, **change}), clean=True)
        after = RunFolder(tmp_path / "copy").round_hashes()
        assert plan.set_aside == sum(after.get(name) != digest for name, digest in before.items())
        shutil.rmtree(tmp_path / "copy")


def test_a_damaged_run_file_is_said(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r"), clean=True)
    (tmp_path / "r" / "run.yaml").write_text("a: [1")
    plan = make_plan(config_of(tmp_path / "r"))
    assert plan.changes[0].startswith("run.yaml is damaged")
    assert (plan.set_aside, plan.next_round) == (0, 0)


@pytest.mark.slow
def test_the_time_is_measured_on_real_rows(config_of: Run, tmp_path: Path) -> None:
    plan = make_plan(config_of(tmp_path / "r", 4, decoding={"max_tokens": 4}, keep_unfinished=True), measure=8)
    found = plan.estimate
    assert found is not None
    assert (found.measured_rows, found.at_once) == (8, 12)
    assert 0 < found.seconds_per_row < 30
    assert found.start_seconds > 0
    assert found.seconds is None or found.seconds == pytest.approx(found.start_seconds + found.requests * found.seconds_per_row)
