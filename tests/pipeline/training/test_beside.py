"""A student beside the majority class, the examples and real texts: the rows, by hand, and whether the data helps, on planted sets."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "students"))
from planted import LABELS, planted, split

from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.pipeline.examples import RealTexts
from variegate.pipeline.training.beside import repeated
from variegate.pipeline.training.splits import Splits
from variegate.pipeline.training.train import train_students
from variegate.proportions import wilson
from variegate.students import LabelledTexts, evaluate, paired_bootstrap, train_student
from variegate.students.evaluate import is_correct


@pytest.fixture(scope="module")
def encoder(small_encoder: Encoder) -> Encoder:
    return small_encoder


GENERATED, EXAMPLES, REAL, TEST = split(planted(330), 90, 20, 120, 100)


def wrong(texts: LabelledTexts) -> LabelledTexts:
    """Every label is the next one."""
    return replace(texts, labels=tuple(LABELS[(LABELS.index(label) + 1) % 3] for label in texts.labels))


def train(bert: Path, encoder: Encoder, splits: Splits, **options: Any) -> dict[str, Any]:
    config = LinearStudentConfig(kind="logistic_regression", encoder=str(bert))
    return train_students(config, splits, seeds=(0,), encoder=encoder, **options)


def test_rows_by_hand(bert: Path, encoder: Encoder) -> None:
    splits = Splits(GENERATED, None, TEST, LABELS, real=RealTexts(wrong(EXAMPLES), REAL, ("something is missing",)))
    scores = train(bert, encoder, splits)
    rows = {each["name"]: each for each in scores["beside"]}
    assert list(rows) == ["set", "majority", "examples", "with_examples", "real"]
    assert [each["n"] for each in rows.values()] == [90, None, 20, 110, 90]
    assert rows["set"]["accuracy"] == scores["summary"]["accuracy"]["mean"]
    most = max(TEST.label_counts.values())
    assert rows["majority"]["accuracy"] == most / 100
    assert rows["majority"]["accuracy_ci95"] == pytest.approx(wilson(most, 100))
    assert rows["majority"]["macro_f1"] == pytest.approx(2 * most / (100 + most) / 3)
    config = LinearStudentConfig(kind="logistic_regression", encoder=str(bert))
    said = {
        name: train_student(config, texts, labels=LABELS, encoder=encoder).predict(TEST.texts)
        for name, texts in (("set", GENERATED), ("examples", wrong(EXAMPLES)), ("with_examples", GENERATED.joined(wrong(EXAMPLES))))
    }
    for name, predicted in said.items():
        alone = evaluate(predicted, TEST)
        assert [rows[name][each] for each in ("accuracy", "macro_f1")] == [alone["accuracy"], alone["macro_f1"]]
        if name != "examples":
            paired = paired_bootstrap(is_correct(predicted, TEST), is_correct(said["examples"], TEST), seed=0)
            assert rows[name]["less"]["examples"] == paired
    assert set(rows["examples"]["less"]) == {"majority"}
    assert rows["majority"]["less"]["examples"]["difference"] == -rows["examples"]["less"]["majority"]["difference"]
    assert rows["real"]["agrees"]["n"] == 90
    assert rows["real"]["agrees"]["share"] > 0.8
    assert "something is missing" in scores["warnings"]


def test_it_helps(bert: Path, encoder: Encoder) -> None:
    verdict = train(bert, encoder, Splits(GENERATED, None, TEST, LABELS, real=RealTexts(EXAMPLES.take(range(3)))))["verdict"]
    assert (verdict["helps"], verdict["with"], verdict["next"]) == (True, "set", None)
    assert verdict["sentence"].startswith("The data helps: a student of the 90 generated texts is right in ")
    assert "one of the 3 real examples alone in " in verdict["sentence"]


def test_it_helps_only_with_the_examples(bert: Path, encoder: Encoder) -> None:
    """Alone each of the two knows two labels of three."""
    real = RealTexts(REAL.without_labels({"bird"}).take(range(60)))
    scores = train(bert, encoder, Splits(GENERATED.without_labels({"dog"}).take(range(50)), None, TEST, LABELS, real=real))
    assert (scores["verdict"]["helps"], scores["verdict"]["with"]) == (True, "with_examples")
    assert scores["verdict"]["next"] == "train on both, with --with-examples"
    assert scores["verdict"]["sentence"].startswith("The data helps, together with the real examples: a student of 110 texts, real ")


def test_it_does_not_help(bert: Path, encoder: Encoder) -> None:
    """Below the majority class and below the examples, for its labels: a student of real texts agrees with none of them."""
    run = Path("runs/mine")
    splits = Splits(wrong(GENERATED), None, TEST, LABELS, real=RealTexts(EXAMPLES, REAL), run=run)
    scores = train(bert, encoder, splits)
    verdict, rows = scores["verdict"], {each["name"]: each for each in scores["beside"]}
    assert rows["set"]["accuracy"] < rows["majority"]["accuracy"] < rows["examples"]["accuracy"]
    assert verdict["helps"] is False
    share = 100 * rows["set"]["accuracy"]
    assert verdict["sentence"] == (
        f"The data does not help yet: a student of the 90 generated texts is right in {share:.1f}% of the test texts, one of the 20 real"
        f" examples alone in {100 * rows['examples']['accuracy']:.1f}%, the majority class in {100 * rows['majority']['accuracy']:.1f}%."
    )
    assert verdict["held_back"][0].startswith("a student of 90 real texts agrees with ")
    assert verdict["next"].startswith(f"repair the labels: `variegate curate {run} relabel`")
    assert "0.0% of the texts are copies of the examples" in verdict["measured"]


def test_a_difference_that_may_be_chance_is_no_help(bert: Path, encoder: Encoder) -> None:
    """Both learn all there is: neither is above the other."""
    few = TEST.take(range(12))
    verdict = train(bert, encoder, Splits(GENERATED, None, few, LABELS, real=RealTexts(REAL)))["verdict"]
    assert verdict["helps"] is False
    assert verdict["sentence"].endswith("; on 12 test texts the difference may be chance.")


def test_no_verdict_without_what_it_needs(bert: Path, encoder: Encoder) -> None:
    alone = train(bert, encoder, Splits(GENERATED, None, TEST, LABELS))
    assert [each["name"] for each in alone["beside"]] == ["set", "majority"]
    assert alone["verdict"]["helps"] is None
    assert "Whether it helps cannot be said, as no student of real examples stands beside" in alone["verdict"]["sentence"]
    below = train(bert, encoder, Splits(wrong(GENERATED), None, TEST, LABELS))["verdict"]
    assert below["helps"] is False
    skipped = train(bert, encoder, Splits(GENERATED, None, TEST, LABELS, real=RealTexts(EXAMPLES)), baselines=False)
    assert (skipped["beside"], skipped["verdict"]["helps"]) == ([], None)


@pytest.mark.parametrize(
    ("metric", "own", "reference", "pair", "says", "next_step"),
    [
        ("remote_clique", 0.3, 0.6, None, "Remote-Clique is 0.300, and 0.600 of the reference", "have the texts vary more"),
        ("coverage", None, None, 0.1, "10.0% of the reference texts have a generated one near them", "have the texts resemble real ones"),
        ("leakage_near", None, None, 0.4, "40.0% of the texts nearly equal a reference text", "have the texts vary more"),
        ("coverage", None, None, 0.6, None, "measure diversity and fit"),
    ],
)
def test_what_the_run_folder_says(
    bert: Path, encoder: Encoder, tmp_path: Path, metric: str, own: Any, reference: Any, pair: Any, says: Any, next_step: str
) -> None:
    def values(value: Any) -> list[dict[str, Any]]:
        return [] if value is None else [{"metric": metric, "value": 9.0}, {"metric": metric, "value": value}]  # the latter at equal size

    pooled = {"set": values(own), "reference": values(reference), "pair": values(pair)}
    (tmp_path / "measures.json").write_text(json.dumps({"pooled": pooled}))
    splits = Splits(wrong(GENERATED), None, TEST, LABELS, real=RealTexts(EXAMPLES), run=tmp_path)
    verdict = train(bert, encoder, splits)["verdict"]
    assert verdict["held_back"] == ([] if says is None else [says])
    assert verdict["next"].startswith(next_step)


@pytest.mark.parametrize(("share", "held_back"), [(0.25, False), (0.2, True)])
def test_what_real_texts_cover_is_the_measure_where_it_is_known(
    bert: Path, encoder: Encoder, tmp_path: Path, share: float, held_back: bool
) -> None:
    """Three fifths of 0.4 are 0.24; without it the bar is 0.3."""
    beside = {"n": 90, "m": 200, "values": [{"metric": "coverage", "set": {"value": share}, "real": {"value": 0.4}}]}
    pooled = {"pair": [{"metric": "coverage", "value": 0.9}]}
    (tmp_path / "measures.json").write_text(json.dumps({"pooled": pooled, "real_against_real": beside}))
    verdict = train(bert, encoder, Splits(wrong(GENERATED), None, TEST, LABELS, real=RealTexts(EXAMPLES), run=tmp_path))["verdict"]
    said = f"{share:.1%} of the reference texts have a generated one near them, and 40.0% a real one"
    assert said in verdict["measured"]
    assert (said in verdict["held_back"]) == held_back


@pytest.mark.slow
def test_a_fine_tuned_student_takes_as_many_steps_on_few_texts(bert: Path) -> None:
    config = FinetunedStudentConfig(kind="finetune", model=str(bert), epochs=8, learning_rate=2e-3, batch_size=16, max_tokens=32)
    few, linear = EXAMPLES.take(range(18)), LinearStudentConfig(kind="linear_svc", encoder=str(bert))
    assert repeated(few, 90, config).texts == few.texts * 5
    assert repeated(few, 17, config) == repeated(few, 90, linear) == few
    scores = train_students(config, Splits(wrong(GENERATED), None, TEST, LABELS, real=RealTexts(few)), seeds=(0,))
    rows = {each["name"]: each for each in scores["beside"]}
    assert (rows["examples"]["n"], scores["seeds"][0]["facts"]["steps"]) == (18, 48)
    assert rows["examples"]["accuracy"] > 0.6  # 0.33 after two steps an epoch


def test_texts_unlike_real_ones_come_before_their_labels(bert: Path, encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "measures.json").write_text(json.dumps({"pooled": {"pair": [{"metric": "coverage", "value": 0.1}]}}))
    splits = Splits(wrong(GENERATED), None, TEST, LABELS, real=RealTexts(EXAMPLES, REAL), run=tmp_path)
    verdict = train(bert, encoder, splits)["verdict"]
    assert len(verdict["held_back"]) == 2
    assert verdict["next"].startswith("have the texts resemble real ones")
