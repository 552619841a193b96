"""What a reader is told beside a study's numbers: of arms that are much the same, and of what was made under feedback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from variegate.config.study import StudyConfig
from variegate.pipeline.comparison.notes import notes_of
from variegate.pipeline.comparison.places import Place, places_of, runs_of
from variegate.pipeline.comparison.real import Encoders, RealData
from variegate.pipeline.comparison.score import read_sample
from variegate.pipeline.curation.curate import curate
from variegate.pipeline.generate import generate
from variegate.progress import Silent
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts

SUPPRESSION = {"suppression": ["off", "label"]}


def study_of(folder: Path, *, per_label: int = 20, first: int | None = None, run: Any = None, **parts: Any) -> StudyConfig:
    """Without curations, unless told otherwise."""
    rounds = {"rounds": {"first": first}, **(run or {})}
    return chatter.make_study(folder, per_label=per_label, run=rounds, **{"axes": SUPPRESSION, "curations": {}, "replicates": 1, **parts})


def notes(study: StudyConfig, about: str) -> list[str]:
    """Those that hold `about`. The cells are made on the fake engine; nothing is measured."""
    places = places_of(study)
    for place in runs_of(places):
        generate(place.run, start=lambda _: chatter.wordy_engine())
    for place in places:
        if place.curation is not None:
            curate(RunFolder(place.folder), place.curation, str(place.cell.curation))
    real = RealData(study, Path(study.output), Encoders(study.encoder, None), Silent())
    samples = {place.id: read_sample(place, real) for place in places}
    return [note for note in notes_of(study, real, places, [], samples) if about in note]


def shared_of(one: Place, other: Place) -> float:
    mine, theirs = (set(read_texts(place.folder).texts or ()) for place in (one, other))
    return len(mine & theirs) / min(len(mine), len(theirs))


ADVICE = "Suppression acts after a label's first block alone: lower rounds.first, or raise the target"


def test_arms_that_share_their_first_blocks_are_said_with_the_share(tmp_path: Path) -> None:
    """Nothing is suppressed in a label's first block, so both arms have its texts; here it is half of 20."""
    study = study_of(tmp_path, first=10)
    assert notes(study, "share") == [
        f"(suppression off) and (suppression label) share 50% of their texts: what differs between them is diluted. {ADVICE}"
    ]
    assert shared_of(*places_of(study)) == 0.5


def test_arms_that_differ_are_not(tmp_path: Path) -> None:
    study = study_of(tmp_path, first=2)  # 2 of 20: a tenth, and not more
    assert notes(study, "share") == []
    assert shared_of(*places_of(study)) == 0.1


@pytest.mark.slow
def test_each_two_arms_are_said_once_with_the_mean_of_their_replicates(tmp_path: Path) -> None:
    """Two temperatures share nothing; of what they do not differ in, nothing is said."""
    axes = {"temperature": [0.3, 2.0], **SUPPRESSION, "curation": ["none", "half"]}
    half = {"half": {"stages": [{"kind": "duplicates"}]}}
    study = study_of(tmp_path, per_label=8, first=4, axes=axes, curations=half, replicates=3)
    found = notes(study, "share")
    assert [note.partition(" share ")[0] for note in found] == [
        f"(temperature {heat}, suppression off) and (temperature {heat}, suppression label)" for heat in ("0.3", "2")
    ]
    runs = runs_of(places_of(study))
    for note, heat in zip(found, ("0.3", "2"), strict=True):
        arms = [[each for each in runs if each.cell.generation == {"temperature": heat, "suppression": on}] for on in ("off", "label")]
        mean = sum(shared_of(*each) for each in zip(*arms, strict=True)) / 3
        assert f" share {mean:.0%} of their texts" in note


def test_the_advice_on_suppression_is_for_arms_that_differ_in_it(tmp_path: Path) -> None:
    """What is stored of a text does not change what is written: both arms have the same texts."""
    study = study_of(tmp_path, axes={"limit": {"few": {"target.max_attempts": 3}, "more": {"target.max_attempts": 4}}})
    assert notes(study, "share") == ["(limit few) and (limit more) share 100% of their texts: what differs between them is diluted"]


def test_replicates_that_do_not_differ_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with greedy decoding: what is written follows from the slot alone."""
    words = ("an old cat", "my rain coat", "the first loan", "some deep snow", "every otter", "his tax form", "a warm breeze", "her wallet")
    monkeypatch.setattr(chatter, "write_remark", lambda request, rng: f"{words[request.slot % 8]} {request.target.name}")
    study = study_of(tmp_path, per_label=8, axes={"temperature": [0.3, 2.0]}, replicates=2)
    same = "replicates have the very same texts (greedy decoding?), so they say nothing of chance"
    assert notes(study, "replicates have") == [f"(temperature 0.3): {same}", f"(temperature 2): {same}"]


def test_cells_of_one_run_share_its_texts_without_a_word(tmp_path: Path) -> None:
    assert notes(study_of(tmp_path, axes={"examples": ["without", "with"]}), "very same texts") == []


@pytest.mark.slow
def test_each_arm_says_what_share_of_it_was_made_under_feedback(tmp_path: Path) -> None:
    """Worked out by hand: 2 of 20 a label are made before anything is known. An arm without feedback says nothing."""
    made = "of its records were made under feedback (suppression, a growing pool or a history)"
    assert notes(study_of(tmp_path, first=2, replicates=2), "under feedback") == [f"(suppression label): 90% {made}"]


def test_suppression_that_never_acts_is_said(tmp_path: Path) -> None:
    made = "of its records were made under feedback (suppression, a growing pool or a history)"
    assert notes(study_of(tmp_path, per_label=8), "under feedback") == [f"(suppression label): 0% {made}"]


def test_a_growing_pool_is_feedback_too(tmp_path: Path) -> None:
    few = {"strategy": {"kind": "few_shot", "form": "li", "seed_pool": 0, "completions_per_call": 2}}
    study = study_of(tmp_path, first=5, run=few, axes={"temperature": [0.3]})
    assert [note.partition(" of its")[0] for note in notes(study, "under feedback")] == ["(temperature 0.3): 75%"]
