"""A backend that writes by a script: texts drawn from the request's seed, so that the pipeline alone is under test."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from variegate.config import RunConfig
from variegate.config.resources import asset
from variegate.inference.backend import EngineInfo
from variegate.records import Completion, Request

LABELS = ("apple", "bread", "cheese")
WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u") for c in ("n", "t", "sk", "rm", "ll")]


class ScriptedBackend:
    """Text and tokens are a function of the request's seed and its group's bias, as with a real engine.

    clean: every text is unique and kept; otherwise a share is empty, unfinished, doubled or an engine error.
    fail_at: the call of `generate` that raises `error`, from 1.
    """

    info = EngineInfo("scripted", "1", "cpu", "", "float32", 1024, 4096)

    def __init__(self, *, clean: bool = False, fail_at: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.clean, self.fail_at, self.error = clean, fail_at, error
        self.calls: list[list[Request]] = []
        self.biases: list[dict[str, Any]] = []
        self._bias: dict[str, Any] = {}

    @property
    def asked(self) -> list[Request]:
        return [request for call in self.calls for request in call]

    def generate(self, requests: Sequence[Request], *, logprobs: bool = False, on_progress: Any = None) -> list[Completion]:
        self.calls.append(list(requests))
        if len(self.calls) == self.fail_at:
            raise self.error
        out = [self._answer(request, logprobs) for request in requests]
        if on_progress:
            on_progress(len(out))
        return out

    def _answer(self, request: Request, logprobs: bool) -> Completion:
        bias = self._bias.get(request.group or "")
        rng = random.Random(f"{request.seed} {hashlib.sha256(bias.tobytes()).hexdigest() if bias is not None else ''}")
        fate = 1.0 if self.clean else rng.random()
        words = rng.choices(WORDS if fate > 0.3 else WORDS[:2], k=12 if fate > 0.3 else 1)
        tokens = tuple(4 + WORDS.index(word) for word in words)
        if fate < 0.05:
            return Completion(request.key, "", (), "error", 7, error="the engine stopped")
        text, reason = (" ", "stop") if fate < 0.1 else (" ".join(words), "length" if fate < 0.15 else "stop")
        return Completion(request.key, text, tokens, reason, 7, logprob=-float(len(words)) if logprobs else None)

    def set_bias(self, bias: Mapping[str, Any]) -> None:
        self._bias = dict(bias)
        self.biases.append(self._bias)

    def close(self) -> None:
        pass


def make_config(output: Path, per_label: int = 12, *, labels: Sequence[str] = LABELS, **parts: Any) -> RunConfig:
    return RunConfig.model_validate(
        {
            "task": {
                "kind": "classification",
                "name": "food",
                "text_type": "menu",
                "context": "You run a kitchen.",
                "labels": {label: {"phrase": f"with {label}", "description": f"Names {label}."} for label in labels},
                **parts.pop("task", {}),
            },
            "model": {"name": "nano-llama", "path": str(asset("nano-llama"))},
            "strategy": {"kind": "zero_shot", "form": "li", "history": 0, "completions_per_call": 4, **parts.pop("strategy", {})},
            "target": {"per_label": per_label, "max_attempts": parts.pop("max_attempts", 5)},
            "rounds": {"min_requests": 12, **parts.pop("rounds", {})},
            "backend": "transformers",
            "output": str(output),
            **parts,
        }
    )


# The ways of making prompts and of feeding back that a resumed run has to stand up to.
VARIANTS: dict[str, dict[str, Any]] = {
    "zero_shot": {},
    "chung": {"strategy": {"form": "chung", "completions_per_call": 3}, "rounds": {"calls": 2}},
    "few_shot": {"strategy": {"kind": "few_shot", "form": "chung", "history": 0, "seed_pool": 0, "completions_per_call": 3}},
    "history": {"strategy": {"history": 2, "chats_per_label": 4}},
    "by_label": {"decoding": {"suppression": {"group": "label"}}},
    "by_run": {"decoding": {"suppression": {"group": "run", "top_k": None}}, "strategy": {"form": "chung"}},
}


@pytest.fixture
def scripted() -> type[ScriptedBackend]:
    return ScriptedBackend


@pytest.fixture
def config_of() -> Callable[..., RunConfig]:
    """`config_of(folder, per_label, strategy={...}, decoding={...})`"""
    return make_config


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> dict[str, Any]:
    return VARIANTS[request.param]


@pytest.fixture
def run() -> Callable[..., Any]:
    """`summary, backend = run(config, clean=True)`"""
    from variegate.pipeline.generate import generate

    def call(
        config: RunConfig, *, resume: str = "auto", backend: ScriptedBackend | None = None, **script: Any
    ) -> tuple[Any, ScriptedBackend]:
        engine = backend or ScriptedBackend(**script)
        return generate(config, resume=resume, start=lambda _: engine), engine  # type: ignore[arg-type]

    return call
