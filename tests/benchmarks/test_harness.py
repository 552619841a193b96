import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NAMED = sorted(path.stem for path in BENCHMARKS.glob("*.py") if '"--data"' in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", ["", "nowhere"])
def test_the_data_folder_must_be_there(path: str, tmp_path: Path) -> None:
    """As a script has it: an unset variable on the command line is not the current folder."""
    script = (
        "import argparse, harness\n"
        "parser = argparse.ArgumentParser()\n"
        "parser.add_argument('--data', type=harness.data_folder, required=True)\n"
        "print(parser.parse_args())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "--data", path],
        cwd=tmp_path, capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join([str(BENCHMARKS), *sys.path])},
    )  # fmt: skip
    assert done.returncode == 2
    assert f"argument --data: {path!r} is no folder: expected that of the real data sets" in done.stderr


@pytest.mark.parametrize("name", NAMED)
def test_every_benchmark_of_real_data_asks_in_the_one_way(name: str) -> None:
    source = (BENCHMARKS / f"{name}.py").read_text(encoding="utf-8")
    assert re.search(r'"--data", type=harness\.data_folder, required=True\)', source)
