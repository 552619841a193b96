"""The run folder: rounds appear whole or not at all, one process at a time, and what is damaged is named."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.processes import run_script, start_python
from tests.support.rows import ASKED
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
    assert len(list(run_folder.rows())) == ASKED
    records = list(run_folder.records())
    assert len(records) == 24
    assert len((run_folder.path / "records.jsonl").read_bytes().splitlines()) == 24
    assert len((run_folder.path / "dropped.jsonl").read_bytes().splitlines()) == ASKED - 24
    assert {record.id for record in records} == {
        each["key"] for each in run_folder.rows() for item in each["items"] if item["outcome"] == "kept"
    }


def test_a_missing_middle_round_is_named(run_folder: RunFolder, row: Make) -> None:
    run_folder.commit_round(2, [row(slot=50)], {"round": 2})
    (run_folder.path / "rounds" / "000001").rename(run_folder.path / "elsewhere")
    with pytest.raises(StoreError, match=r"round 000001 is missing but rounds/000002 is there: run the same command again"):
        list(run_folder.rows())


@pytest.mark.parametrize("file", ["rows.jsonl", "entry.json"])
@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_damaged_round_is_named_and_left_where_it_is(run_folder: RunFolder, damage: Callable[[Path], object], file: str) -> None:
    """Reading commands move nothing: what to do about it is the business of the run that goes on."""
    path = run_folder.path / "rounds" / "000001" / file
    damage(path)
    for read in (lambda: list(run_folder.rows()), run_folder.round_facts):
        with pytest.raises(StoreError, match=rf"000001/{file}.*`variegate generate .*` makes it anew"):
            read()
    assert not (run_folder.path / "set-aside").exists()


def test_what_a_killed_process_left_is_cleared(run_folder: RunFolder) -> None:
    left = run_folder.path / "rounds" / ".000002.deadbeef.tmp"
    left.mkdir()
    (left / "rows.jsonl").write_text("half")
    (run_folder.path / ".records.jsonl.deadbeef.tmp").write_text("half")
    assert len(run_folder.rounds()) == 2
    run_folder.shelf.clear_unfinished()
    assert list(run_folder.path.rglob(".*.tmp")) == []
    assert len(list(run_folder.rows())) == ASKED


def test_a_round_committed_twice_sets_the_first_aside(run_folder: RunFolder, row: Make) -> None:
    before = (run_folder.path / "rounds" / "000001" / "rows.jsonl").read_bytes()
    run_folder.commit_round(1, [row()], {"round": 1})
    assert [path.read_bytes() for path in (run_folder.path / "set-aside").rglob("rows.jsonl")] == [before]
    assert len(list(run_folder.rows())) == ASKED - 8


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
        with pytest.raises(StoreError, match=rf"process {holder.pid} is working in this folder"), folder.lock():
            pass
        holder.kill()  # no chance to unlock
        holder.wait()
    with folder.lock():
        assert (folder.path / "lock").read_text() == str(os.getpid())


@pytest.mark.slow
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
        folder.shelf.clear_unfinished()
        rounds = folder.rounds()
        assert len(list(folder.rows())) == 50 * len(rounds)
        assert [facts["round"] for facts in folder.round_facts()] == list(range(len(rounds)))
        committed += len(rounds)
    assert committed > 0


def test_answers_of_rounds_set_aside_are_found_again(run_folder: RunFolder) -> None:
    keys = [row["key"] for row in run_folder.rows()]
    answered = {row["key"] for row in run_folder.rows() if row["error"] is None}
    run_folder.set_rounds_aside(1)
    assert run_folder.rounds() == ["rounds/000000"]
    assert set(run_folder.answers().take(keys)) == answered
    assert run_folder.ids_aside() == {row["key"] for row in run_folder.answers().take(keys[-9:]).values()}
    run_folder.set_rounds_aside(0, reuse=False)
    assert run_folder.rounds() == []
    assert set(run_folder.answers().take(keys)) == set(keys[-9:])  # those that are not to be reused are not offered


def test_rounds_are_set_aside_from_the_last_on_whenever_it_is_killed(tmp_path: Path) -> None:
    """Set aside from the first on, a kill left round 4 without 1 to 3: a folder that is refused."""
    found = run_script(Path(__file__).with_name("set_aside_script.py"), tmp_path)
    assert found == {"killed": 5, "different": []}  # the manifest's, and four rounds'


def test_no_run_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a run folder"):
        RunFolder.existing(tmp_path)


def test_no_manifest_while_the_run_has_not_ended(unfinished_run_folder: RunFolder, run_folder: RunFolder) -> None:
    assert unfinished_run_folder.read_manifest() is None
    manifest = run_folder.read_manifest()
    assert manifest is not None
    assert manifest["ledger"]["requested"] == ASKED


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
