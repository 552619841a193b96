"""Agreement against hand-worked and published cases, enumeration and simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.metrics.agreement import (
    Agreement,
    chance_agreement,
    fleiss_kappa,
    instance_agreement,
    krippendorff_alpha,
    mean_agreement,
)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), example C: four observers, twelve units, gaps.
OBSERVERS = ("123321412...", "123322412 5.3".replace(" ", ""), ".3332342251.", "12332441251.")
UNITS = [[row[unit] for row in OBSERVERS if row[unit] != "."] for unit in range(12)]
# The worked example of Fleiss' kappa in Wikipedia: ten subjects, fourteen raters, five categories.
FLEISS = ["0 0 0 0 14", "0 2 6 4 2", "0 0 3 5 6", "0 3 9 2 0", "2 2 8 1 1", "7 7 0 0 0", "3 2 6 3 0", "2 5 3 2 2", "6 5 2 1 0", "0 2 2 3 7"]

votes_of_items = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=6), min_size=1, max_size=12)


def of_counts(rows: list[str]) -> list[list[str]]:
    return [[f"c{place}" for place, count in enumerate(row.split()) for _ in range(int(count))] for row in rows]


def test_the_share_of_the_majority() -> None:
    found = instance_agreement([["a", "a", "b"], ["b"], ["a", "b", "b", "a"], ["c", "b", "a"]])
    assert found.shares.tolist() == [2 / 3, 1.0, 0.5, 1 / 3]
    assert found.sizes.tolist() == [3, 1, 4, 3]
    assert found.majority == ("a", "b", None, None)
    assert found.labels == ("a", "b", "c")


@given(votes_of_items)
def test_a_share_is_a_count_of_its_item(votes: list[list[str]]) -> None:
    found = instance_agreement(votes)
    for each, share, majority in zip(votes, found.shares, found.majority, strict=True):
        most = max(each.count(label) for label in each)
        assert share == most / len(each)
        assert share >= 1 / len(set(each))
        winners = {label for label in each if each.count(label) == most}
        assert majority == (winners.pop() if len(winners) == 1 else None)


def test_what_has_no_label_is_refused() -> None:
    with pytest.raises(UsageError, match="item 2: has no label"):
        instance_agreement([["a"], []])
    with pytest.raises(UsageError, match="no item"):
        instance_agreement([])


def test_alpha_of_the_published_example() -> None:
    found = krippendorff_alpha(instance_agreement(UNITS))
    assert found is not None
    assert found.value == pytest.approx(0.743, abs=5e-4)
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.value < found.high <= 1


def test_alpha_by_hand() -> None:
    """Two observers, four units, aa aa bb ab: of 4 pairs 1 differs (D_o = 2/8); 5 a and 3 b give D_e = 2 * 15 / 56."""
    found = krippendorff_alpha(instance_agreement([["a", "a"], ["a", "a"], ["b", "b"], ["a", "b"]]))
    assert found is not None
    assert found.value == pytest.approx(1 - (2 / 8) / (30 / 56))


def test_alpha_is_1_where_all_agree_about_0_by_chance_and_undefined_for_one_label() -> None:
    same = krippendorff_alpha(instance_agreement([["a"] * 3, ["b"] * 3]))
    assert same is not None
    assert same.value == 1
    rng = np.random.default_rng(0)
    random = krippendorff_alpha(instance_agreement([list(row) for row in rng.choice(list("ab"), (4000, 3))]))
    assert random is not None
    assert abs(random.value) < 0.03
    assert krippendorff_alpha(instance_agreement([["a", "a"], ["a", "a"]])) is None
    assert krippendorff_alpha(instance_agreement([["a"], ["b"]])) is None


def test_alphas_interval_narrows_as_items_come_and_is_seeded() -> None:
    few, many = instance_agreement(UNITS * 3), instance_agreement(UNITS * 48)

    def width(of: Agreement, seed: int = 0) -> float:
        found = krippendorff_alpha(of, seed=seed)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    assert width(few) / width(many) == pytest.approx(4, rel=0.15)
    assert width(few) == width(few)
    assert width(few) != width(few, seed=1)


def test_kappa_of_the_published_example() -> None:
    assert fleiss_kappa(instance_agreement(of_counts(FLEISS))) == pytest.approx(0.210, abs=5e-4)


def test_kappa_and_alpha_come_together_for_many_items() -> None:
    agreement = instance_agreement(of_counts(FLEISS) * 200)
    alpha = krippendorff_alpha(agreement)
    assert alpha is not None
    assert fleiss_kappa(agreement) == pytest.approx(alpha.value, abs=1e-3)


@pytest.mark.parametrize("votes", [UNITS, [["a"], ["b"]], [["a", "a"], ["a", "a"]]], ids=["unequal", "single", "one label"])
def test_kappa_is_not_made_up(votes: list[list[str]]) -> None:
    assert fleiss_kappa(instance_agreement(votes)) is None


def test_chance_by_enumeration() -> None:
    votes = [["a", "a", "a"], ["b", "c", "a"], ["a", "b"]]
    p = {"a": 5 / 8, "b": 2 / 8, "c": 1 / 8}
    expected = []
    for k in (3, 3, 2):
        draws = list(itertools.product(p, repeat=k))
        expected.append(sum(math.prod(p[label] for label in draw) * max(map(draw.count, draw)) / k for draw in draws))
    assert chance_agreement(instance_agreement(votes)) == pytest.approx(sum(expected) / 3, abs=1e-12)


def test_chance_of_three_labels_of_two_even_classes_is_three_quarters() -> None:
    assert chance_agreement(instance_agreement([["a", "a", "b"], ["b", "b", "a"]])) == pytest.approx(0.75)


def test_chance_of_many_labels_is_finite() -> None:
    votes = [["a"] * 260 + ["b"] * 140, ["c"] * 400]
    p = np.array([260, 140, 400]) / 800
    drawn = np.random.default_rng(0).multinomial(400, p, size=20_000).max(1).mean() / 400
    assert chance_agreement(instance_agreement(votes)) == pytest.approx(drawn, abs=1e-3)


def test_the_mean_has_an_interval_where_shares_differ() -> None:
    found = mean_agreement(instance_agreement([["a", "a"], ["a", "b"], ["b", "b"], ["b", "b"]]))
    assert found.value == 0.875
    assert found.low == pytest.approx(0.875 - 1.96 * 0.25 / 2, abs=1e-4)
    assert found.high == 1.0
    assert mean_agreement(instance_agreement([["a", "a"], ["b", "b"]])).low is None
