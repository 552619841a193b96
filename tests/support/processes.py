"""Python in a process of its own, importing this checkout and `tests.support`, whatever is installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def environment(**added: str) -> dict[str, str]:
    """This process's environment, with the source roots of this checkout and its root on the path."""
    path = os.pathsep.join(str(ROOT / name) for name in ("engine", "kernels", "."))
    before = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": f"{path}{os.pathsep}{before}" if before else path, **added}


def run_script(script: Path, *arguments: object, timeout: float = 300) -> Any:
    """Run a Python file; returns what the last line it printed says as JSON. Fails, with what it wrote to stderr, where it fails."""
    command = [sys.executable, str(script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def kill_when(
    happened: Callable[[], bool],
    command: Sequence[str],
    *,
    after: float = 0.0,
    timeout: float = 400,
    env: Mapping[str, str] | None = None,
) -> None:
    """Start a command and end it with SIGKILL `after` seconds from when `happened`. Fails where it ends by itself before."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env or environment())
    deadline = time.monotonic() + timeout
    while not happened() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, f"it ended by itself: {process.returncode}"


def start_python(code: str, *arguments: object, ready: str = "") -> subprocess.Popen[str]:
    """Start Python code, its input and output pipes; returns when it has printed the line `ready`, where one is given."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    if ready:
        assert process.stdout.readline() == f"{ready}\n"
    return process
