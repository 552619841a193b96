"""Saved students judged again: the same scores, paired comparisons, and no text they were trained on."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "students"))
from planted import planted, split

from variegate.config.student import LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.errors import StoreError, UsageError
from variegate.pipeline.training.evaluate import evaluate_saved, load_students
from variegate.pipeline.training.splits import Splits
from variegate.pipeline.training.train import SCORES, train_students
from variegate.store.hashes import write_hashes
from variegate.store.verify import verify_training
from variegate.students import LabelledTexts, load, paired_bootstrap


@pytest.fixture(scope="module")
def splits() -> Splits:
    train, test = split(planted(150, noise=0.15), 90, 60)
    return Splits(train, None, test, None)


def svc(bert: Path) -> LinearStudentConfig:
    return LinearStudentConfig(kind="linear_svc", encoder=str(bert), C=1)


@pytest.fixture(scope="module")
def saved(bert: Path, small_encoder: Encoder, splits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saved")
    train_students(svc(bert), splits, seeds=(0, 2, 10), output=place / "svc", encoder=small_encoder)
    few = Splits(splits.train.take(range(12)), None, splits.test, None)
    plan = LinearStudentConfig(kind="logistic_regression", encoder=str(bert))
    train_students(plan, few, seeds=(0,), output=place / "few", encoder=small_encoder)
    return place


def test_judged_again_the_scores_are_the_same(saved: Path, splits: Splits) -> None:
    scores = json.loads((saved / "svc" / SCORES).read_text())
    found = evaluate_saved(load_students(saved / "svc", pairs=False), splits.test)
    (student,) = found["students"]
    assert [Path(each["folder"]).name for each in student["seeds"]] == ["seed-0", "seed-2", "seed-10"]
    assert student["summary"] == scores["summary"]
    assert [each["evaluation"]["confusion"] for each in student["seeds"]] == [each["evaluation"]["confusion"] for each in scores["seeds"]]
    assert found["comparison"] is None
    assert found["test"] == {"source": "planted", "n": 60, "overlap_dropped": 0, "labels": splits.test.label_counts}
    alone = evaluate_saved(load_students(saved / "svc" / "seed-10", pairs=False), splits.test)
    assert alone["students"][0]["seeds"][0]["evaluation"] == student["seeds"][2]["evaluation"]


def test_two_students_on_the_same_texts(saved: Path, splits: Splits) -> None:
    both = [load_students(saved / name, pairs=False) for name in ("svc", "few")]
    found = evaluate_saved(both[0], splits.test, against=both[1], seed=3)
    right = [
        np.mean(
            [np.array(student.predict(splits.test.texts).labels) == np.array(splits.test.labels) for _, student in each.students], axis=0
        )
        for each in both
    ]
    expected = paired_bootstrap(right[0], right[1], seed=3)
    assert found["comparison"] == {"of": str(saved / "svc"), "against": str(saved / "few"), **expected}
    means = [each["summary"]["accuracy"]["mean"] for each in found["students"]]
    assert found["comparison"]["difference"] == pytest.approx(means[0] - means[1])


def test_texts_it_was_trained_on(saved: Path, splits: Splits) -> None:
    seen = splits.train.take([20, 30])
    mixed = LabelledTexts(splits.test.texts + tuple(f" {text.upper()}" for text in seen.texts), splits.test.labels + seen.labels, (*splits.test.ids, "p", "q"), "mixed.jsonl")  # fmt: skip
    svc_, few = (load_students(saved / name, pairs=False) for name in ("svc", "few"))
    with pytest.raises(UsageError) as caught:
        evaluate_saved(svc_, mixed)
    assert str(caught.value).startswith(f"mixed.jsonl: p: ' {seen.texts[0].upper()}' is one of the texts that {saved / 'svc' / 'seed-0'} was trained on, and so are 1 more")  # fmt: skip
    assert evaluate_saved(few, mixed)["test"]["n"] == 62  # which was not trained on these
    found = evaluate_saved(few, mixed, against=svc_, drop_overlap=True)
    assert (found["test"]["n"], found["test"]["overlap_dropped"]) == (60, 2)  # out for both
    with pytest.raises(UsageError, match="every text is one that the student was trained on"):
        evaluate_saved(svc_, splits.train, drop_overlap=True)


def test_forms_that_do_not_fit(saved: Path, splits: Splits) -> None:
    pairs = LabelledTexts(tuple((str(text), "x") for text in splits.test.texts), splits.test.labels, splits.test.ids, "p.jsonl")
    with pytest.raises(UsageError, match=r"p\.jsonl: holds text pairs, and .*seed-0 reads single texts"):
        evaluate_saved(load_students(saved / "svc", pairs=True), pairs)


def test_folders_without_students(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        load_students(tmp_path / "nowhere", pairs=False)
    (tmp_path / SCORES).write_text("{}")
    with pytest.raises(StoreError, match=r"hashes\.json: cannot be read: No such file or directory: train again"):
        load_students(tmp_path, pairs=False)
    write_hashes(tmp_path)
    with pytest.raises(StoreError, match=r"holds scores\.json and no student"):
        load_students(tmp_path, pairs=False)


HARMS: dict[str, Callable[[Path, Path], Any]] = {
    "cut": lambda path, _: path.write_bytes(path.read_bytes()[:-1]),
    "flip": lambda path, _: path.write_bytes(path.read_bytes()[:-3] + bytes([path.read_bytes()[-3] ^ 1]) + path.read_bytes()[-2:]),
    "delete": lambda path, _: path.unlink(),
    "double": lambda path, _: path.write_bytes(path.read_bytes() * 2),
    "swap": lambda path, other: path.write_bytes(other.read_bytes()),
}
FILES = [
    "scores.json",
    "predictions.jsonl",
    "hashes.json",
    *(f"seed-2/{name}" for name in ("hashes.json", "linear.safetensors", "student.json", "trained_on.txt")),
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", HARMS)
def test_every_damaged_file_is_noticed(saved: Path, tmp_path: Path, name: str, harm: str) -> None:
    folder = tmp_path / "svc"
    shutil.copytree(saved / "svc", folder)
    other = saved / "few" / name.replace("seed-2", "seed-0")  # a seed's neighbour, or a training's
    HARMS[harm](folder / name, other)
    wrong = (
        folder if (name.rpartition("/")[2], harm) == ("hashes.json", "swap") else folder / name
    )  # all the others are other than it states
    found = verify_training(folder)
    assert found.status == "FAILED"
    assert str(wrong) in found.detail
    with pytest.raises(StoreError, match=f"{wrong}.*: train (the student )?again"):
        load_students(folder, pairs=False)


def test_a_training_is_no_student(saved: Path) -> None:
    with pytest.raises(UsageError, match=r"svc: holds no student\.json: give the folder of a student"):
        load(saved / "svc")


def test_seeds_that_are_gone_doubled_or_swapped(saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "svc"
    shutil.copytree(saved / "svc", folder)
    assert verify_training(folder).status == "ok"
    shutil.copytree(folder / "seed-2", folder / "seed-3")
    assert f"{folder}/seed-3/hashes.json: is no part of it" in verify_training(folder).detail
    assert len(load_students(folder, pairs=False).students) == 3
    (folder / "seed-0").rename(folder / "seed-4")
    (folder / "seed-2").rename(folder / "seed-0")
    (folder / "seed-4").rename(folder / "seed-2")
    assert f"{folder}/seed-0/hashes.json: is not what hashes.json states" in verify_training(folder).detail
    with pytest.raises(StoreError, match=r"seed-0/hashes\.json: is not what hashes\.json states"):
        load_students(folder, pairs=False)
    shutil.rmtree(folder / "seed-10")
    assert f"{folder}/seed-10/hashes.json: cannot be read" in verify_training(folder).detail
