"""The work of S3: a student of what a run made, its errors among real examples, with a real student throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import remarks
from tests.support.tiny_bert import write_bert
from variegate.errors import VariegateError
from variegate.kinds import kind_of
from variegate.pipeline.gold import Gold
from variegate.pipeline.works import DOERS, Desk
from variegate.progress import Silent
from variegate.strategies.pool import Example

ANIMAL, MONEY, WEATHER = "the cat a dog", "my bank our loan", "this rain the snow"


def desk(tmp_path: Path, *validation: tuple[str, str], select: tuple[tuple[str, str], ...] = ((ANIMAL, "animals"),)) -> Desk:
    def examples(name: str, rows: Any) -> tuple[Example, ...]:
        return tuple(Example(f"{name}:{n}", {"text": text, "label": label}, label) for n, (text, label) in enumerate(rows))

    config = remarks.make_config(tmp_path / "run")
    return Desk(config, kind_of(config.task), Gold(examples("validation", validation), examples("select", select)), Silent())


def do(desk: Desk, *texts: tuple[str, str], seeds: int = 1) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    train = [[f"t{n}", {"text": text, "label": label}] for n, (text, label) in enumerate(texts)]
    student = desk.config.strategy.model_dump(mode="json")["student"]
    rows, facts = DOERS.find("student").do(desk, {"train": train, "student": student, "seeds": seeds})
    return [dict(row) for row in rows], dict(facts)


TRAIN = ((f"{ANIMAL} again", "animals"), (f"{MONEY} again", "money"), (f"{WEATHER} again", "weather"))


def test_it_tells_of_each_example_what_the_student_says(tmp_path: Path) -> None:
    """Labels set wrong on purpose: 0 -> 2, which the released code does not see, is an error like any other."""
    bench = desk(tmp_path, (ANIMAL, "animals"), (WEATHER, "animals"), (ANIMAL, "weather"))
    rows, facts = do(bench, *TRAIN)
    assert [(row["id"], row["label"], row["said"], row["right"]) for row in rows] == [
        ("validation:0", "animals", ["animals"], 1.0),
        ("validation:1", "animals", ["weather"], 0.0),
        ("validation:2", "weather", ["animals"], 0.0),
        ("select:0", "animals", ["animals"], 1.0),
    ]
    assert rows[1]["fields"] == {"text": WEATHER, "label": "animals"}
    assert "fields" not in rows[3]  # of select nothing can stand in a prompt
    assert rows[0]["hardness"] < 0 < rows[1]["hardness"] <= 1
    assert all(0 < row["confidence"][0] <= 1 for row in rows)
    assert facts["validation"] == {"n": 3, "accuracy": 1 / 3}
    assert facts["select"] == {"n": 1, "accuracy": 1.0}
    assert do(bench, *TRAIN)[0] == rows


def test_what_stands_in_the_select_split_is_not_trained_on(tmp_path: Path) -> None:
    _, facts = do(desk(tmp_path, (ANIMAL, "animals"), select=((f"{ANIMAL.upper()} again", "animals"),)), *TRAIN, (MONEY, "money"))
    assert (facts["num_texts"], facts["left_out"]) == (3, 1)


def test_an_encoder_of_other_weights_makes_another_key(tmp_path: Path) -> None:
    encoder, here = write_bert(tmp_path / "bert"), desk(tmp_path, (ANIMAL, "animals"))
    for task, args in (
        ("student", {"student": {"kind": "linear_svc", "encoder": str(encoder)}}),
        ("extrapolation", {"encoder": str(encoder)}),
    ):
        doer = DOERS.find(task)
        before = doer.depends_on(here, args)
        assert doer.depends_on(here, args) == before
        weights = encoder / "model.safetensors"
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert doer.depends_on(here, args) != before


def test_texts_of_one_label_are_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(VariegateError, match=r"on the 1 texts so far: all have one label: look at .* --dropped"):
        do(desk(tmp_path, (ANIMAL, "animals")), TRAIN[0])
    with pytest.raises(VariegateError, match="there are none"):
        do(desk(tmp_path, (ANIMAL, "animals")))


def test_a_label_that_the_student_never_saw_is_as_hard_as_can_be(tmp_path: Path) -> None:
    rows, _ = do(desk(tmp_path, (WEATHER, "weather")), *TRAIN[:2])
    assert rows[0]["right"] == 0.0
    assert 0 < rows[0]["hardness"] <= 1
