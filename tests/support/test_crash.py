"""The crash harness kills where it says, and tells careful work from careless."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.processes import run_script


def test_every_operation_is_killed_at_and_careless_work_is_found_out(tmp_path: Path) -> None:
    found = run_script(Path(__file__).with_name("crash_script.py"), tmp_path)
    # mkdir of the folder, and of it once more as a parent; create, write, fsync, replace, unlink of what is gone, fsync
    assert found["good"] == {"killed": 8, "different": []}
    assert found["careless"] == {"killed": 4, "different": [3, 4]}
    assert found["before it is there"] == [-signal.SIGKILL, False]
    assert found["torn"] == [-signal.SIGKILL, "01234"]
    assert (found["late"], found["fails"]) == (0, 1)
