"""On how many texts cells are compared, and which of them makes those few: by hand."""

from __future__ import annotations

import random
from pathlib import Path

from tests.support import chatter
from tests.support.engine import FakeEngine
from variegate.pipeline.comparison.places import describe, places_of
from variegate.pipeline.comparison.sizes import expected_size, notes_on_size, size_of
from variegate.pipeline.generate import generate
from variegate.records import Request
from variegate.store.formats import state_format


def test_the_smallest_cell_is_named() -> None:
    assert size_of(None, {"a": 30, "b": 12, "c": 20}) == {"n": 12, "rule": "as many as b has, the smallest cell", "cell": "b"}
    assert size_of(None, {"a": 12, "b": 12}) == {"n": 12, "rule": "as many as every cell has", "cell": None}
    assert size_of(50, {"a": 12}) == {"n": 50, "rule": "as asked", "cell": None}
    assert size_of(None, {})["n"] == 0


def test_a_cell_far_below_the_others_is_a_note() -> None:
    def notes(counts: dict[str, int], *, expected: bool = False) -> list[str]:
        return notes_on_size(size_of(None, counts), counts, expected=expected)

    assert notes({"a": 100, "b": 79, "c": 100}) == [
        "all cells are compared on 79 texts, as many as b has; the median cell has 100: `train_size` sets another number"
    ]
    assert notes({"a": 100, "b": 79, "c": 100}, expected=True)[0].startswith("all cells will be compared on 79 texts")
    assert notes({"a": 100, "b": 80, "c": 100}) == []


def five_texts(request: Request, rng: random.Random) -> str:
    return f"{('one', 'two', 'three', 'four', 'five')[request.slot % 5]} of {request.target.name}" if request.target.labels else "warm"


def test_before_anything_is_made_it_is_known_as_far_as_it_can_be(tmp_path: Path) -> None:
    """24 texts are asked for, and `half` keeps half of them; of a run that is there the kept ones count."""
    curations = {"half": {"stages": [{"kind": "denoise", "keep": 0.5}]}}
    study = chatter.make_study(tmp_path, axes={"temperature": [0.3, 2.0], "curation": ["none", "half"]}, curations=curations, replicates=1)
    rows = describe(study)
    assert [row["texts"] for row in rows] == [24, 12, 24, 12]
    size, notes = expected_size(None, rows)
    assert (size["n"], size["cell"]) == (12, "temperature-0.3_r0+half")
    assert notes == [
        "all cells will be compared on 12 texts, as many as temperature-0.3_r0+half has; the median cell has 18: `train_size` sets another number"
    ]
    assert expected_size(20, rows)[1] == [
        "train_size 20 is more than these cells have: temperature-0.3_r0+half (12), temperature-2_r0+half (12): their measures will not be at equal size"
    ]
    state_format(Path(study.output))
    generate(places_of(study)[0].run, start=lambda _: FakeEngine(write=five_texts, lent=True))
    assert [row["texts"] for row in describe(study)] == [15, 8, 24, 12]
