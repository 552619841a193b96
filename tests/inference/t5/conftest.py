"""The engines that T5's tests share."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """`parity.Engines`."""
    parity = runpy.run_path(str(Path(__file__).with_name("parity.py")))
    running = parity["Engines"](tmp_path_factory.mktemp("engines"))
    yield running
    running.close()
