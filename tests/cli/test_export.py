"""`variegate export`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from variegate.cli.main import main
from variegate.store.run_folder import RunFolder


def export(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *map(str, arguments)])


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "hf"])
def test_prints_the_path(run_folder: RunFolder, tmp_path: Path, format: str) -> None:
    result = export(run_folder.path, "--format", format, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{tmp_path / 'out'}\n", "")
    assert (tmp_path / "out").exists()


def test_an_unfinished_run_is_exported_with_a_word(unfinished_run_folder: RunFolder, tmp_path: Path) -> None:
    result = export(unfinished_run_folder.path, "-f", "csv", "-o", tmp_path / "out")
    assert result.exit_code == 0
    assert "has not ended" in result.stderr


def test_refusals_are_usage_errors(run_folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    result = export(run_folder.path, "-f", "csv", "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "exists already" in result.stderr
    assert export(run_folder.path, "-f", "cvs", "-o", tmp_path / "x").exit_code == 2
    assert export(run_folder.path, "-f", "csv", "-o", tmp_path / "out", "--overwrite").exit_code == 0


def test_the_formula_guard_can_be_switched_off(run_folder: RunFolder, tmp_path: Path) -> None:
    assert export(run_folder.path, "-f", "csv", "-o", tmp_path / "out", "--no-formula-guard").exit_code == 0


def test_a_target_below_a_file(run_folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = export(run_folder.path, "-f", "csv", "-o", tmp_path / "file" / "out.csv")
    assert result.exit_code == 1
    assert "choose another folder" in result.stderr
