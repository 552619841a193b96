"""Agreement and accuracy over it from items and predictions: by hand, and with annotators planted on real texts."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from variegate.config import load_task
from variegate.errors import UsageError
from variegate.pipeline.subjectivity.annotations import Annotated
from variegate.pipeline.subjectivity.instances import REAL, SYNTHETIC, StudentAnswers, measure_instances
from variegate.pipeline.subjectivity.measure import measure_subjectivity
from variegate.pipeline.subjectivity.predictions import Predicted

VOTES = (("a", "a", "a"), ("a", "a", "b"), ("b", "b", "b"), ("a", "b"), ("b", "a", "b"), ("c",))
TRUE = ("a", "b", "b", "a", "", "c")


def items(votes: tuple[tuple[str, ...], ...] = VOTES, true: tuple[str, ...] | None = TRUE, **more: Any) -> Annotated:
    ids = tuple(f"i{place}" for place in range(len(votes)))
    return Annotated(
        "items.jsonl", "list", ids, tuple(f"text {each}" for each in ids), votes, true, "label" if true else None, None, **more
    )


def student(name: str, *labels: str | None) -> StudentAnswers:
    return StudentAnswers(name, f"{name}.jsonl", "file", Predicted(tuple(labels), len(labels), 0, "label"))


def measure(
    of: Annotated, *students: StudentAnswers, gammas: tuple[float, ...] = (), task: Any = None
) -> tuple[dict[str, Any], Any, list[str]]:
    warnings: list[str] = []
    return (*measure_instances(of, {}, students, gammas, task, 0, warnings), warnings)


def test_by_hand() -> None:
    found, sweep, warnings = measure(items())
    assert sweep is None
    assert (found["n"], found["left_out"], found["labels_per_item"]) == (5, {"single": 1, "unlabelled": 0}, {"2": 1, "3": 4})
    assert found["labels"] == {"a": 7, "b": 7}
    assert found["agreement"]["mean"] == pytest.approx((1 + 2 / 3 + 1 + 0.5 + 2 / 3) / 5)
    assert (found["agreement"]["unanimous"], found["agreement"]["tied"]) == (0.4, 1)
    assert [each["n"] for each in found["histogram"]] == [1, 2, 2]
    assert found["true"] == {"kind": "field", "field": "label", "without": 1}
    assert found["confused"] == [{"labels": ["a", "b"], "n": 3}]
    assert found["majority_right"]["value"] == pytest.approx(2 / 3)  # i0 and i2 of i0, i1, i2; i3 has no majority, i4 no true label
    assert [(each["id"], each["labels"]) for each in found["contested"]] == [
        ("i3", {"a": 1, "b": 1}),
        ("i1", {"a": 2, "b": 1}),
        ("i4", {"a": 1, "b": 2}),
    ]
    assert found["kappa"] is None
    assert warnings == ["1 items with one label are left out: a label always agrees with itself"]


def test_the_sweep_by_hand() -> None:
    """Usable are i0 to i3 (i4 has no true label, i5 one label); the points are at 0, 1/2, 2/3 and 1."""
    found = measure(items(), student("synthetic", "a", "a", "a", "b", "b", "c"), student("real", "a", "b", "b", "b", "b", "c"))
    sweep, warnings = found[1], found[2]
    assert (sweep["rule"], sweep["n"]) == (">=", 4)
    assert [(point["gamma"], point["n"]) for point in sweep["points"]] == [(0.0, 4), (0.5, 4), (2 / 3, 3), (1.0, 2)]
    assert [point["accuracy"]["synthetic"]["correct"] for point in sweep["points"]] == [1, 1, 1, 1]
    assert [point["accuracy"]["real"]["value"] for point in sweep["points"]] == [0.75, 0.75, 1.0, 1.0]
    first = sweep["points"][0]["differences"][0]
    assert (first["first"], first["second"], first["value"], first["first_only"], first["second_only"]) == ("synthetic", "real", -0.5, 0, 2)
    assert "1 of 5 items are left out of the accuracies: 1 have no true label" in warnings[1]
    assert found[0]["contested"][0]["predicted"] == {"synthetic": "b", "real": "b"}


def test_without_a_true_label_the_majority_is_it_and_ties_have_none() -> None:
    found, sweep, _ = measure(items(true=None), student("s", "a", "a", "b", "a", "b", "c"))
    assert found["true"] == {"kind": "majority", "field": None, "without": 1}
    assert found["majority_right"] is None
    assert (sweep["n"], sweep["points"][0]["accuracy"]["s"]["value"]) == (4, 1.0)


def test_students_are_compared_on_items_that_both_predict() -> None:
    _, sweep, _ = measure(items(), student("one", "a", None, "b", "a", "b", "c"), student("two", None, "b", "b", "b", "b", "c"))
    assert sweep["n"] == 2
    assert sweep["points"][0]["accuracy"]["one"]["correct"] == 2


def test_the_real_trained_student_is_compared_with_last() -> None:
    labels = ("a", "b", "b", "a", "b", "c")
    _, sweep, _ = measure(items(), student(REAL, *labels), student("few-shot", *labels), student(SYNTHETIC, *labels))
    assert [(each["first"], each["second"]) for each in sweep["points"][0]["differences"]] == [
        ("synthetic", "few-shot"), ("synthetic", "real"), ("few-shot", "real"),
    ]  # fmt: skip


def test_gammas_that_are_asked_for() -> None:
    _, sweep, _ = measure(items(), student("s", "a", "a", "b", "a", "b", "c"), gammas=(2 / 3, 0.9))
    assert [point["gamma"] for point in sweep["points"]] == [0.0, 2 / 3, 0.9]


def test_all_unanimous() -> None:
    found, sweep, warnings = measure(items((("a", "a"), ("b", "b")), ("a", "b")), student("s", "a", "a"))
    assert (found["contested"], found["alpha"]["value"], found["alpha"]["low"] is None or found["alpha"]["low"] == 1) == ([], 1.0, True)
    assert sweep["slopes"] == {"s": None}
    assert any("all items agree equally well" in each for each in warnings)


def test_one_label_in_all_is_said() -> None:
    found, _, warnings = measure(items((("a", "a"), ("a", "a")), None))
    assert (found["alpha"], found["kappa"]) == (None, None)
    assert "all labels are 'a': agreement beyond chance cannot be told" in warnings


@pytest.mark.parametrize(
    ("of", "students", "task", "said"),
    [
        (items((("a",), ("b",)), None), [], None, "items.jsonl: every item has one label, and agreement needs two"),
        (items(true=None), [student("s", "a", "z", None, None, None, None)], None, "s.jsonl: predictions: 'z' is none of the labels given"),
        (items(true=None), [student("s", "positve", *[None] * 5)], None, "name the task with --task"),
        (items((("objective", "subjectiv"),) * 2, None), [], "subj", "items.jsonl: labels: 'subjectiv' is none of the labels of task 'subj'; did you mean 'subjective'? Known: objective, subjective."),
        (items((("objective", "subjective"),) * 2, ("objective", "x")), [], "subj", "items.jsonl: field 'label': 'x' is none of the labels of task 'subj'"),
        (items((("objective", "objective"),) * 2, None), [student("s", "Objective", None)], "subj", "s.jsonl: predictions: 'Objective' is none of the labels of task 'subj'; did you mean 'objective'?"),
        (items((("a", "b"), ("b", "a")), None), [student("s", "a", "a")], None, "no item has both a true label and a prediction of every student"),
    ],
)  # fmt: skip
def test_errors(of: Annotated, students: list[StudentAnswers], task: str | None, said: str) -> None:
    with pytest.raises(UsageError) as error:
        measure(of, *students, task=load_task(task) if task else None)
    assert said in str(error.value)


def test_a_label_of_the_task_that_nobody_gave_may_be_predicted() -> None:
    found = measure(items((("objective", "objective"),) * 2, None), student("s", "subjective", "objective"), task=load_task("subj"))
    assert found[1]["points"][0]["accuracy"]["s"]["value"] == 0.5


# -- planted annotators on real texts --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planted(data_folder: Path) -> tuple[Annotated, np.ndarray, dict[str, list[str]]]:
    """Test texts of subj with five annotators each, who err the more, the less sure a classifier of the one half of the data is.

    (items, how sure, predictions): `classifier` is trained on the other half; `real` knows the label of 80 % beside that, and
    `synthetic` says what `real` says where the first classifier is sure, and guesses elsewhere.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    place = data_folder / "subj"
    train, test = ([json.loads(line) for line in (place / f"{split}.jsonl").read_bytes().splitlines()] for split in ("train", "test"))
    train, test = train[:4000], test[:1000]
    vectorizer = TfidfVectorizer(min_df=2)
    x, y = vectorizer.fit_transform([row["text"] for row in train]), np.array([row["label"] for row in train])
    tested, true = vectorizer.transform([row["text"] for row in test]), [row["label"] for row in test]
    first, second = (LogisticRegression(C=5).fit(x[part::2], y[part::2]) for part in (0, 1))
    sure = first.predict_proba(tested)[range(len(true)), [list(first.classes_).index(label) for label in true]]
    rng = np.random.default_rng(0)
    other = {"objective": "subjective", "subjective": "objective"}
    right = rng.random((len(true), 5)) < 0.5 + 0.5 * np.clip(2 * sure - 1, 0, 1)[:, None] ** 0.5
    votes = tuple(tuple(label if each else other[label] for each in row) for label, row in zip(true, right, strict=True))
    classifier = [str(label) for label in second.predict(tested)]
    real = [label if knows else said for label, said, knows in zip(true, classifier, rng.random(len(true)) < 0.8, strict=True)]
    guessed = np.where(rng.random(len(true)) < 0.5, "objective", "subjective")
    synthetic = [label if each > 0.8 else str(guess) for label, each, guess in zip(real, sure, guessed, strict=True)]
    texts = tuple(row["text"] for row in test)
    return (
        Annotated("subj", "list", ("",) * len(texts), texts, votes, tuple(true), "label", 5),
        sure,
        {"real": real, "synthetic": synthetic, "classifier": classifier},
    )


def test_planted_annotators(planted: Any) -> None:
    """Agreement follows the planted difficulty, and accuracy rises with it."""
    of, sure, predictions = planted
    students = [student(name, *labels) for name, labels in predictions.items()]
    found = measure_subjectivity(of, None, students=students, task=load_task("subj"))
    shares = np.array([max(votes.count("objective"), votes.count("subjective")) / 5 for votes in of.votes])
    assert np.corrcoef(shares, sure)[0, 1] > 0.3
    assert found["instances"]["agreement"]["mean"] == pytest.approx(shares.mean())
    points = found["sweep"]["points"]
    assert [point["n"] for point in points] == [int((shares >= gamma).sum()) for gamma in (0, 0.6, 0.8, 1)]
    for name, labels in predictions.items():
        accuracies = [point["accuracy"][name]["value"] for point in points]
        assert accuracies[0] == np.mean([label == true for label, true in zip(labels, of.true, strict=True)])
        if name != "real":
            assert all(now <= later for now, later in pairwise(accuracies))
            assert accuracies[-1] > accuracies[0] + 0.02
            assert found["sweep"]["slopes"][name]["low"] > 0
    differences = {(each["first"], each["second"]): each for each in found["sweep"]["slope_differences"]}
    assert differences["synthetic", "real"]["low"] > 0
    signs = {sign["name"]: sign["points_to"] for sign in found["answer"]["signs"]}
    assert (signs["slope"], signs["gap"]) == ("higher", "higher")
    json.dumps(found, allow_nan=False)


def test_annotators_without_difficulty_show_no_slope(planted: Any) -> None:
    """The same number of errors, thrown on items at random: agreement says nothing of accuracy then."""
    of, _, predictions = planted
    places = np.random.default_rng(1).permutation(len(of))
    shuffled = [of.votes[place] if of.true[place] == true else tuple({"objective": "subjective", "subjective": "objective"}[v] for v in of.votes[place]) for place, true in zip(places, of.true, strict=True)]  # fmt: skip
    of = Annotated("subj", "list", of.ids, of.texts, tuple(shuffled), of.true, "label", 5)
    _, sweep, _ = measure(of, student("real", *predictions["classifier"]))
    assert sweep["slopes"]["real"]["low"] < 0 < sweep["slopes"]["real"]["high"]
