from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config import ModelConfig
from variegate.errors import BackendError, UsageError
from variegate.inference.backend import Usage, check_model_path, too_long, unserved
from variegate.inference.start import start_backend
from variegate.records import Message, Request, Sampling


def test_model_paths(tmp_path: Path) -> None:
    check_model_path(ModelConfig(name="m", path="owner/name"))  # a hub id: only the engine can tell
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"model 'm': .*empty holds no config\.json"):
        check_model_path(ModelConfig(name="m", path=str(tmp_path / "empty")))
    (tmp_path / "empty" / "config.json").write_text("{}")
    check_model_path(ModelConfig(name="m", path=str(tmp_path / "empty")))


@pytest.mark.parametrize("path", ["/nowhere/model", "./x/y", "~/models", "no-slash", "a/b/c", "../x"])
def test_a_folder_that_is_not_there(path: str) -> None:
    with pytest.raises(UsageError, match="no folder"):
        check_model_path(ModelConfig(name="m", path=path))
    with pytest.raises(UsageError, match="no folder"):
        start_backend("vllm", ModelConfig(name="m", path=path))  # before any engine is imported


@pytest.mark.parametrize(("prompt", "new", "limit", "fits"), [(6, 4, 10, True), (7, 4, 10, False), (0, 10, 10, True), (1, 10, 10, False)])
def test_too_long(prompt: int, new: int, limit: int, fits: bool) -> None:
    reason = too_long(prompt, new, limit)
    assert (reason is None) is fits
    assert fits or all(str(number) in str(reason) for number in (prompt, new, limit))


def test_unserved() -> None:
    completion = unserved(Request("k", (Message("user", "x"),), Sampling(), 0, "l"), 5, "why")
    assert (completion.key, completion.text, completion.finish_reason, completion.num_prompt_tokens, completion.error) == (
        "k",
        "",
        "error",
        5,
        "why",
    )


def test_an_unknown_backend(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BackendError, match="expected 'vllm' or 'transformers'"):
        start_backend("llama.cpp", ModelConfig(name="m", path=str(tmp_path)))


def test_usage_adds_up() -> None:
    first, second = Usage(1, 100, 60, 3), Usage(2, 50, 0, 5)
    assert first + second == Usage(3, 150, 60, 8)
    assert first + second - first == second
    assert (first.hit_rate, Usage().hit_rate) == (0.6, None)
