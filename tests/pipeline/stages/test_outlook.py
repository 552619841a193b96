"""What would be made, told beforehand, is what is then made; and telling it makes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.whole_run import load, make_run, statuses, write_run_file
from variegate.errors import UsageError
from variegate.pipeline.stages.outlook import look_ahead
from variegate.pipeline.stages.stage import NAMES

Copy = Callable[[], Path]


def files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "override",
    ["seed=0", "target.per_label=9", "curate.stages.relabel.margin=0.9", "measure.k=3", "train.student.C=0.1", "evaluate.baselines=false"],
)
def test_of_a_run_that_is_made_and_of_a_changed_one(copy: Copy, override: str) -> None:
    run_file = copy()
    before = files(run_file.parent)
    outcomes, plan = look_ahead(*load(run_file, override))
    assert files(run_file.parent) == before
    told = {each.stage: each.status for each in outcomes}
    made = statuses(make_run(run_file, override))
    first = next(name for name in NAMES if told[name] == "made")
    assert first == next(name for name in NAMES if made[name] == "made")
    assert [told[name] for name in NAMES] == sorted(told.values(), reverse=True)  # from the first on, all
    assert plan.kept == 24


def test_of_a_new_run(tiny_encoder: Path, tmp_path: Path) -> None:
    run_file = write_run_file(tmp_path, tiny_encoder, measure=None)
    outcomes, plan = look_ahead(*load(run_file), until="train")
    assert not (tmp_path / "run").exists()
    assert [(each.stage, each.status) for each in outcomes] == [
        ("generate", "made"), ("curate", "made"), ("measure", "skipped"), ("train", "made")]  # fmt: skip
    assert outcomes[3].words == "linear_svc on the records of curation checked, 2 times"
    assert (plan.target, plan.kept, plan.estimate) == (24, 0, None)


def test_starting_over_makes_all(copy: Copy) -> None:
    outcomes, _ = look_ahead(*load(copy()), resume="never")
    assert {each.status for each in outcomes} == {"made"}


def test_what_would_be_refused_is_refused(tiny_encoder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="measure: reference: dev"):
        look_ahead(*load(write_run_file(tmp_path, tiny_encoder), "measure.reference=dev"))
