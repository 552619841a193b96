"""A function in a process of its own: answers, errors, Ctrl-C, death on either side. Real processes throughout."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import BackendError, UsageError, VariegateError
from variegate.pipeline.workers import run_in_worker

# What the other process imports: a module of its own, found through PYTHONPATH.
JOBS = """
import os, signal, time
from variegate.errors import BackendError, UsageError

def add(exchange, a, b):
    return a + b

def ask(exchange, count):
    return [exchange(number) for number in range(count)] + [os.getpid()]

def usage(exchange):
    raise UsageError("no such thing: take another")

def backend(exchange):
    raise BackendError("no engine")

def broken(exchange):
    return {}["missing"]

def killed(exchange):
    os.kill(os.getpid(), signal.SIGKILL)

def leaves(exchange):
    os._exit(7)

def waits(exchange, folder):
    try:
        exchange("started")
        time.sleep(60)
    finally:
        time.sleep(0.3)  # the parent's own signal comes meanwhile
        open(os.path.join(folder, "ended"), "w").close()

def holds(exchange, folder):
    open(os.path.join(folder, str(os.getpid())), "w").close()
    exchange("started")
    while True:
        time.sleep(0.05)
"""


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "worker_jobs.py").write_text(JOBS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "worker_jobs"


def nothing(message: Any) -> None:
    raise AssertionError(f"no message was expected, got {message!r}")


def gone(pid: int) -> bool:
    """Whether a process has ended; one that is only not collected yet has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def eventually(check: Callable[[], bool], seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while not check() and time.monotonic() < deadline:
        time.sleep(0.02)
    return check()


def test_the_result_comes_back_from_another_process(jobs: str) -> None:
    assert run_in_worker(f"{jobs}:add", 2, 3, on_message=nothing) == 5
    *answers, pid = run_in_worker(f"{jobs}:ask", 4, on_message=lambda number: number * number)
    assert answers == [0, 1, 4, 9]
    assert pid != os.getpid()
    assert gone(pid)


@pytest.mark.parametrize(
    ("function", "kind", "words"),
    [
        ("usage", UsageError, "^no such thing: take another$"),
        ("backend", BackendError, "^no engine$"),
        ("broken", VariegateError, "broken: KeyError: 'missing': this is an error in Variegate"),
        ("killed", VariegateError, r"the process of killed was ended by signal SIGKILL \(usually because memory was short"),
        ("leaves", VariegateError, "the process of leaves ended with exit code 7 and no result. Run the same command again"),
    ],
)
def test_how_it_fails_is_told(jobs: str, function: str, kind: type[VariegateError], words: str) -> None:
    with pytest.raises(VariegateError, match=words) as error:
        run_in_worker(f"{jobs}:{function}", on_message=nothing)
    assert type(error.value) is kind


def test_an_error_on_this_side_ends_the_other_which_still_cleans_up(jobs: str, tmp_path: Path) -> None:
    def refuse(message: Any) -> None:
        raise UsageError("enough")

    started = time.monotonic()
    with pytest.raises(UsageError, match="enough"):
        run_in_worker(f"{jobs}:waits", str(tmp_path), on_message=refuse)
    assert time.monotonic() - started < 20
    assert (tmp_path / "ended").exists()


def parent_script(folder: Path, wait_on: str) -> subprocess.Popen[str]:
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(folder)!r})\n"
        "from variegate.pipeline.workers import run_in_worker\n"
        "if __name__ == '__main__':\n"
        "    try:\n"
        f"        run_in_worker('worker_jobs:{wait_on}', {str(folder)!r}, on_message=lambda m: print(m, flush=True))\n"
        "    except KeyboardInterrupt:\n"
        "        sys.exit(130)\n"
    )
    (folder / "parent.py").write_text(code)
    return subprocess.Popen([sys.executable, str(folder / "parent.py")], stdout=subprocess.PIPE, text=True, start_new_session=True)


def test_ctrl_c_ends_both(jobs: str, tmp_path: Path) -> None:
    parent = parent_script(tmp_path, "waits")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    assert parent.wait(timeout=30) == 130
    assert (tmp_path / "ended").exists()


def test_it_does_not_outlive_a_killed_parent(jobs: str, tmp_path: Path) -> None:
    parent = parent_script(tmp_path, "holds")
    assert parent.stdout is not None
    assert parent.stdout.readline() == "started\n"
    (pid,) = [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]
    assert not gone(pid)
    parent.kill()
    parent.wait()
    assert eventually(lambda: gone(pid))
