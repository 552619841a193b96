"""What stages check of their inputs, and shares with Wilson's interval against statsmodels."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from variegate.curation.inputs import check_labels, check_vectors, places_of, share, some_of
from variegate.curation.judging import Items
from variegate.errors import UsageError

ITEMS = Items(("a", "b", "c"), ("x", "y", "z"), ("1", "2", "1"), ((), (), ()))


@pytest.mark.parametrize(("count", "of"), [(0, 7), (3, 7), (7, 7), (55, 360), (1, 1)])
def test_a_share_has_wilsons_interval(count: int, of: int) -> None:
    found = share(count, of)
    assert found["value"] == count / of
    assert found["n"] == of
    assert found["ci95"] == pytest.approx(proportion_confint(count, of, method="wilson"), abs=1e-12)


def test_a_share_of_nothing_is_none() -> None:
    assert share(0, 0) == {"value": None, "ci95": None, "n": 0}


def test_vectors_must_belong_to_the_items() -> None:
    check_vectors(ITEMS, np.ones((3, 2), dtype=np.float32))
    with pytest.raises(UsageError, match=r"vectors: got an array of shape \(2, 4\), expected one vector for each of 3 items"):
        check_vectors(ITEMS, np.ones((2, 4), dtype=np.float32))
    bad = np.ones((3, 2), dtype=np.float32)
    bad[1, 1] = np.inf
    with pytest.raises(UsageError, match=r"the vector of item 'b' is not finite"):
        check_vectors(ITEMS, bad)


def test_an_unknown_label_is_named_with_the_nearest() -> None:
    check_labels(["joy"], ["joy", "anger"], "inspected labels")
    with pytest.raises(
        UsageError, match=r"inspected labels: the label 'angry' is none of the task's 2: anger, joy; did you mean 'anger'\?"
    ):
        check_labels(["joy", "angry"], ["joy", "anger"], "inspected labels")
    with pytest.raises(UsageError, match=r"'q' \(and 1 more unknown labels\)"):
        check_labels(["z", "q"], ["joy"], "given labels")


def test_places_and_lists() -> None:
    assert places_of(ITEMS, {"c": 1, "a": 2, "gone": 3}) == ([0, 2], 1)
    assert some_of(["a", "b", "c"], 2) == "a, b and 1 more"
