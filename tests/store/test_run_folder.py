"""The run folder: rounds appear whole or not at all, one process at a time, and what is damaged is named."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import start_python
from variegate.errors import StoreError, UsageError
from variegate.store.rows import Row
from variegate.store.run_folder import MEASURES, RunFolder

Make = Callable[..., Row]


def test_rounds_come_back_in_order(tmp_path: Path, row: Make) -> None:
    folder = RunFolder(tmp_path)
    assert list(folder.rows()) == []
    for index in range(12):  # 000010 after 000009
        folder.commit_round(index, [row(slot=index, round=index)], {"round": index})
    assert [each["origin"]["slot"] for each in folder.rows()] == list(range(12))
    assert [facts["round"] for facts in folder.round_facts()] == list(range(12))


def test_records_are_the_kept_rows(run_folder: RunFolder) -> None:
    assert len(list(run_folder.rows())) == 32
    records = list(run_folder.records())
    assert len(records) == 24
    assert len((run_folder.path / "records.jsonl").read_bytes().splitlines()) == 24
    assert len((run_folder.path / "dropped.jsonl").read_bytes().splitlines()) == 8
    assert {record.id for record in records} == {each["key"] for each in run_folder.rows() if each["outcome"] == "kept"}


def test_a_missing_middle_round_is_named(run_folder: RunFolder, row: Make) -> None:
    run_folder.commit_round(2, [row(slot=50)], {"round": 2})
    (run_folder.rounds_path / "000001").rename(run_folder.path / "elsewhere")
    with pytest.raises(StoreError, match=r"round 000001 is missing but 000002 is there: restore it"):
        list(run_folder.rows())


def test_a_round_without_its_rows_is_named(run_folder: RunFolder) -> None:
    (run_folder.rounds_path / "000000" / "completions.jsonl").unlink()
    with pytest.raises(StoreError, match=r"000000/completions\.jsonl: cannot be read"):
        list(run_folder.rows())


def test_a_damaged_row_is_named(run_folder: RunFolder) -> None:
    path = run_folder.rounds_path / "000001" / "completions.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2][:20] + b"\n"
    path.write_bytes(b"".join(lines))
    with pytest.raises(StoreError, match=r"000001/completions\.jsonl:3: not valid JSON"):
        list(run_folder.rows())


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("{")])
def test_damaged_round_facts_are_named(run_folder: RunFolder, damage: Callable[[Path], object]) -> None:
    damage(run_folder.rounds_path / "000001" / "round.json")
    with pytest.raises(StoreError, match=r"000001/round\.json"):
        run_folder.round_facts()


def test_what_a_killed_process_left_is_cleared(run_folder: RunFolder) -> None:
    left = run_folder.rounds_path / ".000002.deadbeef.tmp"
    left.mkdir()
    (left / "completions.jsonl").write_text("half")
    (run_folder.path / ".records.jsonl.deadbeef.tmp").write_text("half")
    assert len(run_folder.round_folders()) == 2
    run_folder.clear_unfinished()
    assert [*run_folder.rounds_path.glob(".*"), *run_folder.path.glob(".*")] == []
    assert len(list(run_folder.rows())) == 32


def test_a_round_is_not_committed_twice(run_folder: RunFolder, row: Make) -> None:
    before = (run_folder.rounds_path / "000001" / "completions.jsonl").read_bytes()
    with pytest.raises(StoreError):
        run_folder.commit_round(1, [row()], {"round": 1})
    assert (run_folder.rounds_path / "000001" / "completions.jsonl").read_bytes() == before


def test_disk_full_keeps_the_finished_rounds(tiny_disk: Path, row: Make) -> None:
    folder = RunFolder(tiny_disk / "run")
    folder.commit_round(0, [row()], {"round": 0})
    with pytest.raises(StoreError, match="disk is full"):
        folder.commit_round(1, [row(slot=slot, text="long " * 2000) for slot in range(100)], {"round": 1})
    assert len(list(folder.rows())) == 1
    folder.commit_round(1, [row(slot=1)], {"round": 1})  # there is room again: nothing was left behind
    assert len(list(folder.rows())) == 2


def test_disk_full_at_the_lock(tiny_disk: Path, fill_disk: Callable[[], None]) -> None:
    (tiny_disk / "run").mkdir()
    fill_disk()
    with pytest.raises(StoreError, match="disk is full"), RunFolder(tiny_disk / "run").lock():
        pass


def test_a_second_process_is_refused_and_the_lock_goes_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from variegate.store.run_folder import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).lock():\n    print('locked', flush=True); sys.stdin.read()"
    )
    folder = RunFolder(tmp_path / "run")
    with start_python(code, folder.path, ready="locked") as holder:
        with pytest.raises(StoreError, match=rf"process {holder.pid} is working in this run folder"), folder.lock():
            pass
        holder.kill()  # no chance to unlock
        holder.wait()
    with folder.lock():
        assert (folder.path / "lock").read_text() == str(os.getpid())


def test_a_kill_at_any_instant_leaves_whole_rounds(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.support.rows import make_row; from variegate.store.run_folder import RunFolder\n"
        "folder = RunFolder(Path(sys.argv[1])); print('ready', flush=True)\n"
        "for index in range(100000):\n"
        "    folder.commit_round(index, [make_row(slot=slot, round=index) for slot in range(50)], {'round': index})"
    )
    committed = 0
    for attempt in range(3):
        folder = RunFolder(tmp_path / str(attempt))
        with start_python(code, folder.path, ready="ready") as process:
            time.sleep(0.05 + 0.037 * attempt)
            process.send_signal(signal.SIGKILL)
            process.wait()
        folder.clear_unfinished()
        rounds = folder.round_folders()
        assert len(list(folder.rows())) == 50 * len(rounds)
        assert [facts["round"] for facts in folder.round_facts()] == list(range(len(rounds)))
        committed += len(rounds)
    assert committed > 0


def test_rounds_set_aside_can_be_found_again(run_folder: RunFolder) -> None:
    moved = run_folder.set_rounds_aside(1)
    assert [path.name for path in run_folder.round_folders()] == ["000000"]
    assert sorted(moved) == run_folder.aside_folders()
    run_folder.set_rounds_aside(0, reuse=False)
    assert run_folder.round_folders() == []
    assert sorted(moved) == run_folder.aside_folders()  # those that are not to be reused are not offered


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        RunFolder.existing(tmp_path)


def test_no_manifest_while_the_run_has_not_ended(unfinished_run_folder: RunFolder, run_folder: RunFolder) -> None:
    assert unfinished_run_folder.read_manifest() is None
    manifest = run_folder.read_manifest()
    assert manifest is not None
    assert manifest["ledger"]["requested"] == 32


def test_a_run_that_goes_on_retires_its_manifest(run_folder: RunFolder, row: Callable[..., Row]) -> None:
    before = run_folder.read_manifest()
    run_folder.commit_round(2, [row(slot=77, round=2)], {"round": 2})
    assert run_folder.read_manifest() is None
    assert run_folder.read_manifest(previous=True) == before


@pytest.mark.parametrize("goes_on", ["commits a round", "sets rounds aside"])
def test_a_run_that_goes_on_retires_its_measurement(run_folder: RunFolder, row: Make, goes_on: str) -> None:
    measures, previous = run_folder.path / MEASURES, run_folder.path / "measures.previous.json"
    measures.write_text("first")
    if goes_on == "commits a round":
        run_folder.commit_round(2, [row(slot=77, round=2)], {"round": 2})
    else:
        run_folder.set_rounds_aside(1)
    assert (measures.exists(), previous.read_text()) == (False, "first")
    run_folder.retire_manifest()  # with nothing to retire, what was retired stays
    assert previous.read_text() == "first"
    measures.write_text("second")
    run_folder.retire_manifest()
    assert (measures.exists(), previous.read_text()) == (False, "second")
