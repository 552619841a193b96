"""`variegate report`."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from variegate.cli.main import main
from variegate.store.run_folder import RunFolder


def test_prints_the_path_of_what_it_wrote(run_folder: RunFolder) -> None:
    result = CliRunner().invoke(main, ["report", str(run_folder.path)])
    assert (result.exit_code, result.stdout) == (0, f"{run_folder.path / 'report.html'}\n")
    assert "<h1>feelings</h1>" in (run_folder.path / "report.html").read_text()


def test_no_run_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["report", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "not a run folder" in result.stderr
