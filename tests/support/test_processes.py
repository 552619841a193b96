"""Processes of this checkout: they import it and `tests.support`, and are killed when they should be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.processes import ROOT, kill_when, run_script, start_python


def test_they_import_this_checkout_and_its_support(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys, json, variegate, tests.support\nprint('before')\nprint(json.dumps([variegate.__file__, *sys.argv[1:]]))")
    assert run_script(script, "a", 1) == [str(ROOT / "engine" / "variegate" / "__init__.py"), "a", "1"]
    script.write_text("raise ValueError('as it should')")
    with pytest.raises(AssertionError, match="as it should"):
        run_script(script)


def test_a_line_says_that_one_is_ready() -> None:
    with start_python("import sys; print('up', flush=True); print(sys.stdin.read())", ready="up") as process:
        assert process.communicate("told")[0] == "told\n"


def test_killed_when_something_happened(tmp_path: Path) -> None:
    code = "import sys, time, pathlib\nfor n in range(9): pathlib.Path(sys.argv[1], str(n)).touch(); time.sleep(n and 60)"
    kill_when((tmp_path / "1").exists, [sys.executable, "-c", code, str(tmp_path)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    with pytest.raises(AssertionError, match="it ended by itself: 3"):
        kill_when(lambda: False, [sys.executable, "-c", "raise SystemExit(3)"])
