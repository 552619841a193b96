"""Which real texts a run had before it: all of a small train file, else what the run drew; never a held-out text."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "students"))
from planted import LABELS, planted, write_jsonl

from variegate.config import TaskConfig
from variegate.pipeline.examples import FEW, RealTexts, find_real_texts
from variegate.strategies.pool import Example
from variegate.students import LabelledTexts

GIVEN = [Example("seed:0", {"text": "the cat sleeps"}, "cat"), Example("seed:1", {"text": "a dog runs"}, "dog")]


def task(**data: Any) -> TaskConfig:
    labels = {label: {"phrase": label, "description": f"It is about a {label}."} for label in LABELS}
    return TaskConfig.model_validate(
        {"kind": "classification", "name": "animals", "text_type": "text", "context": "Write.", "labels": labels, "data": data or None}
    )


def test_all_of_a_small_train_file(tmp_path: Path) -> None:
    texts = planted(FEW)
    found = find_real_texts(task(train=str(write_jsonl(tmp_path / "train.jsonl", texts))), GIVEN, seed=0)
    assert found.examples is not None
    assert (found.examples.texts, found.examples.labels, found.train) == (texts.texts, texts.labels, None)


def test_of_a_large_one_what_the_run_drew_or_would_draw(tmp_path: Path) -> None:
    texts = planted(FEW + 1)
    path = write_jsonl(tmp_path / "train.jsonl", texts)
    found = find_real_texts(task(train=str(path)), GIVEN, seed=0)
    assert found.examples is not None
    assert (found.examples.texts, found.examples.labels) == (("the cat sleeps", "a dog runs"), ("cat", "dog"))
    assert found.train is not None
    assert found.train.texts == texts.texts
    test = write_jsonl(tmp_path / "test.jsonl", texts.take(range(40)))
    drawn = find_real_texts(task(train=str(path), test=str(test)), [], seed=0).examples
    assert drawn is not None
    assert set(drawn.label_counts.values()) == {6}
    assert set(drawn.texts) <= set(texts.texts[40:])
    other = find_real_texts(task(train=str(path), test=str(test)), [], seed=1).examples
    assert other is not None
    assert other.texts != drawn.texts


def test_without_a_train_file(tmp_path: Path) -> None:
    assert find_real_texts(task(), [], seed=0) == RealTexts()
    gone = find_real_texts(task(train=str(tmp_path / "gone.jsonl")), GIVEN, seed=0)
    assert gone.examples is not None
    assert (len(gone.examples), gone.train) == (2, None)
    assert "gone.jsonl: no such file: no student of real texts stands beside" in gone.notes[0]


@pytest.mark.parametrize("held_out_first", [False, True])
def test_held_out_texts_other_labels_and_other_forms_are_left_out(held_out_first: bool) -> None:
    texts, more = planted(30), planted(8, seed=7, source="test")
    leaked = LabelledTexts((*more.texts, texts.texts[4].upper()), (*more.labels, "cat"), (*more.ids, "x"), "test")
    held_out = [leaked, more] if held_out_first else [more, leaked]
    found = RealTexts(texts).apart_from(held_out, {"dog"})
    assert found.examples is not None
    assert texts.texts[4] not in found.examples.texts
    assert "dog" not in found.examples.labels
    assert any("1 texts stand in test too, and were left out" in note for note in found.notes)
    pairs = LabelledTexts((("a", "b"),), ("cat",), ("1",), "pairs")
    apart = RealTexts(pairs).apart_from([more])
    assert apart.examples is None
    assert apart.notes == ("pairs: text pairs, and the student reads single texts: no student of them stands beside it",)
