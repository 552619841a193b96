"""A run whose first answers give nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine, Unserved
from variegate.config import RunConfig
from variegate.config.resources import asset
from variegate.errors import VariegateError
from variegate.pipeline.driver.nothing import NothingKeptError
from variegate.pipeline.generate import generate
from variegate.records import Completion, Request
from variegate.store.run_folder import RunFolder

Make = Callable[..., RunConfig]


def stopped(config: RunConfig, engine: FakeEngine) -> str:
    with pytest.raises(NothingKeptError) as caught:
        generate(config, start=lambda _: engine)
    assert caught.value.exit_code == 1
    return str(caught.value)


def cut_off(_: Request, completion: Completion) -> Completion:
    return Completion(completion.key, completion.text, completion.token_ids, "length", 3)


def unserved(*_: object) -> str:
    raise Unserved("the engine stopped")


@pytest.mark.parametrize(
    ("engine", "says"),
    [
        ({"write": lambda *_: "..."}, "36 empty (nothing was left"),
        ({"write": lambda *_: "..."}, "One answer, for apple: '...'. nano-llama ends any kind of text that it was not trained on"),
        ({"write": lambda *_: "..."}, "use a real model (--set model=smollm2-135m)"),
        ({"edit": cut_off, "clean": True}, "36 unfinished (max_tokens"),
        ({"edit": cut_off, "clean": True}, "--set decoding.max_tokens=200), or keep them as they are (--set keep_unfinished=true)"),
        ({"write": unserved}, "One answer, for apple: 'the engine stopped'. `variegate plan` shows"),
    ],
)
def test_the_commonest_reason_an_answer_and_the_next_step(config_of: Make, tmp_path: Path, engine: dict[str, Any], says: str) -> None:
    engine_made = FakeEngine(**engine)
    error = stopped(config_of(tmp_path / "run"), engine_made)
    assert "nothing is kept of the first 36 texts" in error
    assert says in error
    assert len(engine_made.calls) == 1  # no second round
    assert RunFolder(tmp_path / "run").rounds() == ["rounds/000000"]


@pytest.mark.parametrize("chat", [False, True])
def test_a_model_that_answers_may_be_a_chat_model(config_of: Make, tmp_path: Path, chat: bool) -> None:
    config = config_of(tmp_path / "run", model={"name": "own", "path": str(asset("nano-llama")), "chat": chat})
    error = stopped(config, FakeEngine(write=lambda *_: "", chat=chat))
    assert "The model own does not write such texts as it is asked: use another (--set model=...)" in error
    assert ("--set model.chat=true" in error) is not chat


def test_few_answers_are_no_proof_and_small_rounds_are_counted_together(config_of: Make, tmp_path: Path) -> None:
    empty = FakeEngine(write=lambda *_: "")
    small = config_of(tmp_path / "small", per_label=2, max_attempts=2)  # 12 requests at most: finished short, as ever
    assert sum(generate(small, start=lambda _: empty).shortfall.values()) == 6
    rounds = {"rounds": {"first": 3}, "strategy": {"form": "li", "history": 1, "chats_per_label": 3}}
    assert "the first 27 texts" in stopped(config_of(tmp_path / "rounds", **rounds), FakeEngine(write=lambda *_: ""))


def test_a_run_that_kept_something_goes_on(config_of: Make, tmp_path: Path) -> None:
    engine = FakeEngine(write=lambda request, rng: f"text {request.key}" if request.slot == 0 else "")
    try:
        summary = generate(config_of(tmp_path / "run"), start=lambda _: engine)
    except VariegateError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert summary.kept == 3


def test_the_stopped_run_goes_on_once_what_was_wrong_is_set(config_of: Make, tmp_path: Path) -> None:
    """Its answers are there: none is asked for again."""
    stopped(config_of(tmp_path / "run"), FakeEngine(edit=cut_off, clean=True))
    engine = FakeEngine(edit=cut_off, clean=True)
    summary = generate(config_of(tmp_path / "run", keep_unfinished=True), start=lambda _: engine)
    assert (summary.kept, summary.shortfall) == (36, {})
    assert not engine.calls
