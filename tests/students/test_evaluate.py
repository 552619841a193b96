"""Scores against scikit-learn, statsmodels, closed forms and simulation: none of which the module uses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics
from statsmodels.stats.proportion import proportion_confint

from variegate.errors import UsageError
from variegate.students import LabelledTexts, Predictions, evaluate, paired_bootstrap, summarise
from variegate.students.evaluate import calibration_error, confusion, score


def texts(labels: Sequence[str]) -> LabelledTexts:
    number = range(len(labels))
    return LabelledTexts(tuple(f"t{n}" for n in number), tuple(labels), tuple(f"line {n + 1}" for n in number), "test.jsonl")


def predictions(labels: Sequence[str], classes: Sequence[str], probabilities: np.ndarray | None = None) -> Predictions:
    return Predictions(tuple(labels), tuple(classes), probabilities, np.zeros((len(labels), len(classes))))


def random_case(seed: int) -> tuple[list[str], list[str], list[str]]:
    rng = np.random.default_rng(seed)
    classes = [f"c{n}" for n in range(rng.integers(2, 9))]
    true = rng.choice(classes[: max(1, len(classes) - 1)], size=rng.integers(1, 80)).tolist()  # one class stands in no test text
    return true, [each if rng.random() < 0.6 else str(rng.choice(classes)) for each in true], classes


@pytest.mark.parametrize("seed", range(12))
def test_as_scikit_learn_has_it(seed: int) -> None:
    true, given, classes = random_case(seed)
    found = evaluate(predictions(given, classes), texts(true))
    present = sorted(set(true))
    assert found["n"] == len(true)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(true, given), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(true, given, labels=present, average="macro", zero_division=0), abs=1e-12)
    report = metrics.classification_report(true, given, labels=classes, output_dict=True, zero_division=0)
    for label in classes:
        own, theirs = found["per_class"][label], report[label]
        assert (own["precision"], own["recall"], own["f1"]) == pytest.approx((theirs["precision"], theirs["recall"], theirs["f1-score"]))
        assert own["support"] == theirs["support"]
        assert own["predicted"] == given.count(label)
    assert found["confusion"]["labels"] == classes
    assert found["confusion"]["matrix"] == metrics.confusion_matrix(true, given, labels=classes).tolist()
    assert found["labels_absent"] == [label for label in classes if label not in true]
    by_number = score(np.array([classes.index(each) for each in true]), np.array([classes.index(each) for each in given]), len(classes))
    assert by_number == {name: pytest.approx(found[name]) for name in ("accuracy", "macro_f1")}


def test_evaluate_gives_the_wilson_interval_of_its_accuracy() -> None:
    found = evaluate(predictions(["a"] * 60, "ab"), texts(["a"] * 50 + ["b"] * 10))
    assert found["accuracy_ci95"] == pytest.approx(proportion_confint(50, 60, method="wilson"))


@pytest.mark.slow
def test_macro_f1_interval_as_redrawing_the_texts_gives_it() -> None:
    """The module draws cells of the confusion matrix; here texts are drawn, one by one."""
    rng = np.random.default_rng(0)
    classes = ["a", "b", "c"]
    true = np.array(["a"] * 60 + ["b"] * 40 + ["c"] * 20)
    given = np.where(rng.random(120) < 0.7, true, rng.choice(classes, 120))
    found = evaluate(predictions(given.tolist(), classes), texts(true.tolist()))
    drawn = []
    for _ in range(600):
        pick = rng.integers(0, 120, 120)
        drawn.append(metrics.f1_score(true[pick], given[pick], labels=classes, average="macro", zero_division=0))
    assert found["macro_f1_ci95"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.02)
    low, high = found["macro_f1_ci95"]
    assert low < found["macro_f1"] < high
    again = evaluate(predictions(given.tolist(), classes), texts(true.tolist()))
    assert again["macro_f1_ci95"] == found["macro_f1_ci95"]
    assert evaluate(predictions(given.tolist(), classes), texts(true.tolist()), seed=1)["macro_f1_ci95"] != found["macro_f1_ci95"]


@pytest.mark.slow
def test_macro_f1_interval_leaves_out_the_labels_that_no_text_has() -> None:
    """The student knows seven labels, the texts hold three: counted in as zeros, the others would move the interval off its value."""
    rng = np.random.default_rng(0)
    classes = [f"c{number}" for number in range(7)]
    true = np.repeat(["c5", "c1", "c3"], [60, 40, 20])
    given = np.where(rng.random(120) < 0.7, true, rng.choice(classes, 120))
    assert set(given) - set(true)
    found = evaluate(predictions(given.tolist(), classes), texts(true.tolist()))
    drawn = []
    for _ in range(600):
        pick = rng.integers(0, 120, 120)
        drawn.append(metrics.f1_score(true[pick], given[pick], labels=["c1", "c3", "c5"], average="macro", zero_division=0))
    assert found["macro_f1_ci95"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.02)
    low, high = found["macro_f1_ci95"]
    assert low < found["macro_f1"] < high


def test_a_perfect_student() -> None:
    found = evaluate(predictions(["a", "b"] * 9, "ab"), texts(["a", "b"] * 9))
    assert (found["accuracy"], found["macro_f1"], found["macro_f1_ci95"][1]) == (1, 1, 1)
    assert found["accuracy_ci95"][1] == 1


def test_calibration_error_by_hand() -> None:
    """Bins 0.6-0.7: confidence 0.65, two of two right: gap 0.35; 0.9-1: 0.95 and 1.0, one of two right: gap 0.475."""
    probabilities = np.array([[0.65, 0.35], [0.65, 0.35], [0.95, 0.05], [1.0, 0.0]])
    found = predictions(["a"] * 4, "ab", probabilities)
    assert calibration_error(found, texts(["a", "a", "b", "a"])) == pytest.approx((2 * 0.35 + 2 * 0.475) / 4)
    assert calibration_error(predictions(["a"], "ab"), texts(["a"])) is None


def test_confusion_by_hand() -> None:
    assert confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_errors() -> None:
    with pytest.raises(UsageError, match=r"label 'c' \(1 texts\) is not one of the student's 2"):
        evaluate(predictions(["a", "b"], "ab"), texts(["a", "c"]))
    with pytest.raises(UsageError, match="holds no text to judge"):
        evaluate(predictions([], "ab"), texts([]))
    with pytest.raises(ValueError, match="2 predictions for 1 texts"):
        evaluate(predictions(["a", "b"], "ab"), texts(["a"]))
    with pytest.raises(UsageError, match="same items for both, got 2 and 3"):
        paired_bootstrap([0, 1], [0, 1, 1], seed=0)
    with pytest.raises(UsageError, match="same items"):
        paired_bootstrap([], [], seed=0)


# -- pairs of students -----------------------------------------------------------------------------------------


def test_paired_bootstrap_as_the_normal_distribution_has_it() -> None:
    rng = np.random.default_rng(1)
    a = (rng.random(2000) < 0.80).astype(float)
    b = np.where(rng.random(2000) < 0.9, a, 1 - a)
    difference = a - b
    error = difference.std() / math.sqrt(2000)
    found = paired_bootstrap(a, b, seed=0)
    assert found["difference"] == pytest.approx(difference.mean())
    assert found["ci95"] == pytest.approx([difference.mean() + z * error for z in norm.ppf([0.025, 0.975])], abs=2e-3)
    assert found["p"] == pytest.approx(2 * norm.sf(abs(difference.mean()) / error), abs=0.05)
    assert found["n"] == 2000


def test_redrawing_items_one_by_one_gives_the_same() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 4, (2, 60)) / 3  # shares of three seeds
    drawn = (a - b)[rng.integers(0, 60, (20_000, 60))].mean(axis=1)
    found = paired_bootstrap(a, b, seed=0, draws=20_000)
    assert found["ci95"] == pytest.approx(np.percentile(drawn, [2.5, 97.5]), abs=0.012)
    tail = min((drawn <= 1e-12).mean(), (drawn >= -1e-12).mean())
    assert found["p"] == pytest.approx(min(1, 2 * tail), abs=0.02)


def test_identities_of_the_paired_bootstrap() -> None:
    same = paired_bootstrap([0, 1, 1], [0, 1, 1], seed=0)
    assert (same["difference"], same["ci95"], same["p"]) == (0, [0, 0], 1)
    better = paired_bootstrap([1] * 50, [0] * 50, seed=0)
    assert (better["difference"], better["ci95"]) == (1, [1, 1])
    assert better["p"] == pytest.approx(2 / 10_001)
    a, b = np.random.default_rng(0).integers(0, 2, (2, 300))
    one, other = paired_bootstrap(a, b, seed=5), paired_bootstrap(b, a, seed=5)
    assert one["difference"] == -other["difference"]
    assert one["p"] == pytest.approx(other["p"], abs=0.03)
    assert paired_bootstrap(a, b, seed=5) == one


def test_a_true_null_is_rejected_about_as_often_as_said() -> None:
    rng = np.random.default_rng(3)
    rejected = 0
    for _ in range(400):
        base = rng.random(200)
        a, b = ((base + rng.random(200)) < 1.4 for _ in range(2))
        rejected += paired_bootstrap(a, b, seed=0, draws=1000)["p"] < 0.05
    assert 6 <= rejected <= 38  # 20 expected, sd 4.4


def test_summary_by_hand() -> None:
    found = summarise([{"accuracy": value, "macro_f1": 1.0, "n": 5} for value in (0.5, 0.7, 0.9)])
    assert found["accuracy"] == {"mean": pytest.approx(0.7), "sd": pytest.approx(0.2), "min": 0.5, "max": 0.9, "n": 3}
    assert found["macro_f1"]["sd"] == 0
    assert summarise([{"accuracy": 0.5, "macro_f1": 0.4}])["accuracy"]["sd"] is None
