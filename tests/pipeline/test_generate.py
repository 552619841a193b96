"""Whole runs on a scripted backend: they end, their ledger sums, and an interrupted one ends as an uninterrupted one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import run_script
from variegate.errors import Interrupted, StoreError
from variegate.inference.backend import unserved
from variegate.records import Completion, Request
from variegate.store.run_folder import RunFolder

Run = Callable[..., Any]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def results(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "records.jsonl").read_bytes(), (folder / "dropped.jsonl").read_bytes()


def test_a_run_reaches_its_target_and_its_ledger_sums(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    summary, backend = run(config_of(tmp_path / "r", **variant))
    records, dropped = lines(tmp_path / "r" / "records.jsonl"), lines(tmp_path / "r" / "dropped.jsonl")
    assert Counter(record["label"] for record in records) == {"apple": 12, "bread": 12, "cheese": 12}
    assert summary.kept == 36
    assert summary.requested == len(records) + len(dropped) == len(backend.asked)
    assert summary.dropped == Counter(row["reason"] for row in dropped)
    assert len(set(summary.dropped) & {"empty", "unfinished", "engine_error", "duplicate"}) >= 2
    assert summary.shortfall == {}
    assert {row["id"] for row in records + dropped} == {request.key for request in backend.asked}
    assert len({record["text"].casefold() for record in records}) == 36
    assert (summary.report, summary.changes) == (None, [])


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_after_any_round_it_ends_as_an_uninterrupted_run(
    config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path, error: type[BaseException]
) -> None:
    _, whole = run(config_of(tmp_path / "whole", **variant))
    expected = results(tmp_path / "whole")
    for stop in range(1, len(whole.calls) + 1):
        config = config_of(tmp_path / f"{stop}", **variant)
        with pytest.raises(Interrupted if error is KeyboardInterrupt else error):
            run(config, fail_at=stop, error=error)
        assert not (tmp_path / f"{stop}" / "manifest.json").exists()
        summary, rest = run(config)
        assert results(tmp_path / f"{stop}") == expected
        assert len(rest.calls) == len(whole.calls) - stop + 1  # finished rounds are not made again
        assert (summary.reused, summary.changes) == (0, [])


def test_interrupted_at_every_round_in_turn(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    _, whole = run(config_of(tmp_path / "whole", **variant))
    config = config_of(tmp_path / "r", **variant)
    for _ in range(len(whole.calls) - 1):
        with pytest.raises(Interrupted, match="Run the same command again"):
            run(config, fail_at=2)  # one round more, each time
    run(config, fail_at=2)
    assert results(tmp_path / "r") == results(tmp_path / "whole")


@pytest.mark.parametrize("variant_name", ["history", "chung"])
def test_killed_at_every_file_operation(tmp_path: Path, variant_name: str) -> None:
    """kill -9 before each file operation of a run; see crash_script.py."""
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path, variant_name)
    assert found["killed"] >= 30
    assert found["different"] == []


def test_the_same_seed_gives_the_same_run_and_another_seed_another(config_of: Run, run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(config_of(tmp_path / name, seed=seed))
    assert results(tmp_path / "a") == results(tmp_path / "b") != results(tmp_path / "c")


def test_a_finished_run_is_not_generated_again(config_of: Run, run: Run, variant: dict[str, Any], tmp_path: Path) -> None:
    config = config_of(tmp_path / "r", **variant)
    first, _ = run(config)
    before = results(tmp_path / "r")
    manifest = json.loads((tmp_path / "r" / "manifest.json").read_bytes())
    again, backend = run(config)
    assert backend.calls == []
    assert results(tmp_path / "r") == before
    assert (again.kept, again.requested, again.dropped) == (first.kept, first.requested, first.dropped)
    assert json.loads((tmp_path / "r" / "manifest.json").read_bytes())["engine"] == manifest["engine"] is not None


def test_prompts_carry_the_chats_own_last_texts(config_of: Run, run: Run, tmp_path: Path) -> None:
    """Worked out from the requests alone: place p of a label's round is the chat; its last 2 kept texts stand in the prompt."""
    _, backend = run(config_of(tmp_path / "r", strategy={"history": 2, "chats_per_label": 4}))
    kept = {record["id"]: record["text"] for record in lines(tmp_path / "r" / "records.jsonl")}
    chats: dict[tuple[str, int], list[str]] = {}
    carried = 0
    for call in backend.calls:
        place: Counter[str] = Counter()
        for request in call:
            chat = (request.label, place[request.label])
            place[request.label] += 1
            last = chats.get(chat, [])[-2:]
            assert list(request.parents) == last
            assert all(f"- {kept[key]}\n" in request.prompt for key in last)
            carried += len(last)
        place.clear()
        for request in call:
            chat = (request.label, place[request.label])
            place[request.label] += 1
            if request.key in kept:
                chats.setdefault(chat, []).append(request.key)
    assert carried > 20


def test_bias_of_a_round_is_worked_out_from_the_rounds_before(config_of: Run, run: Run, tmp_path: Path) -> None:
    """max(-7.5, -7.5 p) by hand from the stored token ids; dropped texts count too."""
    _, backend = run(config_of(tmp_path / "r", decoding={"suppression": {"group": "label", "top_k": None, "exempt_terminators": False}}))
    produced: dict[str, Counter[int]] = {}
    folder = RunFolder(tmp_path / "r")
    for rows, requests, round_folder in zip(backend.rows, backend.calls, folder.round_folders(), strict=True):
        assert len(rows) == len(produced)
        assert {request.label for request in requests if request.bias} == {request.label for request in requests} & set(produced)
        for request in requests:
            if request.bias:
                counts = produced[request.label]
                expected = {token: max(-7.5, -7.5 * 100 * count / counts.total()) for token, count in counts.items()}
                row = rows[request.bias]
                assert dict(zip(row.token_ids.tolist(), row.biases.tolist(), strict=True)) == pytest.approx(expected, rel=1e-6)
        for stored in folder.read_round(round_folder):
            produced.setdefault(stored["label"], Counter()).update(stored["token_ids"])
    assert len(backend.rows) > 2


def test_an_error_of_one_row_does_not_end_the_run_and_is_tried_again(config_of: Run, run: Run, tmp_path: Path) -> None:
    def one_error(request: Request, completion: Completion) -> Completion:
        return unserved(request, 7, "out of luck") if request.label == "bread" and request.slot == 0 else completion

    config = config_of(tmp_path / "r", 4)
    summary, _ = run(config, edit=one_error, clean=True)
    assert (summary.kept, summary.dropped, summary.shortfall) == (12, {"engine_error": 1}, {})
    # once its round has to be made again, every good row is reused and the failed one asked once more
    summary, backend = run(config_of(tmp_path / "r", 4, rounds={"calls": 1}), clean=True)
    assert [(request.label, request.slot) for request in backend.asked] == [("bread", 0)]
    assert (summary.kept, summary.dropped, summary.reused) == (12, {}, 11)


def test_all_prompts_too_long_ends_with_a_shortfall(config_of: Run, run: Run, tmp_path: Path) -> None:
    summary, backend = run(config_of(tmp_path / "r", 4, max_attempts=2), max_model_len=100)
    assert summary.shortfall == {"apple": 4, "bread": 4, "cheese": 4}
    assert summary.dropped == {"prompt_too_long": 24}
    assert len(backend.asked) == 24
    assert (tmp_path / "r" / "records.jsonl").read_bytes() == b""
    assert json.loads((tmp_path / "r" / "manifest.json").read_bytes())["complete"] is False


def test_a_shortfall_of_one_label_names_it(config_of: Run, run: Run, tmp_path: Path) -> None:
    def repeat(request: Request, completion: Completion) -> Completion:
        return replace(completion, text="Bread!") if request.label == "bread" else completion

    summary, _ = run(config_of(tmp_path / "r", 4, max_attempts=3), edit=repeat, clean=True)
    assert summary.shortfall == {"bread": 3}
    assert summary.dropped == {"duplicate": 11}
    assert (summary.requested, summary.kept) == (8 + 12, 9)


def test_nothing_is_written_outside_the_run_folder(config_of: Run, run: Run, tmp_path: Path) -> None:
    labels = ["../../escaped", "/etc/variegate", "a\x00b", "..", "C:\\x", "<script>"]
    run(config_of(tmp_path / "deep" / "er" / "r", 2, labels=labels, task={"labels": {
        label: {"phrase": f"p{n}", "description": f"d{n}", "title": f"t{n}"} for n, label in enumerate(labels)}}), clean=True)  # fmt: skip
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and "r" not in path.relative_to(tmp_path).parts]
    assert outside == []
    assert not Path("/etc/variegate").exists()
    assert {record["label"] for record in lines(tmp_path / "deep" / "er" / "r" / "records.jsonl")} == set(labels)


def test_another_process_in_the_folder_is_named(config_of: Run, run: Run, tmp_path: Path) -> None:
    import os

    config = config_of(tmp_path / "r")
    with RunFolder(tmp_path / "r").lock(), pytest.raises(StoreError, match=f"process {os.getpid()} is working in this run folder"):
        run(config)
    run(config)  # and the lock goes with its holder


@pytest.mark.parametrize("damage", ["cut", "garbage", "no_key", "not_an_object", "missing"])
def test_a_damaged_round_is_a_clear_store_error(config_of: Run, run: Run, tmp_path: Path, damage: str) -> None:
    config = config_of(tmp_path / "r")
    run(config)
    path = tmp_path / "r" / "rounds" / "000001" / "completions.jsonl"
    data = path.read_bytes()
    first, rest = data.split(b"\n", 1)
    new = {
        "cut": data[:-20],
        "garbage": b"\xff\x00{" + data,
        "no_key": first.replace(b'"key"', b'"kex"') + b"\n" + rest,
        "not_an_object": b"[1]\n" + rest,
        "missing": None,
    }[damage]
    path.unlink() if new is None else path.write_bytes(new)
    with pytest.raises(StoreError, match=r"000001.completions\.jsonl"):
        run(config)
    with pytest.raises(StoreError, match=r"000001.completions\.jsonl"):
        run(config_of(tmp_path / "r", decoding={"temperature": 0.5}))


def test_rows_missing_from_a_round_are_made_again(config_of: Run, run: Run, tmp_path: Path) -> None:
    config = config_of(tmp_path / "r")
    run(config)
    before = results(tmp_path / "r")
    path = tmp_path / "r" / "rounds" / "000001" / "completions.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    _, backend = run(config)
    assert len(backend.asked) >= 2
    assert results(tmp_path / "r") == before
