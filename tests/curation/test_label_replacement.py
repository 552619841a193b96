"""Label replacement: the formula against scikit-learn's parts, the identities of METHODS 8, planted noise, who is inspected."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import LinearSVC

from variegate.curation.judging import Items, Judgement
from variegate.curation.label_replacement import choose_inspected, replace_labels
from variegate.curation.platt import assign_folds
from variegate.errors import UsageError
from variegate.seeding import derive_seed

Labelled = Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]]


def items_of(labels: list[str] | np.ndarray) -> Items:
    n = len(labels)
    return Items(tuple(f"r{i:04}" for i in range(n)), tuple(f"text {i}" for i in range(n)), tuple(map(str, labels)), ((),) * n)


def toy(n: int = 120, noise: float = 0.3, classes: str = "abc", seed: int = 0) -> tuple[Items, np.ndarray, np.ndarray]:
    """(items with noisy labels, true labels, vectors)."""
    rng = np.random.default_rng(seed)
    true = np.array(list(classes))[np.arange(n) % len(classes)]
    centres = np.random.default_rng(7).normal(size=(len(classes), 12))
    rows = centres[np.arange(n) % len(classes)] + 0.9 * rng.normal(size=(n, 12))
    vectors = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return items_of(flipped(true, noise, rng)), true, vectors


def flipped(true: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    out, names = true.copy(), np.unique(true)
    for place in rng.permutation(len(true))[: round(share * len(true))]:
        out[place] = rng.choice(names[names != true[place]])
    return out


def labels_of(judgement: Judgement) -> np.ndarray:
    return np.array([each.label for each in judgement.verdicts])


def inspect(items: Items, true: np.ndarray, places: list[int]) -> dict[str, str]:
    return {items.ids[place]: str(true[place]) for place in places}


# -- the formula ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.6])
def test_labels_are_the_argmax_of_the_weighted_vote(weight: float) -> None:
    """Every part by scikit-learn. 15 inspected of each class: equal weights, and one of three in each fold's five."""
    items, true, vectors = toy(240)
    chosen = list(range(45))
    inspected = inspect(items, true, chosen)
    judgement = replace_labels(items, vectors, inspected, labels=["c", "a", "b"], weight=weight, seed=5)
    codes = np.array(["abc".index(label) for label in true[:45]])
    folds = assign_folds(codes, 5, seed=derive_seed(5, "label replacement"))
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(5)]
    proxy = np.stack(
        [
            CalibratedClassifierCV(LinearSVC(max_iter=10_000, random_state=0), cv=splits, ensemble=False)
            .fit(vectors[:45], codes == code)
            .predict_proba(vectors)[:, 1]
            for code in range(3)
        ],
        axis=1,
    )
    given = np.array(["abc".index(label) for label in items.labels])
    scores = weight * np.eye(3)[given] + (1 - weight) * proxy
    clear = np.diff(np.sort(scores, axis=1)[:, -2:], axis=1)[:, 0] > 0.01  # solvers agree to about 0.005
    rest = np.arange(45, 240)[clear[45:]]
    assert len(rest) > 180
    assert (labels_of(judgement)[rest] == np.array(list("abc"))[scores.argmax(axis=1)][rest]).all()
    for place in rest[:20]:
        details = judgement.verdicts[place].details
        assert details["proxy"] == pytest.approx(proxy[place, scores[place].argmax()], abs=5e-3)
        assert details["proxy_given"] == pytest.approx(proxy[place, given[place]], abs=5e-3)
        assert details["margin"] == pytest.approx(np.diff(np.sort(scores[place])[-2:])[0], abs=5e-3)


def test_weight_1_keeps_what_was_given_and_inspected_items_take_their_label() -> None:
    items, true, vectors = toy()
    inspected = inspect(items, true, list(range(30)))
    judgement = replace_labels(items, vectors, inspected, labels=list("abc"), weight=1, seed=0)
    assert labels_of(judgement)[30:].tolist() == list(items.labels[30:])
    assert labels_of(judgement)[:30].tolist() == true[:30].tolist()
    for verdict, given in zip(judgement.verdicts[:30], items.labels[:30], strict=True):
        assert verdict.confidence == 1
        assert verdict.reason == ("inspected" if verdict.label != given else "")
    assert all(each.keep for each in judgement.verdicts)
    assert [each.id for each in judgement.verdicts] == list(items.ids)


def test_weight_0_is_the_proxy_alone_whatever_was_given() -> None:
    items, true, vectors = toy()
    inspected = inspect(items, true, list(range(30)))
    one = replace_labels(items, vectors, inspected, labels=list("abc"), weight=0, seed=0)
    other = replace_labels(items_of(["a"] * 120), vectors, inspected, labels=list("abc"), weight=0, seed=0)
    assert (labels_of(one)[30:] == labels_of(other)[30:]).all()
    assert len(set(labels_of(one)[30:])) == 3


def test_a_tie_keeps_the_given_label() -> None:
    """All vectors are one, so a proxy finds every class equally likely; by itself (weight 0) it would give all items one label."""
    items = items_of(list("abc") * 40)
    vectors = np.zeros((120, 12), dtype=np.float32)
    vectors[:, 0] = 1
    inspected = dict(zip(items.ids[:6], "bcabca", strict=True))
    judgement = replace_labels(items, vectors, inspected, labels=list("abc"), weight=0, seed=0)
    rest = judgement.verdicts[6:]
    assert {each.details["proxy"] for each in rest} == {rest[0].details["proxy"]}
    assert {each.details["margin"] for each in rest} == {0.0}
    assert [each.label for each in rest] == list(items.labels[6:])
    assert {each.reason for each in rest} == {""}
    assert judgement.facts["proxy"]["accuracy_out_of_fold"] == judgement.facts["given_accuracy"]  # also where labels are but counted


def test_the_order_of_the_tasks_labels_changes_nothing() -> None:
    items, true, vectors = toy()
    inspected = inspect(items, true, list(range(30)))
    one, other = (replace_labels(items, vectors, inspected, labels=list(each), weight=0.3, seed=0) for each in ("abc", "cab"))
    assert one == other


def test_everything_inspected_needs_no_proxy_and_no_vectors() -> None:
    items, true, _ = toy()
    judgement = replace_labels(items, None, inspect(items, true, list(range(120))), labels=list("abc"), weight=0.3, seed=0)
    assert labels_of(judgement).tolist() == true.tolist()
    assert judgement.facts["proxy"] is None
    assert judgement.facts["given_accuracy"]["value"] == pytest.approx(0.7)
    same = items_of(["a"] * 4)  # also where all are of one class
    replace_labels(same, None, dict.fromkeys(same.ids, "a"), labels=["a", "b"], weight=0.3, seed=0)


def test_what_was_given_a_class_that_nothing_was_inspected_of_keeps_it() -> None:
    """Nothing is known against it: on banking77 a student of labels that lost such classes was right in half of their test texts less."""
    items, true, vectors = toy(classes="abcd", n=160)
    inspected = {id_: label for id_, label in inspect(items, true, list(range(60))).items() if label != "d"}
    judgement = replace_labels(items, vectors, inspected, labels=list("abcd"), weight=0.3, seed=0)
    changed = [each for each in judgement.verdicts if each.reason == "replaced"]
    assert changed
    assert all(each.label != "d" for each in changed)
    given_d = [each for given, each in zip(items.labels, judgement.verdicts, strict=True) if given == "d" and each.id not in inspected]
    assert given_d
    assert {each.label for each in given_d} == {"d"}
    assert any(each.details["margin"] < 0 for each in given_d)  # by the vote alone they would be of another class
    assert judgement.facts["proxy"]["without_positives"] == ["d"]
    assert any(
        "1 of 4 classes have no inspected item, so the proxy never gives them, and texts given them keep them: d" in each
        for each in judgement.warnings
    )
    assert all(0 <= each.confidence <= 1 for each in judgement.verdicts)


def test_few_positives_are_named() -> None:
    items, _, vectors = toy()
    inspected = {**inspect(items, np.array(["a", "b"] * 60), list(range(20))), items.ids[20]: "c"}
    judgement = replace_labels(items, vectors, inspected, labels=list("abc"), weight=0.3, seed=0)
    assert judgement.facts["proxy"]["shared_sigmoid"] == ["c"]
    assert judgement.facts["proxy"]["positives"] == {"a": 10, "b": 10, "c": 1}
    assert any("1 of 3 classes have fewer than 8 inspected items (1 have one)" in each for each in judgement.warnings)


# -- what it is good for --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("name", "m", "gain"), [("trec6", 90, 0.04), ("trec6", 180, 0.08), ("clinc", 180, 0.13)])
def test_planted_noise_is_mended(labelled: Labelled, name: str, m: int, gain: float) -> None:
    _, true, vectors = labelled(name)
    gains = []
    for seed in range(3):
        items = items_of(flipped(true, 0.3, np.random.default_rng(seed)))
        places = choose_inspected(items.ids, items.labels, m, seed=seed)
        judgement = replace_labels(items, vectors, inspect(items, true, places), labels=sorted(set(true)), weight=0.3, seed=seed)
        rest = np.setdiff1d(np.arange(len(items)), places)
        before, after = ((each[rest] == true[rest]).mean() for each in (np.array(items.labels), labels_of(judgement)))
        assert before == pytest.approx(0.7, abs=0.05)
        gains.append(after - before)
        # what is said without the truth: of the given labels, of the labels after replacement
        facts = judgement.facts
        assert facts["given_accuracy"]["ci95"][0] - 0.03 < before < facts["given_accuracy"]["ci95"][1] + 0.03
        assert facts["proxy"]["replaced_accuracy_out_of_fold"]["value"] == pytest.approx(after, abs=0.1)
    assert np.mean(gains) > gain


def test_confidence_is_the_share_that_is_right(labelled: Labelled) -> None:
    _, true, vectors = labelled("trec6")
    confidence, right = [], []
    for seed in range(3):
        items = items_of(flipped(true, 0.3, np.random.default_rng(seed)))
        places = choose_inspected(items.ids, items.labels, 150, seed=seed)
        judgement = replace_labels(items, vectors, inspect(items, true, places), labels=sorted(set(true)), weight=0.3, seed=seed)
        rest = np.setdiff1d(np.arange(len(items)), places)
        confidence += [judgement.verdicts[place].confidence for place in rest]
        right += (labels_of(judgement)[rest] == true[rest]).tolist()
    order = np.argsort(confidence)
    for part in np.array_split(order, 4):
        assert np.array(confidence)[part].mean() == pytest.approx(np.array(right)[part].mean(), abs=0.1)


def test_harm_is_foretold() -> None:
    """Vectors that say nothing: the proxy alone does worse than what was given, and the warning says so before a student does."""
    items, true, _ = toy(300)
    noise = np.random.default_rng(1).normal(size=(300, 12)).astype(np.float32)
    judgement = replace_labels(items, noise, inspect(items, true, list(range(90))), labels=list("abc"), weight=0, seed=0)
    (warning,) = [each for each in judgement.warnings if "out of fold" in each]
    found = re.match(
        r"on the 90 inspected items, out of fold, replacement would leave (\d+) labels right where (\d+) were given right", warning
    )
    assert found
    assert int(found[1]) < int(found[2]) - 5


# -- errors ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_used_is_refused() -> None:
    items, true, vectors = toy()
    inspected = inspect(items, true, list(range(30)))

    def refuse(match: str, **changed: object) -> None:
        arguments = {"items": items, "vectors": vectors, "inspected": inspected, "labels": list("abc"), "weight": 0.3, "seed": 0}
        with pytest.raises(UsageError, match=match):
            replace_labels(**{**arguments, **changed})  # type: ignore[arg-type]

    refuse("none of the items was inspected", inspected={})
    refuse("none of the items was inspected", inspected={"elsewhere": "a"})
    refuse(
        "all 2 inspected items have the label 'b', and a proxy needs two classes: inspect more", inspected=dict.fromkeys(items.ids[:2], "b")
    )
    refuse("inspected labels: the label 'q' is none of the task's 3: a, b, c", inspected={**inspected, items.ids[0]: "q"})
    refuse("given labels: the label 'c' is none", labels=["a", "b"], inspected={})
    refuse("weight: got 1.2, expected 0 to 1", weight=1.2)
    refuse("90 items not inspected, and a proxy needs vectors", vectors=None)
    refuse("expected one vector for each of 120 items", vectors=vectors[:5])


def test_judgements_of_records_that_are_gone_are_left_out_and_said() -> None:
    items, true, vectors = toy()
    inspected = inspect(items, true, list(range(30)))
    one = replace_labels(items, vectors, inspected, labels=list("abc"), weight=0.3, seed=0)
    two = replace_labels(items, vectors, {**inspected, "gone": "a"}, labels=list("abc"), weight=0.3, seed=0)
    assert one.verdicts == two.verdicts
    assert two.facts["inspected_elsewhere"] == 1
    assert "1 inspected id not among the 120 items judged here: left out" in two.warnings


# -- who is inspected -------------------------------------------------------------------------------------------------


def test_draws_are_nested_seeded_and_do_not_depend_on_the_order_of_records() -> None:
    ids, labels = [f"r{i}" for i in range(200)], ["abcd"[i % 4] for i in range(200)]
    small, large = (choose_inspected(ids, labels, m, seed=3) for m in (50, 120))
    assert set(small) < set(large)
    assert small == sorted(set(small))
    assert len(small) == 50
    assert small != choose_inspected(ids, labels, 50, seed=4)
    order = np.random.default_rng(0).permutation(200)
    moved = choose_inspected([ids[i] for i in order], [labels[i] for i in order], 50, seed=3)
    assert {ids[order[i]] for i in moved} == {ids[i] for i in small}
    assert choose_inspected(ids, labels, 999, seed=3) == list(range(200))


def test_each_label_is_drawn_in_proportion_and_each_item_as_often() -> None:
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    drawn: Counter[int] = Counter()
    for seed in range(400):
        places = choose_inspected([f"r{i}" for i in range(100)], labels, 20, seed=seed)
        counts = Counter(labels[place] for place in places)
        assert abs(counts["a"] - 12) <= 1
        assert abs(counts["b"] - 6) <= 1
        assert abs(counts["c"] - 2) <= 1
        drawn.update(places)
    shares = np.array([drawn[place] / 400 for place in range(100)])
    assert shares.mean() == pytest.approx(0.2)
    assert np.abs(shares - 0.2).max() < 4.5 * (0.2 * 0.8 / 400) ** 0.5
    assert shares[90:].mean() == pytest.approx(0.2, abs=0.03)  # a rare label is neither favoured nor passed over


def test_a_small_draw_favours_no_label() -> None:
    """Two of 100, 500 times: each label as often as its share says."""
    labels = ["a"] * 60 + ["b"] * 30 + ["c"] * 10
    draws = [choose_inspected([f"r{i}" for i in range(100)], labels, 2, seed=seed) for seed in range(500)]
    counts = Counter(labels[place] for places in draws for place in places)
    assert [counts[label] / 1000 for label in "abc"] == pytest.approx([0.6, 0.3, 0.1], abs=0.05)


def test_a_draw_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="inspected: got 0, expected at least 1"):
        choose_inspected(["a"], ["x"], 0, seed=0)
    with pytest.raises(UsageError, match="2 ids and 1 labels"):
        choose_inspected(["a", "b"], ["x"], 1, seed=0)
