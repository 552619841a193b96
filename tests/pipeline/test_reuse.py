from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import StoreError
from variegate.pipeline.reuse import Reuse
from variegate.store.run_folder import RunFolder


def test_completions_come_back_as_they_were(row: Callable[..., Any], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    rows = [row(label, slot) for label in ("joy", "fear") for slot in range(4)]
    folder.commit_round(0, rows[:5], {})
    folder.commit_round(1, rows[5:], {})
    reuse = Reuse()
    reuse.add_rounds(folder.round_folders())
    assert len(reuse) == 8
    keys = [each.request.key for each in rows]
    assert keys[3] in reuse
    assert "other" not in reuse
    found = reuse.take([keys[6], keys[1], "other"])
    assert found == {keys[6]: replace(rows[6].completion, num_cached_tokens=0), keys[1]: replace(rows[1].completion, num_cached_tokens=0)}


def test_failed_rows_are_not_offered_but_dropped_ones_are(row: Callable[..., Any], tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.commit_round(0, [row(slot=0, outcome="engine_error"), row(slot=1, outcome="unfinished"), row(slot=2)], {})
    reuse = Reuse()
    reuse.add_rounds(folder.round_folders())
    assert len(reuse) == 2
    assert row(slot=1).request.key in reuse


def test_a_missing_file_is_a_store_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        Reuse().add_rounds([tmp_path / "000000"])
