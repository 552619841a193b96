"""A model as the judge of tasks: what it sees, how its liking for a place is told from its judgement, and resume."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.engine import FakeEngine
from tests.support.progress import Heard
from variegate.config import TaskConfig, load_model
from variegate.errors import UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.metrics.bradley_terry import rank_tasks
from variegate.pipeline.subjectivity.judge import JudgeSettings, judge_tasks
from variegate.records import Message

NAMES = ("news", "irony", "spam")
WORTH = {"news": 2.0, "spam": 1.0, "irony": -3.0}  # how objective the scripted judge finds each


def judging(liking: float = 0.0, worth: Mapping[str, float] = WORTH, fail_at: int | None = None) -> Any:
    """An engine's log-odds of A: the worth of the task shown as A less that of B, and a liking for A."""

    def weigh(messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        (message,) = messages
        a, b = (next(name for name in NAMES if f"Task {letter}: Sort each {name} text" in message.content) for letter in "AB")
        return [liking + worth[a], worth[b]]

    return FakeEngine(weigh=weigh, fail_at=fail_at)


def prompts_of(judge: FakeEngine) -> list[str]:
    return [message.content for call in judge.scored for (message,) in call.prompts]


@pytest.fixture
def tasks(tmp_path: Path) -> list[TaskConfig]:
    out = []
    for name in NAMES:
        data = tmp_path / f"{name}.jsonl"
        data.write_text(
            "".join(
                json.dumps({"text": f'{name} "{label}" {k} ' + "x" * 400 * (k == 0), "label": label}) + "\n"
                for label in "pq"
                for k in range(20)
            )
        )
        labels = {label: {"title": f"title {label}", "phrase": label, "description": f"D {label}."} for label in "pq"}
        out.append(
            ClassificationTask.model_validate(
                {
                    "kind": "classification",
                    "name": name,
                    "text_type": f"{name} text",
                    "context": "c",
                    "labels": labels,
                    "data": {"train": str(data)},
                }
            )
        )
    return out


@pytest.fixture
def settings() -> JudgeSettings:
    return JudgeSettings(load_model("nano-llama"), chunk=2)


Start = Callable[[], Any]


def test_both_orders_show_the_same_instances(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    judge = judging()
    found = judge_tasks(tasks, settings, tmp_path / "v", start=lambda _: judge)  # type: ignore[arg-type, return-value]
    prompts = prompts_of(judge)
    assert {tuple(choices) for call in judge.scored for choices in call.choices} == {(" A", " B")}
    assert len(prompts) == 2 * 3 * 3
    assert len(judge.scored) == 5
    for first, turned in zip(prompts[::2], prompts[1::2], strict=True):
        a, b = first.split("Task A: ")[1].split("\n\n")[:2]
        assert turned.split("Task A: ")[1].split("\n\n")[:2] == [b.removeprefix("Task B: "), f"Task B: {a}"]
        assert first.endswith("The more objective task is task")
        assert first.count('\n- "') == 6
        assert all(len(line) < 340 for line in first.splitlines()[2:])
    assert "Sort each irony text into one of these categories: title p, title q." in prompts[0]
    assert " is title p" in prompts[0]  # an instance of each label
    assert " is title q" in prompts[0]
    assert len(set(prompts)) == len(prompts)  # other instances in each comparison
    assert found.tasks == ("irony", "news", "spam")


@pytest.mark.parametrize("liking", [0.0, 0.5, -20.0])
def test_a_liking_for_a_place_changes_no_vote(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path, liking: float) -> None:
    found = judge_tasks(tasks, settings, tmp_path / "v", start=lambda _: judging(liking))  # type: ignore[arg-type, return-value]
    assert found.votes == (("news", "irony"),) * 3 + (("spam", "irony"),) * 3 + (("news", "spam"),) * 3
    assert [each.task for each in rank_tasks(found.votes).tasks] == ["news", "spam", "irony"]
    bias = found.source["position_bias"]
    if liking == 0:
        assert bias == {"p_a": pytest.approx(0.5), "a_preferred": 0.5, "contradictions": 0}
    elif liking == 0.5:
        expected = np.mean([1 / (1 + np.exp(-(sign * gap + 0.5))) for gap in (5, 4, 1) for sign in (1, -1)])
        assert bias == {"p_a": pytest.approx(expected), "a_preferred": 0.5, "contradictions": 0}
    else:
        assert bias["p_a"] < 1e-6
        assert (bias["a_preferred"], bias["contradictions"]) == (0, 1)


def test_a_stopped_job_goes_on_and_ends_the_same(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    whole = judge_tasks(tasks, settings, tmp_path / "whole", start=lambda _: judging())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        judge_tasks(tasks, settings, tmp_path / "stopped", start=lambda _: judging(fail_at=3))  # type: ignore[arg-type, return-value]
    rest = judging()
    assert judge_tasks(tasks, settings, tmp_path / "stopped", start=lambda _: rest) == whole  # type: ignore[arg-type, return-value]
    assert len(rest.scored) == 3
    files = [
        {str(path.relative_to(tmp_path / name)): path.read_bytes() for path in (tmp_path / name).rglob("*.json*")}
        for name in ("whole", "stopped")
    ]
    assert files[0] == files[1]
    lines = (tmp_path / "whole" / "votes" / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"winner": winner, "loser": loser} for winner, loser in whole.votes]


def test_votes_of_a_smaller_model_do_not_pass_for_the_full_ones(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    full = settings.model
    small = full.model_copy(update={"engine": full.engine.model_copy(update={"quantization": "bitsandbytes"})})
    for model in (small, full):
        judge, progress = judging(), Heard()
        judge_tasks(tasks, replace(settings, model=model), tmp_path / "v", start=lambda _, judge=judge: judge, progress=progress)  # type: ignore[misc]
        assert len(judge.scored) == 5
    assert any("asked otherwise before (quantization was " in note for note in progress.notes)
    judge_tasks(tasks, replace(settings, model=small), tmp_path / "v", start=lambda _: pytest.fail("asked again"))


def test_without_instances_no_data_is_needed(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    bare = [task.model_copy(update={"data": None}) for task in tasks]
    judge = judging()
    judge_tasks(bare, JudgeSettings(load_model("nano-llama"), instances=0), tmp_path / "v", start=lambda _: judge)  # type: ignore[arg-type, return-value]
    assert "Instances" not in prompts_of(judge)[0]
    with pytest.raises(UsageError, match=r"task 'irony': names no data\.train, so it has no instances to show") as error:
        judge_tasks(bare[1:], settings, tmp_path / "w", start=lambda _: judging())  # type: ignore[arg-type]
    assert "--instances 0" in str(error.value)


def test_errors(tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    for given, said in (
        (tasks[:1], "news: a comparison needs two tasks"),
        ([tasks[0], tasks[0]], "task 'news' is given twice"),
        ([], "no task: a comparison"),
    ):
        with pytest.raises(UsageError, match=said):
            judge_tasks(given, settings, tmp_path / "v", start=lambda _: judging())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="nano-llama: finds both tasks of every pair equally likely"):
        judge_tasks(tasks, settings, tmp_path / "v", start=lambda _: judging(worth=dict.fromkeys(NAMES, 0.0)))  # type: ignore[arg-type, return-value]


@pytest.mark.slow
def test_a_real_engine(nano_vllm: Any, tasks: list[TaskConfig], settings: JudgeSettings, tmp_path: Path) -> None:
    """nano-llama was never asked such a thing: its votes mean nothing, and are finite and the same again."""
    found = judge_tasks(tasks, settings, tmp_path / "v", start=lambda _: nano_vllm)
    assert len(found.votes) == 9
    assert 0 < found.source["position_bias"]["p_a"] < 1
    assert judge_tasks(tasks, settings, tmp_path / "w", start=lambda _: nano_vllm).votes == found.votes
