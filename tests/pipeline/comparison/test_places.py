"""Folders of cells: readable, safe, one for each data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from variegate.errors import ConfigError, UsageError
from variegate.pipeline.comparison.places import places_of, runs_of


def names(tmp_path: Path, **parts: Any) -> list[str]:
    return [place.run_id for place in runs_of(places_of(chatter.make_study(tmp_path, curations={}, replicates=1, **parts)))]


def test_a_cells_name_says_its_options(tmp_path: Path) -> None:
    places = places_of(chatter.make_study(tmp_path))
    assert [place.id for place in places][:4] == [
        "temperature-0.3_r0+none", "temperature-0.3_r1+none", "temperature-0.3_r0+lr", "temperature-0.3_r1+lr"]  # fmt: skip
    assert places[0].folder == tmp_path / "study" / "runs" / "temperature-0.3_r0"
    assert len(runs_of(places)) == 4
    assert names(tmp_path, axes={}) == ["r0"]
    (place,) = places_of(chatter.make_study(tmp_path, axes={}, curations={}, replicates=1))
    assert place.id == "r0"  # no `+` without a curation axis


def test_cells_of_one_run_are_told_apart_by_what_the_student_learns_from(tmp_path: Path) -> None:
    places = places_of(chatter.make_study(tmp_path, axes={"curation": ["none", "lr"], "examples": ["without", "with"]}, replicates=1))
    assert [place.id for place in places] == [
        "r0+none+without-examples", "r0+none+with-examples", "r0+lr+without-examples", "r0+lr+with-examples"]  # fmt: skip
    assert {place.folder for place in places} == {tmp_path / "study" / "runs" / "r0"}


def test_names_that_would_be_one_are_told_apart(tmp_path: Path) -> None:
    own = {"a": {"decoding.temperature": 0.1}, "A": {"decoding.temperature": 0.2}}
    found = names(tmp_path, axes={"own": own})
    assert len({name.casefold() for name in found}) == 2
    assert all(name.casefold().startswith("own-a_r0-") for name in found)
    # x_b-y, z and x, y_b-z: the same when written down
    axes = {
        "a": {"x": {"decoding.temperature": 0.1}, "x_b-y": {"decoding.temperature": 0.2}},
        "b": {"z": {"decoding.top_p": 0.1}, "y_b-z": {"decoding.top_p": 0.2}},
    }
    assert len(set(names(tmp_path, axes=axes))) == 4


def test_a_long_name_is_cut_and_stays_unique(tmp_path: Path) -> None:
    own = {"o" * 90 + end: {"decoding.temperature": heat} for end, heat in (("a", 0.1), ("b", 0.2))}
    more = {"p" * 90: {"decoding.top_p": 0.5}}
    found = names(tmp_path, axes={"own": own, "more": more})
    assert len(set(found)) == 2
    assert all(len(name) <= 170 for name in found)


def test_names_stay_when_an_option_is_added(tmp_path: Path) -> None:
    few = names(tmp_path, axes={"temperature": [0.3, 2.0]})
    assert set(few) < set(names(tmp_path, axes={"temperature": [0.3, 1.0, 2.0]}))


def test_curations_whose_names_differ_in_case_alone_are_refused(tmp_path: Path) -> None:
    curations = {name: {"stages": [{"kind": "denoise", "keep": keep}]} for name, keep in (("a", 0.5), ("A", 0.6))}
    with pytest.raises(ConfigError, match=r"two cells have the name 'temperature-0.3_r0\+a': rename an option"):
        places_of(chatter.make_study(tmp_path, axes={"temperature": [0.3], "curation": ["a", "A"]}, curations=curations))


def test_a_model_that_is_not_there_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no folder /nowhere"):
        names(tmp_path, axes={"model": {"a": {}, "b": {"model.path": "/nowhere"}}})
