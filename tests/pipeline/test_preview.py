"""The first few texts of a run, on the fake engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from variegate.config import RunConfig
from variegate.pipeline.driver.nothing import NothingKeptError
from variegate.pipeline.generate import generate
from variegate.pipeline.preview import MOST_ASKED, preview
from variegate.records import KEPT
from variegate.store.run_folder import RunFolder


def test_labels_take_turns_and_the_folder_is_not_touched(
    config_of: Callable[..., RunConfig], variant: dict[str, Any], tmp_path: Path
) -> None:
    """Under every way of feeding back; the records are those that the run itself begins with."""
    config = config_of(tmp_path / "run", **variant)
    rows = preview(config, 5, start=lambda _: FakeEngine(clean=True))
    assert len(rows) == 5
    assert not (tmp_path / "run").exists()
    if not config.rounds.faithful and not (config.decoding.suppression and config.decoding.suppression.faithful):
        assert [row.request.target.name for row in rows[:3]] == ["apple", "bread", "cheese"]
    generate(config, start=lambda _: FakeEngine(clean=True))
    made = {record.id: record.fields["text"] for record in RunFolder(tmp_path / "run").records()}
    first = [item for row in rows[:3] for item in row.items]
    assert all(made[item.id] == item.fields["text"] for item in first)


def test_what_is_dropped_is_shown_and_made_up_for(config_of: Callable[..., RunConfig], tmp_path: Path) -> None:
    engine = FakeEngine(write=lambda request, rng: f"text {request.key}" if request.slot % 2 else "")
    outcomes = [item.outcome for row in preview(config_of(tmp_path / "run"), 4, start=lambda _: engine) for item in row.items]
    assert outcomes.count(KEPT) == 4
    assert set(outcomes) == {KEPT, "empty"}


def test_nothing_kept_is_said_with_the_next_step(config_of: Callable[..., RunConfig], tmp_path: Path) -> None:
    engine = FakeEngine(write=lambda *_: "")
    with pytest.raises(NothingKeptError, match=f"nothing is kept of the first {3 * MOST_ASKED} texts: 12 empty .*smollm2-135m"):
        preview(config_of(tmp_path / "run"), 3, start=lambda _: engine)
