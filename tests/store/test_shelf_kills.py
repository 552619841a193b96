"""The shelf under kill -9: a process dies at each of its file operations, and while rows are written; another one goes on.

What a kill leaves is whole and has no gap, nothing of what stood there is lost, and in the end the bytes are those of a shelf that was
never disturbed. See shelf_kills_script.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.processes import run_script


@pytest.mark.slow
def test_killed_everywhere_several_times_and_between_rows(tmp_path: Path) -> None:
    found = run_script(Path(__file__).with_name("shelf_kills_script.py"), tmp_path)
    assert {name: kills["different"] for name, kills in found.items()} == {name: [] for name in found}
    least = {"made": 60, "changed": 50, "changed back and cut short": 8, "several times and between rows": 20}
    assert {name: found[name]["killed"] >= number for name, number in least.items()} == dict.fromkeys(least, True)
