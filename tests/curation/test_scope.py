"""Out-of-scope filtering: real out-of-scope queries, scikit-learn's calibrated classifier, judged items, errors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import precision_score, recall_score
from sklearn.svm import LinearSVC

from variegate.curation.judging import Items
from variegate.curation.platt import assign_folds, fit_sigmoid
from variegate.curation.scope import filter_scope
from variegate.errors import UsageError
from variegate.seeding import derive_seed


def items_of(n: int) -> Items:
    return Items(tuple(f"r{i:04}" for i in range(n)), tuple(f"text {i}" for i in range(n)), ("joy",) * n, ((),) * n)


def two_clouds(n: int = 200, share_out: float = 0.25, apart: float = 2.0) -> tuple[Items, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    out = rng.random(n) < share_out
    vectors = (rng.normal(size=(n, 10)) + apart * out[:, None] * np.eye(10)[0]).astype(np.float32)
    return items_of(n), vectors, out


def judge(items: Items, out: np.ndarray, m: int) -> dict[str, bool]:
    return {items.ids[place]: not out[place] for place in range(m)}


def test_probabilities_are_scikit_learns() -> None:
    items, vectors, out = two_clouds()
    judgement = filter_scope(items, vectors, judge(items, out, 120), threshold=0.5, seed=4)
    folds = assign_folds(out[:120].astype(int), 5, seed=derive_seed(4, "scope"))
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(5)]
    model = CalibratedClassifierCV(LinearSVC(max_iter=10_000, random_state=0), cv=splits, ensemble=False).fit(vectors[:120], out[:120])
    expected = model.predict_proba(vectors)[:, 1]
    found = np.array([each.details["out_of_scope"] for each in judgement.verdicts])
    assert found == pytest.approx(expected, abs=5e-3)
    for place in range(120, 200):
        verdict = judgement.verdicts[place]
        assert verdict.confidence == pytest.approx(1 - found[place], abs=1e-5)
        assert verdict.keep == (found[place] < 0.5)
        assert verdict.reason == ("" if verdict.keep else "out_of_scope")
        assert verdict.label == "joy"


@pytest.mark.parametrize("threshold", [0.2, 0.3, 0.4])
def test_the_facts_come_from_models_and_sigmoids_that_did_not_see_the_item(threshold: float) -> None:
    items, vectors, out = two_clouds(apart=1.0)
    facts = filter_scope(items, vectors, judge(items, out, 60), threshold=threshold, seed=4).facts["out_of_fold"]
    out, vectors = out[:60], vectors[:60]
    folds = assign_folds(out.astype(int), 5, seed=derive_seed(4, "scope"))
    values = np.empty(60)
    for fold in range(5):
        inside = folds != fold
        values[~inside] = LinearSVC(max_iter=10_000, random_state=0).fit(vectors[inside], out[inside]).decision_function(vectors[~inside])
    dropped = np.empty(60, dtype=bool)
    for fold in range(5):
        inside = folds != fold
        dropped[~inside] = fit_sigmoid(values[inside], out[inside])(values[~inside]) >= threshold
    assert facts["precision"]["value"] == pytest.approx(precision_score(out, dropped))
    assert facts["recall"]["value"] == pytest.approx(recall_score(out, dropped))
    assert facts["accuracy"]["value"] == pytest.approx((out == dropped).mean())
    assert facts["precision"]["n"] == dropped.sum()


def test_judged_items_keep_their_judgement() -> None:
    items, vectors, out = two_clouds(apart=0.0)  # nothing to learn, so the classifier would be wrong of most that are out
    judgement = filter_scope(items, vectors, judge(items, out, 120), threshold=0.5, seed=0)
    assert [each.keep for each in judgement.verdicts[:120]] == (~out[:120]).tolist()
    assert [each.confidence for each in judgement.verdicts[:120]] == (~out[:120]).astype(float).tolist()
    assert judgement.facts["judged_out"] == out[:120].sum()
    assert judgement.facts["dropped"] == sum(not each.keep for each in judgement.verdicts)


def test_a_lower_threshold_drops_more() -> None:
    items, vectors, out = two_clouds()
    dropped = [
        {each.id for each in filter_scope(items, vectors, judge(items, out, 120), threshold=at, seed=0).verdicts if not each.keep}
        for at in (0.2, 0.5, 0.8)
    ]
    assert dropped[0] > dropped[1] > dropped[2]


def test_real_out_of_scope_queries(labelled: Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """A fifth is out of scope, half is judged. What the facts say of the filter is what it does to those not judged."""
    _, labels, vectors = labelled("scope")
    out = labels == "oos"
    items = items_of(len(out))
    judgement = filter_scope(items, vectors, judge(items, out, 375), threshold=0.4, seed=0)
    dropped = np.array([not each.keep for each in judgement.verdicts])[375:]
    precision, recall = precision_score(out[375:], dropped), recall_score(out[375:], dropped)
    assert precision > 0.55  # 0.2 by chance
    assert recall > 0.4
    facts = judgement.facts["out_of_fold"]
    assert facts["precision"]["value"] == pytest.approx(precision, abs=0.2)
    assert facts["recall"]["value"] == pytest.approx(recall, abs=0.2)
    assert facts["accuracy"]["n"] == 375
    assert facts["recall"]["n"] == out[:375].sum()
    assert judgement.facts["out_of_scope_share"]["value"] == pytest.approx(out[:375].mean())


def test_one_kind_of_judgement_is_refused() -> None:
    items, vectors, _ = two_clouds()
    with pytest.raises(
        UsageError, match=r"all 3 judged items are in scope, and a filter learns from both kinds: .* until some are out of scope"
    ):
        filter_scope(items, vectors, dict.fromkeys(items.ids[:3], True), threshold=0.5, seed=0)
    with pytest.raises(UsageError, match=r"all 3 judged items are out of scope, .* until some are in scope"):
        filter_scope(items, vectors, dict.fromkeys(items.ids[:3], False), threshold=0.5, seed=0)
    with pytest.raises(UsageError, match="none of the items was judged"):
        filter_scope(items, vectors, {"elsewhere": True}, threshold=0.5, seed=0)
    with pytest.raises(UsageError, match="threshold: got 1"):
        filter_scope(items, vectors, {}, threshold=1, seed=0)


@pytest.mark.parametrize("num_out", [1, 4, 5])
def test_few_out_of_scope_are_warned_of(num_out: int) -> None:
    items, vectors, _ = two_clouds()
    judged = {id_: place >= num_out for place, id_ in enumerate(items.ids[:100])}
    judgement = filter_scope(items, vectors, {**judged, "gone": False}, threshold=0.5, seed=0)
    assert any(f"{num_out} item" in each and "fewer than 5" in each for each in judgement.warnings) == (num_out < 5)
    assert any("1 judgement of no item here" in each for each in judgement.warnings)
    assert sum(not each.keep for each in judgement.verdicts[:num_out]) == num_out


def test_the_same_seed_gives_the_same_judgement() -> None:
    items, vectors, out = two_clouds()
    one, two, other = (filter_scope(items, vectors, judge(items, out, 90), threshold=0.5, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other
