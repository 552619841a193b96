from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config import ModelConfig
from variegate.errors import UsageError
from variegate.inference.backend import Usage, check_model_path, too_long, unserved
from variegate.inference.start import start_backend
from variegate.records import Fault, Message, Request, Sampling

REQUEST = Request((Message("user", "x"),), Sampling(), key="k")


def test_model_paths(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"model 'm': .*empty holds no config\.json"):
        check_model_path(ModelConfig(name="m", path=str(tmp_path / "empty")))
    (tmp_path / "empty" / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="holds no weights"):
        check_model_path(ModelConfig(name="m", path=str(tmp_path / "empty")))
    check_model_path(ModelConfig(name="m", path=str(tmp_path / "empty"), engine={"load_format": "dummy"}))


@pytest.mark.parametrize("path", ["/nowhere/model", "./x/y", "~/models", "no-slash", "a/b/c", "../x"])
def test_a_folder_that_is_not_there(path: str) -> None:
    with pytest.raises(UsageError, match="no folder"):
        check_model_path(ModelConfig(name="m", path=path))
    with pytest.raises(UsageError, match="no folder"):
        start_backend(ModelConfig(name="m", path=path))  # before any engine is imported


@pytest.mark.parametrize(("prompt", "new", "limit", "fits"), [(6, 4, 10, True), (7, 4, 10, False), (0, 10, 10, True), (1, 10, 10, False)])
def test_too_long(prompt: int, new: int, limit: int, fits: bool) -> None:
    reason = too_long(prompt, new, limit)
    assert (reason is None) is fits
    assert fits or all(str(number) in str(reason) for number in (prompt, new, limit))


@pytest.mark.parametrize(
    ("prompt", "new", "why"),
    [
        (20, 9, None),
        (21, 9, "prompt of 21 tokens > max_prompt_len 20"),
        (20, 10, "decoder start 1 + max_tokens 10 > max_model_len 10"),
        (0, 10, "decoder start 1 + max_tokens 10 > max_model_len 10"),
    ],
)
def test_too_long_for_an_encoder_or_a_decoder(prompt: int, new: int, why: str | None) -> None:
    reason = too_long(prompt, new, 10, 20)
    assert reason is why is None or str(why) in str(reason)


def test_every_reason_is_one_that_the_ledger_knows() -> None:
    reasons = [too_long(9, 9, 10), too_long(21, 1, 10, 20), too_long(1, 10, 10, 20)]
    completions = [unserved(REQUEST, 0, str(reason)) for reason in reasons]
    assert [each.error and each.error.kind for each in completions] == ["prompt_too_long"] * 3


def test_unserved() -> None:
    completion = unserved(REQUEST, 5, "why")
    assert (completion.key, completion.text, completion.finish_reason, completion.num_prompt_tokens, completion.error) == (
        "k",
        "",
        "error",
        5,
        Fault("prompt_too_long", "why"),
    )


def test_usage_adds_up() -> None:
    first, second = Usage(1, 100, 60, 3), Usage(2, 50, 0, 5)
    assert first + second == Usage(3, 150, 60, 8)
    assert first + second - first == second
    assert (first.hit_rate, Usage().hit_rate) == (0.6, None)
