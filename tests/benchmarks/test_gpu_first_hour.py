"""gpu_first_hour.py on a machine without a GPU: its plan, the small twins of its parts, and what it does when a part fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_first_hour.py"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def first_hour(tmp_path: Path, *arguments: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and what the result file says of the parts."""
    output = tmp_path / "found.json"
    done = run("--cpu", "--output", str(output), *arguments, **environment)
    whole = json.loads(output.read_text())
    assert set(whole) == {"date", "command", "machine", "parts"}
    return done.returncode, whole["parts"]


def broken(tmp_path: Path, module: str, code: str) -> str:
    """A folder for PYTHONPATH, in which this module does nothing but `code`."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / f"{module}.py").write_text(f"{code}\n")
    return str(tmp_path / "site")


def planned() -> list[list[str]]:
    *lines, last = run("--dry-run").stdout.splitlines()
    assert last.split()[0] == "all"
    return [line.split(maxsplit=5) for line in lines[1:]]


def test_the_plan_fits_into_nine_minutes_and_begins_with_the_smoke_tests() -> None:
    rows = planned()
    assert [row[0] for row in rows[:2]] == ["smoke", "smoke_engines"]
    assert sum(int(row[1]) for row in rows) <= 540
    assert all(int(row[1]) < int(row[3]) for row in rows)
    assert all(row[5] for row in rows)
    everything = run("--dry-run", "--all").stdout
    assert "pairwise_huge" in everything
    assert "no limit" in everything


def test_a_part_that_is_not_known_is_refused() -> None:
    done = run("--only", "smok")
    assert done.returncode == 2
    assert "smoke" in done.stderr


@pytest.mark.slow
def test_the_small_twin_of_every_part_runs(tmp_path: Path) -> None:
    names = [row[0] for row in planned() if row[0] != "generate_256"]  # `generate` with another number
    code, parts = first_hour(tmp_path, "--only", *names, "--budget", "1200")
    assert {name: part["state"] for name, part in parts.items()} == dict.fromkeys(names, "done"), parts
    assert code == 0
    assert parts["smoke_engines"]["results"]["encoder_decoder"]["found"]["equal"] == 20
    assert parts["generate"]["results"]["end_to_end"]["found"]["variegate_over_bare"]["median"] > 0
    assert parts["t5"]["results"]["tiny"]["found"]["steps"]["all"] > 0
    assert parts["near_copies"]["results"]["find_duplicates"]["found"]["dropped"] == 100
    assert parts["student"]["results"]["finetune"]["found"]["differs"] == 0
    assert all(f"== {name}: done" in (tmp_path / "found.log").read_text() for name in names)


@pytest.mark.slow
def test_a_part_that_fails_leaves_what_it_had_and_the_others_run(tmp_path: Path) -> None:
    """A package that breaks on import."""
    site = broken(tmp_path, "tokenizers", "raise RuntimeError('this build is broken')")
    code, parts = first_hour(tmp_path, "--only", "embedding", "pairwise", PYTHONPATH=site)
    assert code == 1
    assert parts["embedding"]["state"] == "failed"
    assert "this build is broken" in "\n".join(parts["embedding"]["output_tail"])
    assert parts["pairwise"]["state"] == "done"


@pytest.mark.slow
def test_a_package_that_is_missing_is_named_and_is_no_failure(tmp_path: Path) -> None:
    site = broken(tmp_path, "faiss", "raise ImportError('No module named faiss, hidden')")
    _, parts = first_hour(tmp_path, "--only", "smoke", PYTHONPATH=site)
    assert "hidden" in parts["smoke"]["results"]["faiss"]["found"]["unmeasured"]
    assert parts["smoke"]["results"]["pairwise"]["found"]


@pytest.mark.slow
def test_a_part_whose_own_modules_are_missing_is_unmeasured_and_names_them(tmp_path: Path) -> None:
    site = broken(tmp_path, "datasketch", "raise ModuleNotFoundError(\"No module named 'datasketch'\")")
    code, parts = first_hour(tmp_path, "--only", "near_copies", "t5_attention", PYTHONPATH=site)
    assert code == 0
    assert (parts["near_copies"]["state"], parts["near_copies"]["missing"]) == ("unmeasured", "datasketch")
    assert parts["t5_attention"]["state"] == "done"


@pytest.mark.slow
def test_a_part_out_of_time_is_stopped_and_what_it_had_is_kept(tmp_path: Path) -> None:
    code, parts = first_hour(tmp_path, "--only", "smoke_engines", "pairwise", "--budget", "5")
    assert code == 1
    assert parts["smoke_engines"]["state"] == "timed out"
    assert parts["smoke_engines"]["seconds"] < 30
    assert parts["pairwise"] == {"state": "not begun", "expected": 50}
