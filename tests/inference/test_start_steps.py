"""A start told in steps: vLLM's own lines, as 0.32 writes them on a CPU, the times of steps, and what helps where it is slow."""

from __future__ import annotations

import threading

import pytest

from tests.support.progress import Heard
from variegate.config import ModelConfig
from variegate.config.model import EngineConfig
from variegate.inference import start_steps
from variegate.inference.start_steps import StartSteps, hint_of, steps_in

LINES = (
    "INFO 12-01 13:27:37 [model.py:2152] Using max model len 1024",
    "INFO 12-01 13:27:47 [cpu_model_runner.py:68] Starting to load model /models/m...",
    "INFO 12-01 13:27:48 [default_loader.py:501] Loading weights took 0.05 seconds",
    "INFO 12-01 13:27:50 [cpu_model_runner.py:87] Warming up model for the compilation...",
    "INFO 12-01 13:28:46 [decorators.py:743] [backbone] saved AOT compiled function to /root/.cache/vllm",
    "INFO 12-01 13:28:49 [monitor.py:91] [backbone] Initial profiling/warmup run took 2.30 s",
    "INFO 12-01 13:28:56 [cpu_model_runner.py:91] Warming up done.",
    "INFO 12-01 13:28:57 [kv_cache_utils.py:2327] CPU KV cache size: 131,072 tokens",
)


def model(**engine: object) -> ModelConfig:
    return ModelConfig(name="m", path="m", engine=EngineConfig.model_validate(engine))


def test_vllms_lines_are_steps_each_told_once() -> None:
    told: list[str] = []
    read = steps_in(told.append)
    for line in (*LINES, LINES[1], LINES[3]):
        read(line)
    assert told == ["loading the weights", "compiling", "profiling"]


def test_steps_with_their_times(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, clock = Heard(), iter([0.0, 20.0, 20.4, 62.0, 70.0])
    monkeypatch.setattr(start_steps.time, "monotonic", lambda: next(clock))
    with StartSteps(model(), "starting vllm on m", heard) as steps:
        for step in ("importing", "loading the weights", "compiling", "profiling"):
            steps(step)
        assert steps.in_words() == " (importing 20 s, compiling 42 s, profiling 8 s)"
    stages = [stage for stage, *_ in heard.updates]
    assert stages == [
        "starting vllm on m",
        *(f"starting vllm on m: {step}" for step in ("importing", "loading the weights", "compiling", "profiling")),
    ]
    assert heard.notes == []


def test_a_slow_start_says_where_it_is_and_what_helps() -> None:
    heard, told = Heard(), threading.Event()
    heard.note = lambda text: (heard.notes.append(text), told.set())[0]  # type: ignore[method-assign, assignment, func-returns-value]
    with StartSteps(model(), "starting vllm on m", heard, slow_s=0.01) as steps:
        steps("compiling")
        assert told.wait(10)
    assert heard.notes[0].startswith("starting vllm on m: 0 s so far, now compiling. What was compiled once is kept")
    assert "`--set model.engine.enforce_eager=true` compiles nothing" in heard.notes[0]
    assert "a lower model.engine.max_model_len leaves less to profile" in heard.notes[0]


def test_what_is_set_already_is_no_hint() -> None:
    assert "enforce_eager" not in hint_of(model(enforce_eager=True))
    assert "max_model_len" in hint_of(model(enforce_eager=True))
    assert hint_of(model(backend="transformers")) == ""
