"""Where the real data sets are, and what becomes of the tests that need them. Knows nothing of what is in the sets.

A conftest.py that imports `data_folder` and the hook has both. No other test reads VARIEGATE_DATA.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config.resources import data_root

BESIDE = Path(__file__).parents[3] / "shared" / "data"
MISSING = "needs the real data sets: set VARIEGATE_DATA to their folder"


def find_data(beside: Path) -> Path | None:
    """The folder that VARIEGATE_DATA names; without it (an empty one counts as none) `beside`, if that is there.

    Raises pytest.UsageError where the variable names no folder: a test run that was told of data does not leave its tests out.
    """
    named = data_root()
    if named is not None and not named.is_dir():
        raise pytest.UsageError(f"VARIEGATE_DATA is {str(named)!r}: expected the folder of the real data sets; correct or unset it")
    return named or (beside if beside.is_dir() else None)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets."""
    folder = find_data(BESIDE)
    if folder is None:
        pytest.skip(MISSING)
    return folder.absolute()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that asks for `data_folder`, itself or through a fixture, is marked `data`; where there is no data, it is skipped
    before any other of its fixtures, such as an engine, starts."""
    missing = find_data(BESIDE) is None
    for item in items:
        if "data_folder" in getattr(item, "fixturenames", ()):
            item.add_marker("data")
            if missing:
                item.add_marker(pytest.mark.skip(reason=MISSING))
