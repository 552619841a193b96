"""The proxy against scikit-learn's CalibratedClassifierCV, its handling of classes with few or no positives, uncertainty by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.svm import LinearSVC

from variegate.curation import inputs
from variegate.curation.platt import assign_folds
from variegate.curation.proxy import OWN_SIGMOID_FROM, choose_uncertain, train_proxy
from variegate.errors import UsageError


def groups(counts: list[int], d: int = 16, seed: int = 0, spread: float = 0.6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(counts)), counts)
    rows = np.random.default_rng(99).normal(size=(len(counts), d))[codes] + spread * rng.normal(size=(len(codes), d)) * d**0.5 / 2
    order = rng.permutation(len(codes))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)[order], codes[order]


def one_vs_rest(vectors: np.ndarray, codes: np.ndarray, wanted: np.ndarray, seed: int) -> np.ndarray:
    """By scikit-learn, class by class, over the same folds."""
    folds = assign_folds(codes, 5, seed=seed)
    splits = [(np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)) for fold in range(5)]
    columns = []
    for code in np.unique(codes):
        model = CalibratedClassifierCV(LinearSVC(max_iter=10_000, random_state=0), method="sigmoid", cv=splits, ensemble=False)
        columns.append(model.fit(vectors, codes == code).predict_proba(wanted)[:, 1])
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("num_classes", [2, 4, 7])
def test_probabilities_are_scikit_learns_where_classes_are_large(num_classes: int) -> None:
    """Classes of equal size weigh alike, so no weights stand in the way of the comparison."""
    vectors, codes = groups([20] * num_classes)
    wanted, _ = groups([30] * num_classes, seed=1)
    found = train_proxy(vectors, codes, num_classes=num_classes, seed=3).probabilities(wanted)
    expected = one_vs_rest(vectors, codes, wanted, 3)
    assert found == pytest.approx(expected, abs=5e-3)
    assert expected.std() > 0.2  # they say something


def test_positives_weigh_inversely_to_their_number() -> None:
    vectors, codes = groups([40, 10, 4, 1])
    proxy = train_proxy(vectors, codes, num_classes=4, seed=0)
    for code, count in enumerate([40, 10, 4, 1]):
        weights = {True: 55 / (4 * count), False: 1.0}
        alone = LinearSVC(max_iter=10_000, class_weight=weights, random_state=0).fit(vectors, codes == code)
        assert proxy.weights[code] == pytest.approx(alone.coef_[0], abs=5e-3)
        assert proxy.offsets[code] == pytest.approx(alone.intercept_[0], abs=5e-3)


def test_few_positives_share_a_sigmoid_and_a_class_without_any_has_probability_0() -> None:
    vectors, codes = groups([30, OWN_SIGMOID_FROM, OWN_SIGMOID_FROM - 1, 2, 1])
    codes = np.array([0, 1, 3, 4, 6])[codes]  # classes 2 and 5 of seven have none
    proxy = train_proxy(vectors, codes, num_classes=7, seed=0)
    assert proxy.known.tolist() == [0, 1, 3, 4, 6]
    assert proxy.positives.tolist() == [30, 8, 0, 7, 2, 0, 1]
    assert len(set(proxy.slopes[2:])) == 1
    assert len(set(proxy.slopes)) == 3
    found = proxy.probabilities(vectors)
    assert (found[:, [2, 5]] == 0).all()
    assert (found[:, proxy.known] > 0).all()
    assert (proxy.held_out[:, [2, 5]] == 0).all()
    assert proxy.calibrated
    assert (found.argmax(1) == codes).mean() > 0.9


def test_one_positive_is_never_held_out_and_known_at_once() -> None:
    vectors, codes = groups([20, 20, 1])
    proxy = train_proxy(vectors, codes, num_classes=3, seed=0)
    assert proxy.held_out[codes == 2, 2].tolist() == [0.0]


def test_a_row_of_each_class_says_nothing_but_does_not_fail() -> None:
    vectors, codes = groups([1, 1, 1, 1])
    proxy = train_proxy(vectors, codes, num_classes=4, seed=0)
    assert not proxy.calibrated
    assert np.ptp(proxy.probabilities(vectors)) == 0
    vectors, codes = groups([1, 1])
    assert not train_proxy(vectors, codes, num_classes=2, seed=0).calibrated


def test_one_class_is_refused() -> None:
    vectors, codes = groups([5])
    with pytest.raises(UsageError, match="at least two classes"):
        train_proxy(vectors, codes, num_classes=3, seed=0)


def test_it_depends_on_the_seed_alone_and_not_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, codes = groups([9, 9, 9])
    first = train_proxy(vectors, codes, num_classes=3, seed=0)
    again = train_proxy(vectors, codes, num_classes=3, seed=0)
    other = train_proxy(vectors, codes, num_classes=3, seed=1)
    whole = first.probabilities(vectors)
    assert (whole == again.probabilities(vectors)).all()
    assert (whole != other.probabilities(vectors)).any()
    monkeypatch.setattr(inputs.blocks, "__defaults__", (4,))
    assert first.probabilities(vectors) == pytest.approx(whole, abs=1e-6)


def test_a_proxy_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, codes = groups([20, 20, 20])
    assert train_proxy(vectors, codes, num_classes=3, seed=0).converged
    monkeypatch.setattr("variegate.curation.proxy.MAX_ITERATIONS", 1)
    assert not train_proxy(vectors, codes, num_classes=3, seed=0).converged


def test_real_classes_with_one_or_two_positives(labelled: Callable[[str], tuple[np.ndarray, np.ndarray, np.ndarray]]) -> None:
    """40 classes, 60 rows: far better than chance on the others, and probabilities that are not wildly off."""
    _, labels, vectors = labelled("clinc")
    codes = np.unique(labels, return_inverse=True)[1]
    proxy = train_proxy(vectors[:60], codes[:60], num_classes=40, seed=0)
    assert (proxy.positives[proxy.known] <= 2).sum() > 15
    found = proxy.probabilities(vectors[60:])
    assert (found.argmax(1) == codes[60:]).mean() > 0.5
    best = found.max(1)
    assert best.mean() == pytest.approx((found.argmax(1) == codes[60:]).mean(), abs=0.3)


def test_the_least_certain_come_first() -> None:
    probabilities = np.array([[0.9, 0.1, 0.0], [0.5, 0.375, 0.125], [0.25, 0.5, 0.25], [0.0, 0.375, 0.5], [0.25, 0.625, 0.125]])
    assert choose_uncertain(probabilities, 3) == [1, 3, 2]  # margins 1/8, 1/8, 1/4
    assert choose_uncertain(probabilities, 9) == [1, 3, 2, 4, 0]


def test_uncertainty_refuses_what_it_cannot_order() -> None:
    with pytest.raises(UsageError, match="at least two classes"):
        choose_uncertain(np.ones((3, 1)), 1)
    with pytest.raises(UsageError, match="m: got 0"):
        choose_uncertain(np.ones((3, 2)), 0)
    with pytest.raises(UsageError, match="not finite"):
        choose_uncertain(np.array([[np.nan, 1.0]]), 1)
