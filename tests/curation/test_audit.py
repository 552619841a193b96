"""The audit: planted flips in real texts, cleanlab called directly, labels with one or few items, cleanlab absent."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict

from variegate.curation.audit import audit
from variegate.curation.judging import Items
from variegate.curation.platt import assign_folds
from variegate.errors import UsageError, VariegateError
from variegate.seeding import derive_seed

Labelled = Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]]
pytest.importorskip("cleanlab", reason="needs the audit extra")


def items_of(labels: np.ndarray | list[str]) -> Items:
    n = len(labels)
    return Items(tuple(f"r{i:04}" for i in range(n)), tuple(f"text {i}" for i in range(n)), tuple(map(str, labels)), ((),) * n)


def flipped(true: np.ndarray, share: float) -> np.ndarray:
    rng, out, names = np.random.default_rng(0), true.copy(), np.unique(true)
    for place in rng.permutation(len(true))[: round(share * len(true))]:
        out[place] = rng.choice(names[names != true[place]])
    return out


@pytest.mark.parametrize("name", ["trec6", "clinc"])
def test_planted_flips_are_found(labelled: Labelled, name: str) -> None:
    _, true, vectors = labelled(name)
    some = np.isin(true, np.unique(true)[:20])
    true, vectors = true[some], vectors[some]
    given = flipped(true, 0.2)
    judgement = audit(items_of(given), vectors, drop=True, folds=5, seed=0)
    found = np.array([not each.keep for each in judgement.verdicts])
    wrong = given != true
    assert (found & wrong).sum() / found.sum() > 0.55  # 0.2 by chance
    assert (found & wrong).sum() / wrong.sum() > 0.7
    suggested = np.array([each.details["suggested"] for each in judgement.verdicts])
    assert (suggested == true)[found & wrong].mean() > 0.7
    assert judgement.facts["issues"] == found.sum()
    assert {each.reason for each, issue in zip(judgement.verdicts, found, strict=True) if issue} == {"label_issue"}
    assert [each.label for each in judgement.verdicts] == given.tolist()


def test_it_is_what_cleanlab_says(labelled: Labelled) -> None:
    from cleanlab.filter import find_label_issues

    _, true, vectors = labelled("trec6")
    given = flipped(true, 0.2)
    codes = np.unique(given, return_inverse=True)[1]
    folds = assign_folds(codes, 4, seed=derive_seed(9, "audit"))
    probabilities = cross_val_predict(LogisticRegression(max_iter=1000), vectors, codes, cv=PredefinedSplit(folds), method="predict_proba")
    ranked = find_label_issues(codes, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    judgement = audit(items_of(given), vectors, drop=False, folds=4, seed=9)
    issues = sorted((each.details["rank"], place) for place, each in enumerate(judgement.verdicts) if each.reason)
    assert [place for _, place in issues] == ranked.tolist()
    assert [rank for rank, _ in issues] == list(range(1, len(ranked) + 1))
    assert all(each.keep for each in judgement.verdicts)
    own = probabilities[np.arange(len(codes)), codes]
    assert [each.confidence for each in judgement.verdicts] == pytest.approx(own, abs=1e-6)
    assert [each.details["self_confidence"] for each in judgement.verdicts] == pytest.approx(own, abs=1e-6)


def clouds(counts: dict[str, int]) -> tuple[Items, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = [label for label, count in counts.items() for _ in range(count)]
    centres = dict(zip(counts, 3 * rng.normal(size=(len(counts), 6)), strict=True))
    return items_of(labels), np.array([centres[label] + rng.normal(size=6) for label in labels], dtype=np.float32)


def test_labels_with_few_items_are_judged_from_little_and_single_ones_not_at_all() -> None:
    items, vectors = clouds({"a": 20, "b": 20, "c": 3, "d": 1})
    judgement = audit(items, vectors, drop=True, folds=5, seed=0)
    last = judgement.verdicts[-1]
    assert (last.label, last.keep, last.reason, last.confidence) == ("d", True, "unjudged", None)
    assert judgement.facts["single_item_labels"] == ["d"]
    assert judgement.facts["labels_with_fewer_items_than_folds"] == ["c"]
    assert judgement.facts["judged"] == 43
    assert judgement.warnings == (
        "not judged: the one item of 1 label with no second one: d",
        "1 label with fewer items than the 5 folds, judged from little: c",
    )
    assert all(each.confidence is not None and each.confidence > 0 for each in judgement.verdicts[:-1])


def test_issues_are_named_by_their_own_place() -> None:
    """The first item is not judged, so places and rows of probabilities differ by one."""
    items, vectors = clouds({"single": 1, "a": 30, "b": 30})
    labels = list(items.labels)
    labels[7], labels[40] = "b", "a"
    judgement = audit(items_of(labels), vectors, drop=True, folds=5, seed=0)
    assert {place for place, each in enumerate(judgement.verdicts) if not each.keep} == {7, 40}
    assert judgement.verdicts[7].details["suggested"] == "a"


def test_the_same_seed_gives_the_same_judgement() -> None:
    items, vectors = clouds({"a": 20, "b": 20})
    one, two, other = (audit(items, vectors, drop=False, folds=5, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


def test_two_items_of_two_labels() -> None:
    items, vectors = clouds({"a": 2, "b": 2})
    assert len(audit(items, vectors, drop=False, folds=5, seed=0).verdicts) == 4


def test_what_cannot_be_used_is_refused() -> None:
    items, vectors = clouds({"a": 20, "b": 1})
    with pytest.raises(UsageError, match="audit: 1 label with two or more items, and telling labels apart needs two"):
        audit(items, vectors, drop=False, folds=5, seed=0)
    with pytest.raises(UsageError, match="folds: got 1, expected at least 2"):
        audit(items, vectors, drop=False, folds=1, seed=0)
    with pytest.raises(UsageError, match="expected one vector for each of 21 items"):
        audit(items, vectors[:3], drop=False, folds=5, seed=0)


def test_without_cleanlab_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cleanlab", None)
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    items, vectors = clouds({"a": 20, "b": 20})
    with pytest.raises(VariegateError, match=r"needs cleanlab, which is not installed: pip install 'variegate\[audit\]'") as caught:
        audit(items, vectors, drop=False, folds=5, seed=0)
    assert caught.value.exit_code == 1
