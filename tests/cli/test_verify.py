"""`variegate verify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.support.rows import TOTALS
from variegate.cli.main import main
from variegate.store.asked import AskedFolder
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def test_a_sound_run(run_folder: RunFolder) -> None:
    result = verify(run_folder.path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(line.startswith("ok ") for line in result.stdout.splitlines())
    assert TOTALS in result.stdout


def test_a_damaged_run(run_folder: RunFolder) -> None:
    (run_folder.path / "records.jsonl").write_text("")
    result = verify(run_folder.path)
    assert result.exit_code == 1
    assert any(line.startswith("FAILED  records.jsonl") for line in result.stdout.splitlines())
    assert "1 checks failed" in result.stderr


def test_json(run_folder: RunFolder) -> None:
    (run_folder.path / "records.jsonl").write_text("")
    result = verify(run_folder.path, "--json")
    value = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (value["ok"], value["finished"]) == (False, True)
    assert [check["name"] for check in value["checks"] if check["status"] == "FAILED"] == ["records.jsonl equals the rounds"]


def test_an_unfinished_run_says_so(unfinished_run_folder: RunFolder) -> None:
    result = verify(unfinished_run_folder.path)
    assert result.exit_code == 0
    assert "This run is unfinished" in result.stderr


def test_a_shortfall_is_told(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    result = verify(build_run(tmp_path / "run", [[row()]], shortfall={"fear": 9}).path)
    assert result.exit_code == 0
    assert "short of its target: fear (9)" in result.stderr


def test_a_folder_of_votes(tmp_path: Path) -> None:
    store = AskedFolder(tmp_path, {"kind": "letters"}, note=print)
    with store.opened():
        store.answers({"answers/000": ["a", "b"]}, 2, lambda keys, _: [{"answer": key, "error": None} for key in keys])
    result = verify(tmp_path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "1 entries, none missing" in result.stdout
    path = tmp_path / "answers" / "000" / "000000" / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"answer":"b"', b'"answer":"a"'))
    result = verify(tmp_path)
    assert result.exit_code == 1
    assert f"FAILED  entries whole                 {path}: is not what entry.json states" in result.stdout
    with pytest.raises(KeyboardInterrupt), AskedFolder(tmp_path, {"kind": "letters"}, note=print).opened():
        raise KeyboardInterrupt
    assert "This asking is unfinished" in verify(tmp_path).stderr
