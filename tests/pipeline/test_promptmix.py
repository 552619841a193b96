"""Whole runs of promptmix on the fake engine: several texts an answer, facts of every record, resume after a kill, no test text in a prompt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.processes import run_script
from tests.support.quiz import LABELS, make_quiz, quiz_engine
from variegate.errors import UsageError
from variegate.pipeline.generate import generate
from variegate.pipeline.preview import preview
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify

Run = Callable[..., Any]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def made(run: Run, tmp_path: Path) -> tuple[Any, Any, Path]:
    summary, engine = run(make_quiz(tmp_path / "run", tmp_path / "data"), backend=quiz_engine())
    return summary, engine, tmp_path / "run"


def test_a_run_reaches_its_target_by_several_texts_an_answer(made: tuple[Any, Any, Path]) -> None:
    summary, engine, folder = made
    records, dropped = (lines(folder / name) for name in ("records.jsonl", "dropped.jsonl"))
    assert Counter(record["label"] for record in records) == dict.fromkeys(LABELS, 9)
    assert len(engine.asked) == summary.requested < summary.kept
    assert set(summary.dropped) >= {"empty", "copy_of_example", "surplus"}
    ledger = json.loads((folder / "manifest.json").read_text())["ledger"]
    assert ledger["items"] == len(records) + len(dropped)
    assert max(Counter(record["id"].split(".")[0] for record in records).values()) == 3
    assert verify(RunFolder(folder)).ok


def test_every_record_knows_its_share_partner_and_group(made: tuple[Any, Any, Path]) -> None:
    _, engine, folder = made
    asked = {request.key: request for request in engine.asked}
    for record in lines(folder / "records.jsonl"):
        facts, request = record["origin"]["facts"], asked[record["id"].split(".")[0]]
        assert facts == request.facts
        assert 0.5 <= facts["alpha"] <= 1
        assert facts["partner"] in facts["group"]
        assert record["label"] in facts["group"]
        title = facts["partner"]
        percent = round(100 * facts["alpha"])
        assert f'{percent}% "{record["label"]}"' in request.prompt
        assert percent == 100 or f'{100 - percent}% "{title}"' in request.prompt
        assert record["origin"]["parents"] == list(request.parents)


@pytest.mark.slow
def test_resumed_after_a_kill_at_any_file_operation_it_ends_the_same(tmp_path: Path) -> None:
    found = run_script(Path(__file__).with_name("promptmix_crash_script.py"), tmp_path, timeout=600)
    assert found["different"] == []
    assert found["killed"] > 8


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 10_000),
    variant=st.sampled_from(["mix", "examples", "pairs", "one_class"]),
    shots=st.integers(1, 4),
    group_size=st.integers(2, 6),
)
def test_no_held_out_text_stands_in_any_prompt(tmp_path_factory: Any, seed: int, variant: str, shots: int, group_size: int) -> None:
    """Of the train file some texts stand in the test file too: they are left out of the draw."""
    folder = tmp_path_factory.mktemp("run")
    config = make_quiz(folder / "run", folder / "data", 3, variant=variant, shots=shots, group_size=group_size)
    engine = quiz_engine(lent=True)
    generate(config.model_copy(update={"seed": seed}), start=lambda _: engine)
    held_out = {row["text"] for split in ("dev", "test") for row in lines(folder / "data" / f"{split}.jsonl")}
    assert engine.asked
    assert not any(text in request.prompt for request in engine.asked for text in held_out)
    seeds = lines(folder / "run" / "seeds" / "rows.jsonl")
    assert Counter(row["label"] for row in seeds) == dict.fromkeys(LABELS, shots)
    assert not held_out & {row["fields"]["text"] for row in seeds}
    known = {row["id"] for row in seeds}
    parents = [record["origin"]["parents"] for record in lines(folder / "run" / "records.jsonl")]
    assert all(each and set(each) <= known for each in parents)


def test_a_changed_grid_reuses_what_has_the_same_prompt(run: Run, tmp_path: Path) -> None:
    first, _ = run(make_quiz(tmp_path / "run", tmp_path / "data", alphas=[0.6, 0.8]), backend=quiz_engine())
    again, engine = run(make_quiz(tmp_path / "run", tmp_path / "data", alphas=[0.6, 0.9]), backend=quiz_engine())
    assert again.reused > 0
    assert {request.facts["alpha"] for request in engine.asked} == {0.9}
    back, engine = run(make_quiz(tmp_path / "run", tmp_path / "data", alphas=[0.6, 0.8]), backend=quiz_engine())
    assert not engine.asked
    assert back.kept == first.kept


def test_too_few_examples_are_an_error_before_an_engine_starts(tmp_path: Path) -> None:
    config = make_quiz(tmp_path / "run", tmp_path / "data", shots=7)

    def start(_: Any) -> Any:
        raise AssertionError("started")

    with pytest.raises(UsageError, match=r"label 'apple' has 6 real examples, and promptmix shows 7 of each class"):
        generate(config, start=start)


def test_prompts_that_no_model_has_room_for_are_an_error_before_an_engine_starts(tmp_path: Path) -> None:
    config = make_quiz(tmp_path / "run", tmp_path / "data")
    config = config.model_copy(update={"decoding": config.decoding.model_copy(update={"max_tokens": 1000})})
    for attempt in (lambda: generate(config), lambda: preview(config, 1)):
        with pytest.raises(
            UsageError, match=r"'nano-llama' has room for none of the \d+ prompts \(prompt of \d+ tokens \+ max_tokens 1000"
        ):
            attempt()
