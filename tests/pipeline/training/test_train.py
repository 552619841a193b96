"""Students by several seeds: what is stored, and that it is whole or as it was."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "students"))
from planted import planted, split

from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.pipeline.training.splits import Splits
from variegate.pipeline.training.train import PREDICTIONS, SCORES, check_output, train_students
from variegate.students import evaluate, load, train_student


@pytest.fixture(scope="module")
def splits() -> Splits:
    train, test = split(planted(150, noise=0.15), 90, 60)
    return Splits(train, None, test, None, overlap_dropped={"train": 2, "dev": 0}, warnings=("something odd",))


def svc(bert: Path) -> LinearStudentConfig:
    return LinearStudentConfig(kind="linear_svc", encoder=str(bert), C=1)


def test_scores_and_students_of_each_seed(bert: Path, small_encoder: Encoder, splits: Splits, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "svc"
    said: list[tuple[str, int, int]] = []
    scores = train_students(svc(bert), splits, seeds=(4, 5), output=output, encoder=small_encoder, progress=lambda *each: said.append(each))
    assert sorted(each.name for each in output.iterdir()) == ["hashes.json", PREDICTIONS, SCORES, "seed-4", "seed-5"]
    assert json.loads((output / SCORES).read_text()) == scores
    assert scores["config"] == svc(bert).model_dump(mode="json")
    assert scores["train"] == {
        "source": "planted", "n": 90, "overlap_dropped": 2, "curation": None, "labels": splits.train.label_counts,
    }  # fmt: skip
    assert scores["test"] == {"source": "planted", "n": 60, "labels": splits.test.label_counts}
    assert scores["dev"] is None
    assert scores["warnings"] == ["something odd"]
    assert {"seed 4: training", "seed 5: training"} <= {stage for stage, _, _ in said}
    rows = [json.loads(line) for line in (output / PREDICTIONS).read_text().splitlines()]
    for place, seed in enumerate((4, 5)):
        alone = train_student(svc(bert), splits.train, seed=seed, encoder=small_encoder)
        predicted = alone.predict(splits.test.texts)
        assert scores["seeds"][place]["seed"] == seed
        assert scores["seeds"][place]["evaluation"] == evaluate(predicted, splits.test, seed=seed)
        assert load(output / f"seed-{seed}", encoder=small_encoder).predict(splits.test.texts).labels == predicted.labels
        assert [row["predicted"][place] for row in rows] == list(predicted.labels)
        assert [row["confidence"][place] for row in rows] == pytest.approx(predicted.confidence, abs=1e-6)
    assert [(row["id"], row["text"], row["label"]) for row in rows] == list(
        zip(splits.test.ids, splits.test.texts, splits.test.labels, strict=True)
    )
    values = [each["evaluation"]["accuracy"] for each in scores["seeds"]]
    assert scores["summary"]["accuracy"] == {
        "mean": pytest.approx(np.mean(values)), "sd": pytest.approx(np.std(values, ddof=1)), "min": min(values), "max": max(values), "n": 2,
    }  # fmt: skip


def test_nothing_is_stored_unless_asked(bert: Path, small_encoder: Encoder, splits: Splits, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    train_students(svc(bert), splits, seeds=(0,), encoder=small_encoder)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_failure_leaves_the_old_training_whole(bert: Path, splits: Splits, tmp_path: Path) -> None:
    output = tmp_path / "s"
    good = FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=1, max_tokens=32)
    train_students(good, splits, seeds=(0,), output=output)
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    bad = good.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30, "warmup": 0.0})
    with pytest.raises(VariegateError, match="the training diverged"):
        train_students(bad, splits, seeds=(0,), output=output, overwrite=True)
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    with pytest.raises(VariegateError, match="the training diverged"):
        train_students(bad, splits, seeds=(0,), output=tmp_path / "new")
    assert [each.name for each in tmp_path.iterdir()] == ["s"]
    scores = train_students(good, splits, seeds=(7,), output=output, overwrite=True)
    assert sorted(each.name for each in output.iterdir()) == ["hashes.json", PREDICTIONS, SCORES, "seed-7"]
    assert scores["seeds"][0]["facts"]["epochs_run"] == 1


def test_a_training_that_ended_there_meanwhile_stays(bert: Path, small_encoder: Encoder, splits: Splits, tmp_path: Path) -> None:
    """Two are begun for one folder. The one that ends last is refused, unless it may overwrite."""
    output = tmp_path / "s"
    first: dict[str, Any] = {}

    def other(*_: Any) -> None:
        if not first:
            first["scores"] = None
            first["scores"] = train_students(svc(bert), splits, seeds=(0,), output=output, encoder=small_encoder)

    with pytest.raises(UsageError, match=r"s: exists already: choose another folder with -o"):
        train_students(svc(bert), splits, seeds=(5,), output=output, encoder=small_encoder, progress=other)
    assert json.loads((output / SCORES).read_bytes())["seeds"][0]["seed"] == 0
    assert [each.name for each in tmp_path.iterdir()] == ["s"]
    train_students(svc(bert), splits, seeds=(5,), output=output, encoder=small_encoder, overwrite=True)
    assert json.loads((output / SCORES).read_bytes())["seeds"][0]["seed"] == 5


def test_where_something_stands_already(bert: Path, small_encoder: Encoder, splits: Splits, tmp_path: Path) -> None:
    output = tmp_path / "s"
    output.mkdir()
    train_students(svc(bert), splits, seeds=(0,), output=output, encoder=small_encoder)  # an empty folder is as none
    with pytest.raises(UsageError, match="exists already: choose another folder with -o, or give --overwrite"):
        train_students(svc(bert), splits, seeds=(0,), output=output, encoder=small_encoder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, says in (("other", r"is no earlier training of a student \(it holds no scores\.json\)"), ("file", "is a file, and a folder")):
        with pytest.raises(UsageError, match=says):
            check_output(tmp_path / name, overwrite=True)
    run = tmp_path / "run"
    for inside in ("rounds/x", ".", "students"):
        if inside != "students":
            with pytest.raises(UsageError, match="belongs to the run itself"):
                check_output(run / inside, overwrite=True, run=run)
    check_output(run / "students" / "x", overwrite=False, run=run)


def test_a_full_disk(bert: Path, small_encoder: Encoder, splits: Splits, tiny_disk: Path, fill_disk: Any) -> None:
    fill_disk()
    with pytest.raises(StoreError):
        train_students(svc(bert), splits, seeds=(0,), output=tiny_disk / "s", encoder=small_encoder)
    assert [each.name for each in tiny_disk.iterdir()] == ["filler"]


def test_seeds_that_say_nothing(bert: Path, small_encoder: Encoder, splits: Splits) -> None:
    plan = LinearStudentConfig(kind="logistic_regression", encoder=str(bert))
    with pytest.raises(UsageError, match="--seeds 2: logistic_regression does not depend on the seed"):
        train_students(plan, splits, seeds=(0, 1), encoder=small_encoder)
    for seeds in ((), (1, 1)):
        with pytest.raises(UsageError, match="one or more different ones"):
            train_students(svc(bert), splits, seeds=seeds, encoder=small_encoder)


def test_what_is_odd_is_a_warning(bert: Path, splits: Splits) -> None:
    """A student that learns nothing: one label for all. And texts that are cut."""
    plan = FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=1, learning_rate=1e-9, max_tokens=4)
    one_sided = Splits(splits.train, None, splits.test, None)
    scores = train_students(plan, one_sided, seeds=(0,))
    cut = scores["seeds"][0]["facts"]["num_truncated"]
    assert (
        f"{cut} of 90 training texts are longer than the model reads, and were cut: raise max_tokens, if the model allows it"
        in scores["warnings"]
    )
    given = set(load_labels(scores))
    assert (len(given) == 1) == any("one label" in each for each in scores["warnings"])


def load_labels(scores: dict[str, Any]) -> list[str]:
    return [label for label, row in scores["seeds"][0]["evaluation"]["per_class"].items() if row["predicted"]]
