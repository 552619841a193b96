"""`variegate verify`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from variegate.cli.main import main
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder


def verify(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["verify", *map(str, arguments)])


def test_a_sound_run(run_folder: RunFolder) -> None:
    result = verify(run_folder.path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(line.startswith("ok ") for line in result.stdout.splitlines())
    assert "33 requested = 24 kept + 9 dropped" in result.stdout


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
