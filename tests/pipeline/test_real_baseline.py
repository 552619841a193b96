"""Real texts against other real texts: the split, and the numbers against scikit-learn on the rows that it draws."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances, cosine_similarity

from variegate.metrics.vectors import prepare
from variegate.pipeline.real_baseline import FEWEST, MOST, beside_real, split_real
from variegate.pipeline.sides import Side
from variegate.store.texts import TextSet

SETTINGS = {"distance": "cosine", "k": 5, "radius": 0.3, "threshold": 0.95, "seed": 3}


def side(rows: np.ndarray) -> Side:
    source = TextSet("x", None, None, tuple(map(str, range(len(rows)))), rows)
    return Side(source, prepare(rows, "x"), None, np.arange(len(rows)))


def rows_of(n: int, seed: int, width: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width)) + 0.8


def test_both_are_drawn_to_one_size_and_stand_against_the_same_others() -> None:
    made, real = rows_of(40, 1), rows_of(60, 2)
    found = beside_real(side(made), side(real), **SETTINGS)  # type: ignore[arg-type]
    assert found is not None
    assert (found["n"], found["m"]) == (30, 30)  # half of the real ones, since the set has more
    parts = split_real(60, 40, 3)
    assert parts is not None
    drawn, others = (real[part] for part in parts)
    assert sorted([*parts[0], *parts[1]]) == list(range(60))
    values = {row["metric"]: row for row in found["values"]}
    assert list(values) == ["cross_distance", "top_k_similarity", "leakage_near", "coverage"]
    for which, rows in (("real", drawn), ("set", made[np.sort(np.random.default_rng(_seed()).choice(40, 30, replace=False))])):
        similar = cosine_similarity(others, rows)
        assert values["top_k_similarity"][which]["value"] == pytest.approx(np.sort(similar, axis=1)[:, -5:].mean(), abs=1e-6)
        assert values["cross_distance"][which]["value"] == pytest.approx(cosine_distances(rows, others).mean())
        assert values["coverage"][which]["value"] == pytest.approx((similar.max(axis=1) >= 0.7).mean())
        assert values["leakage_near"][which]["value"] == pytest.approx((similar.max(axis=0) >= 0.95).mean())
        assert values["coverage"][which]["n"] == 30


def _seed() -> int:
    from variegate.seeding import derive_seed

    return derive_seed(3, "measure", "equal size")


def test_a_set_like_the_real_one_comes_as_near_as_it_does_and_a_copy_nearer() -> None:
    real = rows_of(400, 5, 12)
    alike, copied = (beside_real(side(each), side(real), **SETTINGS) for each in (rows_of(200, 6, 12), real[:200]))  # type: ignore[arg-type]
    assert alike is not None
    assert copied is not None
    one, other = ({row["metric"]: row["set"]["value"] - row["real"]["value"] for row in each["values"]} for each in (alike, copied))
    assert abs(one["top_k_similarity"]) < 0.02
    assert one["leakage_near"] < 0.05
    assert other["leakage_near"] > 0.3  # about half of the set's texts stand among the others
    assert other["top_k_similarity"] > one["top_k_similarity"]


def test_too_few_texts_have_no_baseline_and_many_are_not_all_looked_at() -> None:
    assert split_real(2 * FEWEST - 1, 100, 0) is None
    assert split_real(1000, FEWEST - 1, 0) is None
    parts = split_real(5 * MOST, 4 * MOST, 0)
    assert parts is not None
    assert (len(parts[0]), len(parts[1])) == (MOST, MOST)
    assert not set(parts[0]) & set(parts[1])
