"""The real side of a study: which texts students stop on, what is trained once, what is drawn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support import chatter
from tests.support.progress import Heard
from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.errors import UsageError
from variegate.pipeline.comparison.compare import check_data
from variegate.pipeline.comparison.real import Encoders, LazyStudent, RealData, asks_oracle, needs_dev
from variegate.pipeline.comparison.score import mean_evaluation, shown
from variegate.progress import Silent
from variegate.students.data import LabelledTexts, draw

STOPS_EARLY = FinetunedStudentConfig(kind="finetune", patience=2)


def real_data(tmp_path: Path, **parts: Any) -> RealData:
    study = chatter.make_study(tmp_path, **parts)
    return RealData(study, Path(study.output), Encoders(study.encoder), Silent())


def cell_texts() -> LabelledTexts:
    texts = tuple(f"text {number}" for number in range(60))
    labels = tuple(chatter.LABELS[number % 3] for number in range(60))
    return LabelledTexts(texts, labels, texts, "cell")


def add_dev(tmp_path: Path) -> dict[str, str]:
    data = chatter.write_data(tmp_path)
    rows = [
        {"text": "a brand new day", "label": "weather"},
        {"text": "my TEXT 5", "label": "money"},
        json.loads(Path(data["train"]).read_text().splitlines()[0]),
    ]
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {**data, "dev": str(tmp_path / "dev.jsonl")}


def test_a_student_that_stops_early_stops_on_a_tenth_of_its_own_texts(tmp_path: Path) -> None:
    real, texts = real_data(tmp_path), cell_texts()
    train, dev = real.with_dev(STOPS_EARLY, texts, seed=1)
    assert dev is not None
    assert (len(train), len(dev)) == (54, 6)
    assert Counter(dev.labels) == dict.fromkeys(chatter.LABELS, 2)
    assert not set(train.texts) & set(dev.texts)
    assert set(train.texts) | set(dev.texts) == set(texts.texts)
    assert real.with_dev(FinetunedStudentConfig(kind="finetune"), texts, seed=1) == (texts, None)


def test_or_on_the_tasks_dev_split(tmp_path: Path) -> None:
    real = real_data(tmp_path, data=add_dev(tmp_path), dev="real", student=STOPS_EARLY.model_dump())
    train, dev = real.with_dev(STOPS_EARLY, cell_texts(), seed=1)
    assert train == cell_texts()
    assert dev is not None
    assert dev.texts[0] == "a brand new day"
    assert real.train is not None
    assert (len(real.train), real.num_leaked) == (89, 1)  # the copy of a train text in dev


def test_dev_real_needs_a_dev_split(tmp_path: Path) -> None:
    study = chatter.make_study(tmp_path, dev="real", student=STOPS_EARLY.model_dump())
    with pytest.raises(UsageError, match=r"has no data\.dev, and the study says `dev: real`: name a file there, or set `dev: held_out`"):
        check_data(study)
    with pytest.raises(UsageError, match=r"has no data\.dev"):
        real_data(tmp_path, dev="real").with_dev(STOPS_EARLY, cell_texts(), seed=0)
    check_data(chatter.make_study(tmp_path, dev="real"))  # a student that does not stop early needs none


@pytest.mark.parametrize(("config", "expected"), [
    (LinearStudentConfig(kind="linear_svc"), False), (FinetunedStudentConfig(kind="finetune"), False), (STOPS_EARLY, True)])  # fmt: skip
def test_who_needs_a_dev_split(config: Any, expected: bool) -> None:
    assert needs_dev(config) == expected


@pytest.mark.slow
def test_a_lazy_student_is_trained_once_and_loaded_after(tmp_path: Path) -> None:
    study = chatter.make_study(tmp_path)
    encoders = Encoders(study.encoder, Encoder(cache=tmp_path / "vectors"))
    first = RealData(study, Path(study.output), encoders, Silent())
    assert first.oracle is not None
    assert not (Path(study.output) / "students").exists()
    predicted = first.oracle.predict(["the cat our dog"]).labels
    again = RealData(study, Path(study.output), encoders, Silent())
    assert again.oracle is not None
    again.oracle._make = lambda: pytest.fail("trained again")
    assert again.oracle.predict(["the cat our dog"]).labels == predicted == ("animals",)
    assert again.oracle.labels == chatter.LABELS
    assert not again.oracle.pairs
    assert isinstance(again.oracle, LazyStudent)
    (place,) = (Path(study.output) / "students").iterdir()
    (place / "student.json").write_bytes(b"{" + (place / "student.json").read_bytes())
    heard = Heard()
    damaged = RealData(study, Path(study.output), encoders, heard)
    assert damaged.oracle is not None
    assert damaged.oracle.predict(["the cat our dog"]).labels == predicted
    assert len(heard.damage) == 1
    assert "student.json: is not what hashes.json states" in heard.damage[0]
    assert sorted(each.name for each in place.parent.iterdir()) == sorted([place.name, "set-aside"])


def test_replicates_share_an_oracle_that_does_not_depend_on_its_seed(tmp_path: Path) -> None:
    real = real_data(tmp_path)
    lr = real.study.curations["lr"]
    folders = [real.oracle_of(lr.model_copy(update={"seed": seed}))._folder for seed in (0, 1)]  # type: ignore[union-attr]
    assert folders[0] == folders[1]
    svc = lr.model_copy(update={"oracle": LinearStudentConfig(kind="linear_svc")})
    folders = [real.oracle_of(svc.model_copy(update={"seed": seed}))._folder for seed in (0, 1)]  # type: ignore[union-attr]
    assert folders[0] != folders[1]


def test_what_asks_an_oracle(tmp_path: Path) -> None:
    stages = {
        "lr": [{"kind": "label_replacement", "labels": "oracle"}],
        "mine": [{"kind": "label_replacement", "labels": "inspected"}, {"kind": "audit"}],
        "scope": [{"kind": "audit"}, {"kind": "scope", "labels": "oracle"}],
    }
    study = chatter.make_study(tmp_path, axes={}, curations={name: {"stages": each} for name, each in stages.items()})
    assert {name: asks_oracle(curation) for name, curation in study.curations.items()} == {"lr": True, "mine": False, "scope": True}
    real = RealData(study, Path(study.output), Encoders(study.encoder), Silent())
    assert real.oracle_of(study.curations["scope"]) is None  # it learns what is out of scope too: the curation trains its own


def test_a_draw_is_seeded_in_order_and_without_replacement() -> None:
    texts = cell_texts()
    drawn = draw(texts, 20, 0, "a")
    assert drawn == draw(texts, 20, 0, "a")
    assert drawn != draw(texts, 20, 1, "a") != draw(texts, 20, 1, "b")
    assert len(set(drawn.texts)) == 20
    places = [texts.texts.index(text) for text in drawn.texts]
    assert places == sorted(places)
    assert draw(texts, 60, 0) is texts
    assert draw(texts, 61, 0) is texts


def test_the_mean_of_several_students() -> None:
    one = {"accuracy": 0.5, "macro_f1": 0.4, "n": 10, "per_class": {}, "confusion": {}, "warnings": ["slow"]}
    two = {**one, "accuracy": 0.7, "macro_f1": 0.6, "warnings": ["slow", "odd"]}
    found = mean_evaluation([one, two])
    assert (found["accuracy"], found["macro_f1"]) == (pytest.approx(0.6), pytest.approx(0.5))
    assert (found["seeds"]["accuracy"]["n"], found["warnings"]) == (2, ["slow", "odd"])
    assert mean_evaluation([one]) == one
    assert set(shown(one)) == {"accuracy", "macro_f1", "n", "warnings"}
