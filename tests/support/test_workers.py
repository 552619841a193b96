"""A machine's cores are shared out, and tests of one engine or file stay together."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.processes import ROOT, environment
from tests.support.workers import arrange, engines_of, share_machine


def shares(count: int, cores: list[int], **before: str) -> list[dict[str, str]]:
    out = []
    for number in range(count):
        own = {"PYTEST_XDIST_WORKER": f"gw{number}", "PYTEST_XDIST_WORKER_COUNT": str(count), **before}
        share_machine(own, cores)
        out.append({name: own[name] for name in ("OMP_NUM_THREADS", "VLLM_CPU_OMP_THREADS_BIND")})
    return out


def test_every_core_has_one_process_and_every_process_a_core() -> None:
    assert shares(2, [0, 1]) == [
        {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "0"},
        {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "1"},
    ]
    assert [each["VLLM_CPU_OMP_THREADS_BIND"] for each in shares(2, [3, 5, 7, 8, 9])] == ["3,7,9", "5,8"]
    assert [each["VLLM_CPU_OMP_THREADS_BIND"] for each in shares(3, [4, 6])] == ["4", "6", "4"]
    assert {each["OMP_NUM_THREADS"] for each in shares(2, [0, 1], OMP_NUM_THREADS="7")} == {"7"}
    alone: dict[str, str] = {}
    share_machine(alone, [0, 1])
    assert alone == {}


def item(nodeid: str, *fixtures: str, slow: bool = False, **params: Any) -> Any:
    marks = {"slow": "yes"} if slow else {}
    return SimpleNamespace(nodeid=nodeid, fixturenames=fixtures, callspec=SimpleNamespace(params=params), get_closest_marker=marks.get)


def test_tests_of_an_engine_are_a_group_wherever_they_stand() -> None:
    assert engines_of(item("a", backend="vllm")) == ["nano_vllm"]
    assert engines_of(item("a", names=("nano_t5_vllm", "nano_t5_transformers"))) == ["nano_t5_vllm", "nano_t5_transformers"]
    assert engines_of(item("a", "encoder", number=3)) == []
    items = [
        item("x.py::light"),
        item("x.py::heavy", slow=True),
        item("y.py::one", "nano_transformers"),
        item("y.py::t5", engine="nano_t5_vllm"),
        item("y.py::llama", "nano_vllm", "nano_transformers"),
        item("z.py::llama", slow=True, backend="vllm"),
    ]
    assert arrange(items) == ["nano_vllm", "nano_vllm", "nano_t5_vllm", "x.py slow", "x.py", "y.py"]
    assert [each.nodeid for each in items] == ["y.py::llama", "z.py::llama", "y.py::t5", "x.py::heavy", "x.py::light", "y.py::one"]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_each_group_is_run_by_one_process(tmp_path: Path, workers: int) -> None:
    """In the conftest of these very tests, on files of their own."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *")
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(
            "import os, pytest\n@pytest.mark.parametrize('n', range(20))\ndef test(n): print('by', __name__, os.environ['PYTEST_XDIST_WORKER'])"
        )
    command = [sys.executable, "-m", "pytest", "-rA", "-c", str(tmp_path / "none.ini"), "-n", str(workers), "--dist", "loadgroup", "."]
    (tmp_path / "none.ini").write_text(f"[pytest]\npythonpath = {ROOT}\nmarkers =\n  slow: s\n  engine: e\n")
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment(PYTHONDONTWRITEBYTECODE="1"))
    assert "80 passed" in done.stdout, done.stdout + done.stderr
    ran = set(re.findall(r"^by (\w+) (gw\d)$", done.stdout, flags=re.MULTILINE))
    assert len(ran) == 4
    assert len({worker for _, worker in ran}) == workers
