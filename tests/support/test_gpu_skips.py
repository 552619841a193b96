"""What is left out where there is a GPU: docs/testing.md says so, and no test leaves itself out in another way."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.support.gpu import SHARE
from tests.support.gpu_skips import HEADER
from tests.support.processes import ROOT, environment
from variegate.config import load_model


@pytest.mark.parametrize("name", ["nano-llama", "nano-t5"])
def test_both_engines_of_two_processes_fit_on_one_gpu(name: str) -> None:
    assert load_model(name).engine.gpu_memory_utilization == SHARE < 1 / 4


@pytest.mark.slow
def test_all_tests_are_collected_and_the_page_names_those_left_out() -> None:
    command = [sys.executable, "-m", "tests.support.gpu_skips"]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    assert done.stdout.startswith(HEADER)
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    assert done.stdout in page, f"put this table into docs/testing.md:\n{done.stdout}"


def test_who_is_left_out_says_so_by_cpu_only() -> None:
    """A condition of its own would not be in that table."""
    other = re.compile(r"skipif\(\s*(?:torch\.cuda\.is_available\(\)|HAS_GPU)|if torch\.cuda\.is_available\(\):\s+pytest\.skip")
    found = [path.name for path in ROOT.glob("tests/**/*.py") if other.search(path.read_text(encoding="utf-8"))]
    assert found == ["gpu.py"]
