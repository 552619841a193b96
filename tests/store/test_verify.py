"""Every kind of damage is found by the check that should find it, and by no exception."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from tests.support.progress import Heard
from tests.support.rows import ASKED
from variegate.config.load import load_run
from variegate.pipeline.comparison.places import places_of
from variegate.pipeline.generate import generate
from variegate.store.hashes import write_hashes
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder, round_key
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
    assert statuses["rounds whole"] == statuses["ledger of each round"] == statuses["keys unique"] == "ok"
    assert statuses["records.jsonl equals the rounds"] == "skipped"


def test_a_run_without_a_round_yet(tmp_path: Path, build_run: Callable[..., RunFolder]) -> None:
    result = verify(build_run(tmp_path / "run", [], finished=False))
    assert (result.ok, result.finished) == (True, False)


def test_a_shortfall_is_told_and_is_no_damage(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    result = verify(build_run(tmp_path / "run", [[row()]], shortfall={"anger": 10}))
    assert (result.ok, result.shortfall) == (True, {"anger": 10})


def test_an_edited_text(run_folder: RunFolder) -> None:
    edit_line(run_folder.path / "rounds/000000/rows.jsonl", 0, lambda row: row.update(raw="better"))
    assert "000000/rows.jsonl: is not what entry.json states" in failed(run_folder)["rounds whole"]


def test_a_round_of_another_run_in_its_place(run_folder: RunFolder, row: Callable[..., Row]) -> None:
    """Whole by itself, but not the one of the manifest."""
    run_folder.commit_round(1, [row(slot=50, round=1)], {"round": 1, "requested": 1, "kept": 1, "dropped": {}})
    (run_folder.path / "manifest.previous.json").rename(run_folder.path / "manifest.json")  # the commit had retired it
    found = failed(run_folder)
    assert "rounds/000001: its rows are not those of the manifest" in found["round hashes"]
    assert "line 16 is not what the rounds give" in found["records.jsonl equals the rounds"]


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
    shutil.rmtree(run_folder.path / "rounds/000001")
    assert "rounds/000001 is missing" in failed(run_folder)["rounds whole"]
    shutil.rmtree(run_folder.path / "rounds")
    assert "ledger of the run" in failed(run_folder)


def test_a_round_that_the_manifest_does_not_know(run_folder: RunFolder, row: Callable[..., Row]) -> None:
    run_folder.commit_round(2, [row(slot=77, round=2)], {"round": 2, "requested": 1, "kept": 1, "dropped": {}})
    (run_folder.path / "manifest.previous.json").rename(run_folder.path / "manifest.json")  # the commit had retired it
    found = failed(run_folder)
    assert "rounds/000002 is not in the manifest" in found["rounds whole"]
    assert "differ from the rows'" in found["ledger of the run"]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"requested": 99, "kept": 1, "dropped": {}}, "requested is 99 in entry.json but 1 by its rows"),
        ({"requested": 1, "kept": 0, "dropped": {}}, "kept is 0 in entry.json but 1"),
        ({"requested": 1, "kept": 1, "dropped": {"empty": 5}}, "dropped is"),
    ],
)
def test_sums_of_a_round(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row], facts: Any, words: str) -> None:
    folder = build_run(tmp_path / "run", [], finished=False)
    folder.commit_round(0, [row()], {"round": 0, **facts})
    assert words in failed(folder)["ledger of each round"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda manifest: manifest["ledger"].update(requested=99), f"requested differ from the rows' (99 instead of {ASKED})"),
        (lambda manifest: manifest["ledger"]["labels"].pop("joy"), "labels differ"),
        (lambda manifest: manifest.pop("ledger"), "holds no ledger"),
    ],
)
def test_the_ledger_of_the_run(run_folder: RunFolder, change: Callable[[dict[str, object]], object], words: str) -> None:
    edit_json(run_folder.path / "manifest.json", change)
    assert words in failed(run_folder)["ledger of the run"]


def test_doubled_keys_and_foreign_labels(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    folder = build_run(tmp_path / "run", [[row(), row(), row("joyy", 1)]], finished=False)
    found = failed(folder)
    assert "stands twice" in found["keys unique"]
    assert "label 'joyy' is not in run.yaml; did you mean 'joy'?" in found["labels known to the task"]


@pytest.mark.parametrize(("name", "content"), [("manifest.json", "{"), ("manifest.json", "[]"), ("run.yaml", "a: ["), ("run.yaml", "a: 1")])
def test_unreadable_files_are_findings(run_folder: RunFolder, name: str, content: str) -> None:
    (run_folder.path / name).write_text(content)
    assert f"{name} readable" in failed(run_folder)


@pytest.mark.parametrize("change", [{"items": None}, {"target": {}}, {"error": "x"}, {"key": 3}, {"items": [{"outcome": 3}]}])
def test_rows_of_another_shape(run_folder: RunFolder, row: Callable[..., Row], change: dict[str, Any]) -> None:
    key = round_key(["x"])
    run_folder.shelf.put("rounds/000002", key, [{**row().to_json(), **change}], {"requested": 1, "kept": 1, "dropped": {}})
    assert f"field '{next(iter(change))}' is missing" in failed(run_folder)["rows readable"]


def test_students_of_a_run(run_folder: RunFolder) -> None:
    student = run_folder.path / "students" / "minilm" / "seed-0"
    student.mkdir(parents=True)
    (student / "student.json").write_text("{}")
    write_hashes(student)
    (student.parent / "scores.json").write_text("{}")
    write_hashes(student.parent)
    (run_folder.path / "students" / ".svc.0.tmp").mkdir()
    assert verify(run_folder).ok
    (student / "student.json").write_text("{ }")
    assert failed(run_folder) == {"student minilm": f"{student}/student.json: is not what hashes.json states"}


# -- what the rounds were made from ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def seeded_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished few-shot run whose prompts held real examples. Tests copy it."""
    folder = tmp_path_factory.mktemp("seeded")
    few = {"strategy": {"kind": "few_shot", "form": "li", "seed_pool": 6, "completions_per_call": 2}}
    config = places_of(chatter.make_study(folder, run=few, axes={"temperature": [0.3]}, curations={}))[0].run
    generate(config, start=lambda _: chatter.wordy_engine())
    return Path(config.output)


@pytest.fixture
def seeded(seeded_run: Path, tmp_path: Path) -> RunFolder:
    shutil.copytree(seeded_run, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def test_seeds_and_about_are_among_what_is_checked(seeded: RunFolder) -> None:
    result = verify(seeded)
    assert result.ok
    assert {check.name: check.detail for check in result.checks}["inputs whole"] == "seeds, about.json"


@pytest.mark.parametrize("ended", [True, False])
def test_seeds_that_were_deleted(seeded: RunFolder, ended: bool) -> None:
    shutil.rmtree(seeded.path / "seeds")
    if not ended:
        (seeded.path / "manifest.json").unlink()
    found = failed(seeded)
    assert list(found) == ["inputs whole"]
    assert f"{seeded.path / 'seeds'}: is missing, and 24 rows were made with real examples in their prompts" in found["inputs whole"]


def test_damaged_seeds_are_no_damaged_rounds(seeded: RunFolder) -> None:
    path = seeded.path / "seeds" / "rows.jsonl"
    path.write_bytes(path.read_bytes()[:-2])
    assert failed(seeded) == {"inputs whole": f"{path}: is not what entry.json states"}


def test_an_about_that_was_changed_or_taken_away(seeded: RunFolder) -> None:
    path = seeded.path / "about.json"
    path.write_bytes(path.read_bytes().replace(b"real", b"ideal"))
    assert failed(seeded) == {"inputs whole": f"{path}: was changed after the run ended"}
    path.unlink()
    assert failed(seeded) == {"inputs whole": f"{path}: is missing"}


def test_rounds_that_were_emptied(seeded: RunFolder) -> None:
    shutil.rmtree(seeded.path / "rounds" / "000000")
    (seeded.path / "manifest.json").unlink()
    assert failed(seeded)["rounds whole"].startswith(f"{seeded.path / 'rounds'}: holds no round, and records.jsonl is there")
    (seeded.path / "rounds" / "000007").mkdir()
    assert f"{seeded.path / 'rounds' / '000007'}: is empty" in failed(seeded)["rounds whole"]


@pytest.mark.parametrize("name", ["dropped.jsonl", "records.jsonl", "manifest.json", "about.json"])
def test_a_folder_where_a_file_was_is_set_aside_and_the_file_made_again(seeded: RunFolder, name: str) -> None:
    path = seeded.path / name
    before = path.read_bytes()
    path.unlink()
    path.mkdir()
    (path / "mine.txt").write_text("keep me")
    assert not verify(seeded).ok or name == "manifest.json"  # without it the run has not ended
    config = load_run(seeded.path / "run.yaml", [f"output={seeded.path}"])
    heard = Heard()
    generate(config, start=lambda _: pytest.fail("nothing is missing"), progress=heard)
    assert [note.startswith(f"{path}: is a folder, and a file is expected there") and "set aside" in note for note in heard.notes] == [True]
    assert [each.read_text() for each in seeded.path.glob("set-aside/*/*/mine.txt")] == ["keep me"]
    assert verify(seeded).ok
    assert name == "manifest.json" or path.read_bytes() == before
