"""What a changed configuration costs: only the rows that it changes."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from variegate.config.load import load_run, to_yaml
from variegate.config.run import RunConfig
from variegate.errors import Interrupted, UsageError
from variegate.pipeline.resume import changed_fields, config_digest
from variegate.records import Completion, Request
from variegate.store.run_folder import RunFolder

Run = Callable[..., Any]
BY_LABEL = {"decoding": {"suppression": {"group": "label"}}}


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]


def described(**other: str) -> dict[str, Any]:
    labels = ("apple", "bread", "cheese")
    return {"labels": {label: {"phrase": f"with {label}", "description": other.get(label, f"Names {label}.")} for label in labels}}


@pytest.mark.parametrize("parts", [{}, BY_LABEL], ids=["plain", "by_label"])
def test_a_changed_description_regenerates_its_labels_rows_alone(config_of: Run, run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    run(config_of(tmp_path / "r", **parts), clean=True)
    before = records(tmp_path / "r")
    summary, backend = run(config_of(tmp_path / "r", task=described(bread="Names rye bread."), **parts), clean=True)
    assert Counter(request.target.name for request in backend.asked) == {"bread": 12}
    assert summary.reused == 24
    assert summary.changes == ["task.labels.bread.description: 'Names bread.' -> 'Names rye bread.'"]
    after = records(tmp_path / "r")
    same = {record["id"] for record in before} & {record["id"] for record in after}
    assert {record["label"] for record in before if record["id"] in same} == {"apple", "cheese"}
    assert len(same) == 24


def test_back_to_the_old_description_costs_nothing(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r"))
    before = (tmp_path / "r" / "records.jsonl").read_bytes()
    run(config_of(tmp_path / "r", task=described(bread="Names rye bread.")))
    _, backend = run(config_of(tmp_path / "r"))
    assert all(request.slot < 60 for request in backend.asked)
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    "parts",
    [
        {"decoding": {"temperature": 0.7}},
        {"decoding": {"max_tokens": 50}},
        {"decoding": {"stop": ["."]}},
        {"seed": 1},
        {"strategy": {"form": "chung"}},
        {"task": {"context": "You run a bakery."}},
        {"model": {"name": "other", "path": "asset", "tokenizer": None, "engine": {"backend": "transformers", "dtype": "bfloat16"}}},
    ],
    ids=["temperature", "max_tokens", "stop", "seed", "form", "context", "dtype"],
)
def test_what_changes_every_text_reuses_nothing(config_of: Run, run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    from variegate.config.resources import asset

    run(config_of(tmp_path / "r"), clean=True)
    if "model" in parts:
        parts = {"model": {**parts["model"], "path": str(asset("nano-llama"))}}
    summary, backend = run(config_of(tmp_path / "r", **parts), clean=True)
    assert (summary.reused, len(backend.asked)) == (0, 36)


@pytest.mark.parametrize(
    "parts",
    [
        {"duplicates": {"near": None}},
        {"rounds": {"shard": 5}},
        {"model": {"name": "nano-llama", "path": "asset", "engine": {"backend": "transformers", "batch_size": 3}}},
        {"task": {"source": "here"}},
        {"max_attempts": 9},
        {"model": {"name": "renamed", "path": "asset", "engine": {"backend": "transformers"}}},
    ],
    ids=["near", "rounds", "batch", "source", "attempts", "name"],
)
def test_what_changes_no_text_reuses_everything(config_of: Run, run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    from variegate.config.resources import asset

    run(config_of(tmp_path / "r"), clean=True)
    texts = {record["text"] for record in records(tmp_path / "r")}
    if "model" in parts:
        parts = {"model": {**parts["model"], "path": str(asset("nano-llama"))}}
    summary, backend = run(config_of(tmp_path / "r", **parts), clean=True)
    assert backend.asked == []
    assert summary.kept == 36
    assert {record["text"] for record in records(tmp_path / "r")} == texts
    assert summary.changes != []


def test_suppression_switched_on_reuses_the_first_round_alone(config_of: Run, run: Run, tmp_path: Path) -> None:
    """Nothing is suppressed yet in the first block (4 texts of each label); from the second on every text may differ."""
    fours = {"rounds": {"first": 4}}
    run(config_of(tmp_path / "r", **fours), clean=True)
    summary, backend = run(config_of(tmp_path / "r", **BY_LABEL, **fours), clean=True)
    assert (summary.reused, len(backend.asked)) == (12, 24)
    assert min(request.slot for request in backend.asked) == 4
    summary, _ = run(config_of(tmp_path / "r", decoding={"suppression": {"group": "label", "scale": -1.0}}, **fours), clean=True)
    assert summary.reused == 12


def test_a_raised_target_keeps_all_and_a_lowered_one_generates_nothing(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r", 12), clean=True)
    small = records(tmp_path / "r")
    summary, backend = run(config_of(tmp_path / "r", 20), clean=True)
    assert (summary.kept, len(backend.asked)) == (60, 24)
    ids = [record["id"] for record in records(tmp_path / "r")]
    assert {record["id"] for record in small} < set(ids)
    assert len(ids) == len(set(ids)) == 60
    _, backend = run(config_of(tmp_path / "r", 12), clean=True)
    assert backend.asked == []
    assert records(tmp_path / "r") == small


def test_another_near_threshold_judges_anew_without_generating(config_of: Run, run: Run, tmp_path: Path) -> None:
    def alike(request: Request, completion: Completion) -> Completion:
        """Two of three texts share 16 of their 18 words."""
        stem = " ".join(f"{request.target.name}{n}" for n in range(16)) if request.slot % 3 else f"{request.slot}"
        return replace(completion, text=f"{stem} {completion.text[:12]}")

    strict = config_of(tmp_path / "r", 6, duplicates={"near": 0.6}, max_attempts=4)
    loose = config_of(tmp_path / "r", 6, duplicates={"near": None}, max_attempts=4)
    first, made = run(strict, edit=alike, clean=True)
    assert first.dropped["near_duplicate"] > 5
    second, again = run(loose, edit=alike, clean=True)
    assert again.asked == []
    assert (second.kept, second.dropped) == (18, {})
    assert second.reused == second.requested == 18
    third, again = run(strict, edit=alike, clean=True)
    assert again.asked == []
    assert (third.kept, third.dropped, third.requested) == (first.kept, first.dropped, len(made.asked))


def test_never_starts_over_and_reuses_nothing_then_or_later(config_of: Run, run: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", rounds={"shard": 12})
    run(config)
    before = (tmp_path / "r" / "records.jsonl").read_bytes()
    summary, backend = run(config, resume="never")
    assert (summary.reused, summary.kept, len(backend.asked)) == (0, 36, summary.requested)
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == before  # the same keys draw the same texts
    with pytest.raises(Interrupted):
        run(config, resume="never", fail_at=2)
    summary, backend = run(config)  # goes on where the fresh start stopped, and takes nothing from the old runs
    assert len(backend.asked) > 12
    assert summary.reused == 0


def test_always_refuses_a_folder_that_does_not_hold_this_run(config_of: Run, run: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r")
    with pytest.raises(UsageError, match="no run here"):
        run(config, resume="always")
    assert not (tmp_path / "r" / "run.yaml").exists()
    with pytest.raises(Interrupted):
        run(config, fail_at=2)
    with pytest.raises(UsageError, match=r"decoding\.temperature: 1\.0 -> 0\.5"):
        run(config_of(tmp_path / "r", decoding={"temperature": 0.5}), resume="always")
    assert run(config, resume="always")[0].kept == 36


def test_a_moved_folder_is_the_same_run(config_of: Run, run: Run, tmp_path: Path) -> None:
    run(config_of(tmp_path / "r"))
    (tmp_path / "r").rename(tmp_path / "moved")
    summary, backend = run(config_of(tmp_path / "moved"), resume="always")
    assert (backend.calls, summary.changes) == ([], [])


def test_a_damaged_run_file_is_written_anew_and_the_rounds_stay(config_of: Run, run: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r")
    run(config)
    whole = (tmp_path / "r" / "run.yaml").read_text()
    for damaged in (b"a: [", b"\xff\xfe\x00", whole.encode()[:40] + b"\n\t:"):
        (tmp_path / "r" / "run.yaml").write_bytes(damaged)
        with pytest.raises(UsageError, match="damaged: leave --resume out"):
            run(config, resume="always")
        _, backend = run(config)
        assert backend.calls == []
        assert (tmp_path / "r" / "run.yaml").read_text() == whole


def test_a_lost_format_file_is_written_anew(config_of: Run, run: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r")
    run(config)
    (tmp_path / "r" / "format.json").unlink()
    _, backend = run(config)
    assert backend.calls == []
    assert (tmp_path / "r" / "format.json").is_file()


def test_what_stands_among_the_rounds_and_is_none_is_set_aside(config_of: Run, run: Run, tmp_path: Path) -> None:
    config, rounds = config_of(tmp_path / "r"), tmp_path / "r" / "rounds"
    run(config)
    records = (tmp_path / "r" / "records.jsonl").read_bytes()
    shutil.copytree(rounds / "000000", rounds / "000000 copy")
    (rounds / "notes.txt").write_text("mine")
    _, backend = run(config)
    assert backend.calls == []
    assert sorted(path.name for path in rounds.iterdir() if path.is_dir()) == [
        f"{place:06d}" for place in range(len(list(rounds.glob("0*"))))
    ]
    shutil.rmtree(rounds)
    rounds.write_text("no folder")
    run(config)
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == records


def test_the_resolved_configuration_reads_back(config_of: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", decoding={"suppression": {"faithful": True}, "stop": ["\n", "é\u2028"]})
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    assert load_run(tmp_path / "run.yaml") == config
    elsewhere, other = config.model_copy(update={"output": "elsewhere"}), config.model_copy(update={"seed": 5})
    assert config_digest(config) == config_digest(elsewhere) != config_digest(other)


def test_a_setting_that_is_added_with_a_default_makes_no_finished_run_look_new(config_of: Run, tmp_path: Path) -> None:
    class Grown(RunConfig):
        added: int = 3

    config = config_of(tmp_path / "r", rounds={"first": 2})
    value = config.model_dump(mode="json")
    assert config_digest(Grown.model_validate(value)) == config_digest(config)
    assert config_digest(Grown.model_validate({**value, "added": 4})) != config_digest(config)


@pytest.mark.parametrize("parts", [{}, {"strategy": {"kind": "few_shot", "seed_pool": 0}}, BY_LABEL], ids=["plain", "pool", "by_label"])
def test_a_raised_target_keeps_every_row_also_after_refills(config_of: Run, run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    """A quarter of the texts is dropped and asked for again: what was made for 12 a label is a part of what 20 take."""
    _, few = run(config_of(tmp_path / "r", 12, **parts))
    summary, more = run(config_of(tmp_path / "r", 20, **parts))
    made, again = {request.key for request in few.asked}, {request.key for request in more.asked}
    assert summary.kept == 60
    assert made <= {row["key"] for row in RunFolder(tmp_path / "r").rows()}
    assert len(made & again) <= 6  # those that the engine had failed at, one in twenty
    assert len(again) < 60 < len(made | again)


def test_changed_fields_by_hand() -> None:
    old, new = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [1, 2]}, "e": "x" * 99}
    assert changed_fields(old, new) == ["a.c: [1] -> [1, 2]", "d: 2 -> None", f"e: None -> {('x' * 99).__repr__()[:57]}..."]
    assert changed_fields(yaml.safe_load("a: 1"), {"a": 1}) == []
