"""Every kind of damage is found by the check that should find it, and by no exception."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify


def failed(folder: RunFolder) -> dict[str, str]:
    return {check.name: check.detail for check in verify(folder).checks if check.status == "FAILED"}


def edit_line(path: Path, number: int, change: Callable[[dict[str, object]], object]) -> None:
    lines = path.read_text().splitlines()
    value = json.loads(lines[number])
    change(value)
    lines[number] = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    path.write_text("".join(f"{line}\n" for line in lines))


def edit_json(path: Path, change: Callable[[dict[str, object]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def test_a_sound_run_passes_every_check(run_folder: RunFolder) -> None:
    result = verify(run_folder)
    assert {check.status for check in result.checks} == {"ok"}
    assert (result.ok, result.finished, result.shortfall) == (True, True, {})


def test_an_unfinished_run_is_checked_as_far_as_it_went(unfinished_run_folder: RunFolder) -> None:
    result = verify(unfinished_run_folder)
    assert (result.ok, result.finished) == (True, False)
    statuses = {check.name: check.status for check in result.checks}
    assert statuses["round hashes"] == statuses["ledger of each round"] == statuses["keys unique"] == "ok"
    assert statuses["records.jsonl equals the rounds"] == "skipped"


def test_a_run_without_a_round_yet(tmp_path: Path, build_run: Callable[..., RunFolder]) -> None:
    result = verify(build_run(tmp_path / "run", [], finished=False))
    assert (result.ok, result.finished) == (True, False)


def test_a_shortfall_is_told_and_is_no_damage(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    result = verify(build_run(tmp_path / "run", [[row()]], shortfall={"anger": 10}))
    assert (result.ok, result.shortfall) == (True, {"anger": 10})


def test_an_edited_text(run_folder: RunFolder) -> None:
    edit_line(run_folder.rounds_path / "000000" / "completions.jsonl", 0, lambda row: row.update(text="better"))
    found = failed(run_folder)
    assert "round 000000: completions.jsonl is not what round.json states" in found["round hashes"]
    assert "line 1 is not what the rounds give" in found["records.jsonl equals the rounds"]


def test_an_edited_records_file(run_folder: RunFolder) -> None:
    edit_line(run_folder.path / "records.jsonl", 3, lambda row: row.update(label="anger"))
    assert list(failed(run_folder)) == ["records.jsonl equals the rounds"]


@pytest.mark.parametrize("name", ["records.jsonl", "dropped.jsonl"])
def test_a_shorter_longer_or_missing_result_file(run_folder: RunFolder, name: str) -> None:
    path = run_folder.path / name
    edit_json(run_folder.path / "manifest.json", lambda manifest: manifest.pop("files"))  # so that no hash tells
    whole = path.read_bytes()
    title = f"{name} equals the rounds"
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    assert "fewer lines" in failed(run_folder)[title]
    path.write_bytes(whole + whole.splitlines(keepends=True)[0])
    assert "more lines" in failed(run_folder)[title]
    path.unlink()
    assert "missing" in failed(run_folder)[title]


def test_a_missing_round_in_the_middle_and_at_the_end(run_folder: RunFolder) -> None:
    shutil.rmtree(run_folder.rounds_path / "000001")
    assert "000001 is missing" in failed(run_folder)["every round present"]
    shutil.rmtree(run_folder.rounds_path)
    assert "and" not in failed(run_folder)["every round present"].split("missing")[-1]
    assert "ledger of the run" in failed(run_folder)


def test_a_round_that_the_manifest_does_not_know(run_folder: RunFolder, row: Callable[..., Row]) -> None:
    run_folder.commit_round(2, [row(slot=77, round=2)], {"round": 2, "requested": 1, "kept": 1, "dropped": {}})
    (run_folder.path / "manifest.previous.json").rename(run_folder.path / "manifest.json")  # the commit had retired it
    found = failed(run_folder)
    assert "round 000002 is not in the manifest" in found["every round present"]
    assert "differ from the rows'" in found["ledger of the run"]


def test_a_half_written_line(run_folder: RunFolder) -> None:
    path = run_folder.rounds_path / "000001" / "completions.jsonl"
    path.write_bytes(path.read_bytes()[:-30])
    found = failed(run_folder)
    assert "not valid JSON" in found["rows readable"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda facts: facts.update(requested=99), "99 requested but 23 rows"),
        (lambda facts: facts.update(kept=99), "99 kept in round.json but 15"),
        (lambda facts: facts["dropped"].update(empty=5), "dropped"),
    ],
)
def test_sums_of_a_round(run_folder: RunFolder, change: Callable[[dict[str, object]], object], words: str) -> None:
    edit_json(run_folder.rounds_path / "000000" / "round.json", change)
    assert words in failed(run_folder)["ledger of each round"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: manifest["ledger"].update(requested=99), "not kept + dropped"),
        (lambda manifest: manifest["ledger"]["labels"].pop("joy"), "labels differ"),
        (lambda manifest: manifest.pop("ledger"), "holds no ledger"),
    ],
)
def test_the_ledger_of_the_run(run_folder: RunFolder, change: Callable[[dict[str, object]], object], words: str) -> None:
    edit_json(run_folder.path / "manifest.json", change)
    assert words in failed(run_folder)["ledger of the run"]


def test_doubled_keys_foreign_labels_and_unknown_outcomes(
    tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]
) -> None:
    folder = build_run(tmp_path / "run", [[row(), row(), row("joyy", 1), row(slot=2, outcome="emty")]], finished=False)
    found = failed(folder)
    assert "stands twice" in found["keys unique"]
    assert "label 'joyy' is not in run.yaml; did you mean 'joy'?" in found["labels known to the task"]
    assert "outcome 'emty' is not known; did you mean 'empty'?" in found["outcomes"]


@pytest.mark.parametrize(("name", "content"), [("manifest.json", "{"), ("manifest.json", "[]"), ("run.yaml", "a: ["), ("run.yaml", "a: 1")])
def test_unreadable_files_are_findings(run_folder: RunFolder, name: str, content: str) -> None:
    (run_folder.path / name).write_text(content)
    assert f"{name} readable" in failed(run_folder)


@pytest.mark.parametrize("content", ["[]", "null", "{}"])
def test_round_facts_of_another_shape(run_folder: RunFolder, content: str) -> None:
    (run_folder.rounds_path / "000000" / "round.json").write_text(content)
    assert not verify(run_folder).ok


def test_rows_of_another_shape(run_folder: RunFolder) -> None:
    (run_folder.rounds_path / "000000" / "completions.jsonl").write_text('{"key": "x"}\n[]\n')
    assert "is missing" in failed(run_folder)["rows readable"]
