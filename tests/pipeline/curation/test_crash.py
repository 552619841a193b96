"""kill -9 of `variegate curate` in the middle of relabelling, then again: at most a chunk is lost, and the verdicts are the same."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.processes import kill_when
from variegate.cli.main import main
from variegate.config.load import load_curation
from variegate.pipeline.curation.curate import curate

pytestmark = pytest.mark.slow

CURATION = """
stages:
  - kind: duplicates
  - kind: relabel
    calibration: contextual
    chunk: 4
"""


def files(folder: Path) -> dict[str, bytes]:
    """What has no times in it."""
    kept = [path for path in folder.rglob("*.jsonl") if "set-aside" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in kept}


def test_a_killed_curation_goes_on_to_the_same_verdicts(curable_run: Callable[..., Any], tmp_path: Path, nano_transformers: Any) -> None:
    whole, broken = (curable_run(tmp_path / name, per_label=40) for name in ("whole", "broken"))
    file = tmp_path / "mine.yaml"
    file.write_text(CURATION)
    curate(whole.folder, load_curation(str(file)), "mine", start=lambda _: nano_transformers)

    command = [sys.executable, "-m", "variegate.cli.main", "curate", str(broken.folder.path), str(file)]
    folder = broken.folder.path / "curations" / "mine"
    seen = folder / "observations"
    kill_when((seen / "000002").is_dir, command)
    finished = len(list(seen.glob("[0-9]*")))
    assert 3 <= finished < 31
    assert not (folder / "001-relabel").exists()

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "0 duplicates (reused)" in done.stdout
    assert files(folder) == files(whole.folder.path / "curations" / "mine")
    verified = CliRunner().invoke(main, ["verify", str(broken.folder.path)])
    assert verified.exit_code == 0, verified.output
