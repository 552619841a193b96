"""Records, exports, curations and votes of three small runs are what they were. See fixed_runs.py for how to store others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.fixed_runs import HASHES, rounded
from tests.support.processes import run_script


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_script(Path(__file__).with_name("fixed_runs.py"), tmp_path_factory.mktemp("fixed"))


def test_they_are_what_they_were(made: dict[str, Any]) -> None:
    assert made == json.loads(HASHES.read_text())


def test_a_killed_run_that_goes_on_is_the_finished_one(made: dict[str, Any]) -> None:
    assert made["resumed"] == made["finished"]
    assert made["curated"]["records.jsonl"] == made["finished"]["records.jsonl"]
    assert not set(made["killed"].values()) & set(made["finished"].values())
    assert "records.jsonl" not in made["killed"]
    assert len(set(made["curated"].values())) == len(made["curated"])


def test_hashes_do_not_depend_on_last_digits() -> None:
    assert rounded({"a": [0.1 + 0.2, "0.30000000000000004", "0.3 of it", 3, None]}) == {"a": [0.3, "0.3", "0.3 of it", 3, None]}
