import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.real_data import find_data

ROOT = Path(__file__).parents[2]

CONFTEST = """\
from pathlib import Path
import pytest
from tests.support import real_data
from tests.support.real_data import data_folder, pytest_collection_modifyitems

real_data.BESIDE = Path("nothing")

@pytest.fixture
def engine():
    print("the engine starts")

@pytest.fixture
def rows(data_folder):
    return list(data_folder.iterdir())
"""
TESTS = """\
def test_of_data(engine, rows): assert not rows
def test_of_none(engine): pass
"""


def run_pytest(folder: Path, named: str, *options: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_some.py").write_text(TESTS)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = data")
    places = os.pathsep.join(str(place) for place in (ROOT, ROOT / "engine", ROOT / "kernels"))
    environment = os.environ | {"PYTHONPATH": places, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": "", "VARIEGATE_DATA": named}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-s", "-rs", *options, str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout


def test_without_data_its_tests_are_skipped_before_anything_starts(tmp_path: Path) -> None:
    out = run_pytest(tmp_path, "")
    assert "1 passed, 1 skipped" in out
    assert "needs the real data sets: set VARIEGATE_DATA" in out
    assert out.count("the engine starts") == 1


def test_the_tests_that_ask_for_data_are_marked(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    assert "1 passed, 1 deselected" in run_pytest(tmp_path, str(tmp_path / "data"), "-m", "data")


def test_a_folder_that_is_named_and_not_there_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIEGATE_DATA", "gone")
    with pytest.raises(pytest.UsageError, match="VARIEGATE_DATA is 'gone': expected the folder of the real data sets"):
        find_data(tmp_path)


def test_the_variable_goes_before_the_folder_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside, named = tmp_path / "beside", tmp_path / "named"
    beside.mkdir()
    named.mkdir()
    monkeypatch.setenv("VARIEGATE_DATA", "")
    assert find_data(beside) == beside
    assert find_data(tmp_path / "nothing") is None
    monkeypatch.setenv("VARIEGATE_DATA", str(named))
    assert find_data(beside) == named


def test_one_place_of_each_tree_reads_the_variable() -> None:
    """Others ask for `data_folder` and for `data_root()`: CI finds the tests that need the data by the fixture."""
    reads = re.compile(
        r"""environ(\.get\(|\[)["']VARIEGATE_DATA["'](?!\] =)|["']VARIEGATE_DATA["'] (not )?in\b|getenv\(["']VARIEGATE_DATA"""
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for folder in ("engine", "kernels", "tests", "benchmarks", "docs")
        for path in (ROOT / folder).rglob("*.py")
        if reads.search(path.read_text(encoding="utf-8"))
    }
    assert found == {"engine/variegate/config/resources.py"}
