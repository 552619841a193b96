"""Linear students against scikit-learn's own predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from planted import planted, split
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC

from variegate.config.student import LinearStudentConfig
from variegate.embeddings import Encoder
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.store.hashes import write_hashes
from variegate.students import LabelledTexts, evaluate, load, train_student
from variegate.students.linear import WEIGHTS, LinearStudent, pair_features


def config(bert: Path, kind: str = "logistic_regression", **fields: Any) -> LinearStudentConfig:
    return LinearStudentConfig.model_validate({"kind": kind, "encoder": str(bert), **fields})


def student(*arguments: Any, **options: Any) -> LinearStudent:
    found = train_student(*arguments, **options)
    assert isinstance(found, LinearStudent)
    return found


@pytest.mark.parametrize("labels", [("bird", "cat"), ("bird", "cat", "dog")])
def test_logistic_regression_is_scikit_learns(bert: Path, encoder: Encoder, labels: tuple[str, ...]) -> None:
    train, test = split(planted(200, labels=labels, noise=0.1), 120, 80)
    found = student(config(bert), train, encoder=encoder).predict(test.texts)
    vectors = [encoder.encode(each.texts).vectors.astype(np.float64) for each in (train, test)]
    theirs = LogisticRegression(C=10, max_iter=10_000).fit(vectors[0], train.labels)
    assert found.classes == labels == tuple(theirs.classes_)
    assert found.labels == tuple(theirs.predict(vectors[1]))
    assert found.probabilities == pytest.approx(theirs.predict_proba(vectors[1]), abs=1e-5)
    assert found.confidence == pytest.approx(found.probabilities.max(axis=1))


@pytest.mark.parametrize("labels", [("bird", "cat"), ("bird", "cat", "dog")])
def test_linear_svc_is_scikit_learns_calibrated_one(bert: Path, encoder: Encoder, labels: tuple[str, ...]) -> None:
    train, test = split(planted(200, labels=labels, noise=0.1), 120, 80)
    made = student(config(bert, "linear_svc", C=1), train, encoder=encoder, seed=7)
    found = made.predict(test.texts)
    vectors = [encoder.encode(each.texts).vectors.astype(np.float64) for each in (train, test)]
    theirs = CalibratedClassifierCV(
        LinearSVC(C=1, max_iter=10_000, random_state=7), cv=StratifiedKFold(5, shuffle=True, random_state=7), ensemble=False
    ).fit(vectors[0], train.labels)
    assert found.labels == tuple(theirs.predict(vectors[1]))
    assert found.probabilities == pytest.approx(theirs.predict_proba(vectors[1]), abs=1e-6)
    assert made.facts["calibrated"]


def test_without_two_texts_of_each_label_the_svc_gives_margins(bert: Path, encoder: Encoder) -> None:
    few = planted(7)
    train = few.take([0, 1, 2, 3, 4])  # bird 2, cat 2, dog 1
    made = student(config(bert, "linear_svc"), train, encoder=encoder)
    found = made.predict(few.texts)
    assert found.probabilities is None
    assert found.confidence is None
    vectors = encoder.encode(few.texts).vectors.astype(np.float64)
    theirs = LinearSVC(C=10, max_iter=10_000, random_state=0).fit(vectors[:5], train.labels)
    assert found.labels == tuple(theirs.predict(vectors))
    assert found.scores == pytest.approx(theirs.decision_function(vectors), abs=1e-6)
    assert "label 'dog' has one text" in made.facts["warnings"][0]
    assert not made.facts["calibrated"]
    assert evaluate(found, few)["calibration_error"] is None


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svc"])
def test_a_label_without_texts_is_known_and_never_given(bert: Path, encoder: Encoder, kind: str) -> None:
    train = planted(80, labels=("bird", "cat", "dog"))
    both = student(config(bert, kind), train, encoder=encoder, labels=("zebra", "dog", "bird", "cat", "ape"))
    assert both.labels == ("ape", "bird", "cat", "dog", "zebra")
    assert both.facts["labels_absent"] == ["ape", "zebra"]
    found, plain = both.predict(train.texts), student(config(bert, kind), train, encoder=encoder).predict(train.texts)
    assert found.probabilities is not None
    assert found.labels == plain.labels
    assert found.probabilities[:, 1:4] == pytest.approx(plain.probabilities)
    assert not found.probabilities[:, [0, 4]].any()


@pytest.mark.parametrize("kind", ["logistic_regression", "linear_svc"])
def test_it_learns_and_is_the_same_again_after_saving(bert: Path, encoder: Encoder, tmp_path: Path, kind: str) -> None:
    train, test = split(planted(300), 200, 100)
    made = student(config(bert, kind), train, encoder=encoder, labels=("ape", *set(train.labels)))
    found = made.predict(test.texts)
    assert evaluate(found, test)["accuracy"] > 0.95
    made.save(tmp_path / "deep" / "s")
    assert sorted(each.name for each in (tmp_path / "deep" / "s").iterdir()) == ["hashes.json", WEIGHTS, "student.json", "trained_on.txt"]
    for given in (encoder, None):  # None: it makes its own
        again = load(tmp_path / "deep" / "s", encoder=given)
        assert (again.labels, again.pairs, again.facts, again.trained_on) == (made.labels, False, made.facts, made.trained_on)
        now = again.predict(test.texts)
        assert now.scores == pytest.approx(found.scores, rel=1e-4, abs=1e-4)  # vectors are the same to their rounding
        assert now.labels == found.labels
    with pytest.raises(StoreError, match="cannot be written"):  # what is there stays
        made.save(tmp_path / "deep" / "s")


def test_the_seed_moves_the_calibration_alone(bert: Path, encoder: Encoder) -> None:
    train = planted(100, noise=0.2)
    one, same, other = (student(config(bert, "linear_svc"), train, encoder=encoder, seed=seed) for seed in (0, 0, 1))
    assert (one.weights.sigmoid == same.weights.sigmoid).all()
    assert not np.allclose(one.weights.sigmoid, other.weights.sigmoid)
    assert one.weights.coefficients == pytest.approx(other.weights.coefficients, abs=1e-3)


def test_pairs_are_seen_as_pairs(bert: Path, encoder: Encoder) -> None:
    """Whether two parts are alike: no linear function of the two vectors side by side can tell."""
    import random

    rng = random.Random(0)
    single = planted(60, words=(3, 6)).texts
    rows = [(a, a if same else rng.choice(single), "same" if same else "other") for a in single for same in (True, False)]
    rows = [row for row in rows if (row[0] == row[1]) == (row[2] == "same")]
    texts = LabelledTexts(tuple((a, b) for a, b, _ in rows), tuple(label for *_, label in rows), tuple(map(str, range(len(rows)))), "p")
    train, test = split(texts, 80, len(rows) - 80)
    made = student(config(bert), train, encoder=encoder)
    assert made.pairs
    assert evaluate(made.predict(test.texts), test)["accuracy"] > 0.9
    with pytest.raises(UsageError, match="this student reads pairs"):
        made.predict(["one alone"])
    a, b = np.array([[1.0, 2.0]]), np.array([[3.0, 0.5]])
    assert pair_features(a, b).tolist() == [[1, 2, 3, 0.5, 2, 1.5, 3, 1]]


def test_a_fit_that_does_not_converge_is_said(bert: Path, encoder: Encoder) -> None:
    made = student(config(bert, max_iter=1), planted(60), encoder=encoder)
    assert made.facts["warnings"] == ["the fit had not converged after 1 iterations: raise max_iter, or lower C"]


def test_another_encoder_is_refused(bert: Path, encoder: Encoder, tmp_path: Path) -> None:
    from planted import write_bert

    other = Encoder(write_bert(tmp_path / "other", initial=0.2), cache=None)
    with pytest.raises(UsageError, match="wants vectors of 'tiny-bert', and was given an encoder 'other'"):
        train_student(config(bert), planted(30), encoder=other)
    with pytest.raises(UsageError, match="wants the pooling 'cls'"):
        train_student(config(bert, pooling="cls"), planted(30), encoder=encoder)
    made = student(config(bert), planted(30), encoder=encoder)
    made.encoder = other
    with pytest.raises(VariegateError, match="trained on vectors of 'tiny-bert', and 'other' here is not the same model"):
        made.predict(["the cat"])


def test_folders_of_no_student_and_of_later_ones(bert: Path, encoder: Encoder, tmp_path: Path) -> None:
    place = tmp_path / "s"
    student(config(bert), planted(30), encoder=encoder).save(place)
    about = json.loads((place / "student.json").read_bytes())
    for change, message in (
        ({"kind": "linear_svd"}, "'linear_svd' is not known; did you mean 'linear_svc'"),
        ({"config": {"kind": "logistic_regression", "later": 1}}, "is not one of this Variegate"),
    ):
        (place / "student.json").write_text(json.dumps(about | change))
        write_hashes(place)
        with pytest.raises(StoreError, match=message):
            load(place)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"holds no student\.json"):
        load(tmp_path / "empty")
    with pytest.raises(UsageError, match="no such folder"):
        load(tmp_path / "nowhere")
