"""What a measurement names: against brute force, and by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics.pairwise import cosine_similarity

from variegate.metrics import nearest_reference
from variegate.pipeline.sides import Side, embed
from variegate.pipeline.standouts import (
    MOST_DOTS,
    MOST_DUPLICATES,
    MOST_PAIRS,
    describe_source,
    draw_map,
    duplicates_of,
    nearest_pairs,
    some_of,
    warnings_of,
)
from variegate.store.texts import TextSet


def side(vectors: Any, texts: Sequence[str] | None = None, labels: Sequence[str] | None = None, **more: Any) -> Side:
    vectors = np.asarray(vectors, dtype=np.float64)
    ids = tuple(f"line {number + 1}" for number in range(len(vectors)))
    given = TextSet(more.pop("source", "a.jsonl"), texts and tuple(texts), labels and tuple(labels), ids, vectors, **more)
    return embed(given, None, None, lambda stage, done, whole: None)[0]


def random_side(n: int, seed: int, width: int = 6, **more: Any) -> Side:
    texts = more.pop("texts", [f"text {number} of {seed}" for number in range(n)])
    return side(np.random.default_rng(seed).normal(size=(n, width)), texts, **more)


def pairs_of(made: Side, real: Side) -> list[dict[str, Any]]:
    return nearest_pairs(made, real, nearest_reference(made.vectors, real.vectors))


# -- nearest pairs ---------------------------------------------------------------------------------------------


def test_nearest_pairs_are_those_of_brute_force() -> None:
    made, real = random_side(50, 1), random_side(40, 2)
    cosines = cosine_similarity(made.vectors.rows, real.vectors.rows)
    order = np.argsort(-cosines.max(1))[:MOST_PAIRS]
    found = pairs_of(made, real)
    assert len(found) == MOST_PAIRS
    assert [pair["id"] for pair in found] == [f"line {row + 1}" for row in order]
    assert [pair["text"] for pair in found] == [f"text {row} of 1" for row in order]
    assert [pair["reference_id"] for pair in found] == [f"line {row + 1}" for row in cosines.argmax(1)[order]]
    assert [pair["reference_text"] for pair in found] == [f"text {row} of 2" for row in cosines.argmax(1)[order]]
    assert [pair["similarity"] for pair in found] == pytest.approx(cosines.max(1)[order], abs=1e-12)
    assert {pair["kind"] for pair in found} == {"near"}


def test_kinds_and_labels() -> None:
    vectors = [[1.0, 0], [1, 0.001], [1, 0.01], [0, 1]]
    made = side(vectors, ["Équal", "ÉQUAL  x", "other", "far"], ["a", "b", "c", "d"])
    real = side([[1.0, 0], [1, 0.001]], ["Équal", "équal X"])
    found = pairs_of(made, real)
    assert {pair["text"]: (pair["kind"], pair["label"], pair["reference_label"]) for pair in found} == {
        "Équal": ("equal", "a", None),
        "ÉQUAL  x": ("folded", "b", None),
        "other": ("near", "c", None),
        "far": ("near", "d", None),
    }


def test_of_equal_texts_one_pair_is_shown() -> None:
    made = side([[1.0, 0], [1, 0], [0, 1]], ["twice", "twice", "once"])
    assert [pair["text"] for pair in pairs_of(made, side([[1.0, 1]], ["x"]))] == ["twice", "once"]


def test_vectors_without_texts_are_compared_by_their_numbers() -> None:
    """Both files have a "row 1": that says nothing of the two records."""
    made, real = side([[1.0, 2], [3, 4]]), side([[1.0, 2.5], [3, 4]])
    assert [(pair["text"], pair["reference_text"], pair["kind"]) for pair in pairs_of(made, real)] == [
        ("line 2", "line 2", "equal"),
        ("line 1", "line 1", "near"),
    ]


def test_records_without_texts_may_share_an_id() -> None:
    given = TextSet("a.jsonl", None, None, ("same", "same"), np.array([[1.0, 0], [0, 1]]))
    made = embed(given, None, None, lambda stage, done, whole: None)[0]
    assert len(pairs_of(made, side([[1.0, 1]]))) == 2


# -- duplicates and sources ------------------------------------------------------------------------------------


def test_duplicates_are_counted_most_frequent_first() -> None:
    texts = ["b"] * 3 + ["a"] * 5 + ["c", "A"]
    assert duplicates_of(side(np.ones((10, 2)), texts)) == [{"text": "a", "count": 5}, {"text": "b", "count": 3}]
    many = [f"text {number // 2}" for number in range(100)]
    assert len(duplicates_of(side(np.ones((100, 2)), many))) == MOST_DUPLICATES
    assert duplicates_of(side(np.ones((3, 2)))) == []


def test_a_source_in_numbers() -> None:
    made = side(np.eye(4), ["x", "y", "x", "z"], ["b", "a", "b", "b"], skipped={"empty text": 2})
    assert describe_source(made) == {
        "source": "a.jsonl",
        "n": 4,
        "num_unique": 3,
        "skipped": {"empty text": 2},
        "labels": {"b": 3, "a": 1},
    }
    assert list(describe_source(made)["labels"]) == ["b", "a"]
    vectors = side([[1.0, 2], [1, 2], [2, 1]])
    assert (describe_source(vectors)["num_unique"], describe_source(vectors)["labels"]) == (2, {})


def test_a_file_name_that_is_no_utf8_can_be_written() -> None:
    assert describe_source(side(np.eye(2), source="caf\udce9.jsonl"))["source"] == "caf?.jsonl"


# -- warnings --------------------------------------------------------------------------------------------------


def words(made: Side, real: Side | None = None, **encoding: Any) -> str:
    return "\n".join(warnings_of(made, real, encoding))


def test_nothing_to_warn_of() -> None:
    assert words(random_side(5, 0), random_side(5, 1), num_truncated=0) == ""


def test_warnings() -> None:
    assert words(random_side(5, 0), num_truncated=1, max_tokens=256) == "longer than the encoder's 256 tokens, and cut there: 1 text"
    assert "set: 2 zero vectors, without direction: Vendi score, top-k" in words(side([[0.0, 0], [1, 0], [0, 0]]))
    assert "reference: 1 zero vector, without" in words(random_side(2, 0), side([[0.0, 0], [1, 0]]))
    assert words(random_side(2, 0, skipped={"no label": 1, "empty text": 20})) == "set: left out 1 row (no label), 20 rows (empty text)"
    assert "the set has 5 records, the reference 4" in words(random_side(5, 0), random_side(4, 1))


def test_labels_that_one_side_lacks_are_named() -> None:
    made = random_side(3, 0, labels=["a", "b", "c"])
    real = random_side(3, 1, labels=["d", "a", "a"])
    assert words(made, real).splitlines() == [
        "the set has no record of 1 label: d",
        "the reference has no record of 2 labels: b, c",
    ]
    assert words(made, random_side(3, 1)) == "the reference has no labels: those of the other are measured alone"
    assert words(random_side(3, 1), made) == "the set has no labels: those of the other are measured alone"


def test_long_lists_are_cut() -> None:
    assert some_of(["a", "b"]) == "a, b"
    assert some_of([*"abcdefg"]) == "a, b, c, d, e and 2 more"


# -- the map ---------------------------------------------------------------------------------------------------


def test_the_map_is_the_principal_plane_of_both_sets_together() -> None:
    made, real = random_side(30, 3, labels=["b", "a", "b"] * 10), random_side(20, 4)
    found = draw_map(made, real, method="pca", distance="euclidean", seed=0)
    assert found is not None
    pca = PCA(2).fit(np.concatenate([made.vectors.rows, real.vectors.rows]))
    for name, each in (("set", made), ("reference", real)):
        points = np.stack([found[name]["x"], found[name]["y"]], axis=1)
        np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(each.vectors.rows.numpy())), atol=1e-5)
    assert found["explained"] == pytest.approx(pca.explained_variance_ratio_)
    assert (found["method"], found["labels"], found["shown"]) == ("pca", ["a", "b"], {"set": 30, "reference": 20})
    assert found["set"]["label"] == [1, 0, 1] * 10
    assert found["reference"]["label"] is None


def test_the_map_of_one_set_and_of_unit_rows() -> None:
    made = random_side(30, 3)
    found = draw_map(made, None, method="pca", distance="cosine", seed=0)
    assert found is not None
    assert (found["reference"], found["shown"], found["labels"]) == (None, {"set": 30}, [])
    units = made.vectors.rows.numpy() / np.linalg.norm(made.vectors.rows.numpy(), axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found["set"]["x"]), np.abs(PCA(2).fit_transform(units)[:, 0]), atol=1e-5)


def test_a_large_set_is_drawn_from_with_its_labels() -> None:
    n = MOST_DOTS + 500
    angle = np.linspace(0, np.pi / 2, n)
    labels = [f"{number // 100:02}" for number in range(n)]  # the label tells the place on the arc
    made = side(np.stack([np.cos(angle), np.sin(angle)], axis=1), [str(number) for number in range(n)], labels)
    found = draw_map(made, None, method="pca", distance="cosine", seed=1)
    again = draw_map(made, None, method="pca", distance="cosine", seed=1)
    other = draw_map(made, None, method="pca", distance="cosine", seed=2)
    assert found is not None
    assert other is not None
    assert found == again
    assert found["set"]["label"] != other["set"]["label"]
    assert found["shown"] == {"set": MOST_DOTS}
    assert len(found["set"]["x"]) == len(found["set"]["label"]) == MOST_DOTS
    assert np.corrcoef(found["set"]["x"], found["set"]["label"])[0, 1] ** 2 > 0.97


def test_a_map_by_tsne_and_too_few_records_for_one() -> None:
    found = draw_map(random_side(20, 0), random_side(10, 1), method="tsne", distance="cosine", seed=0)
    assert found is not None
    assert (found["method"], found["explained"], len(found["reference"]["y"])) == ("tsne", None, 10)
    assert draw_map(random_side(3, 0), None, method="tsne", distance="cosine", seed=0) is None
    assert draw_map(random_side(2, 0), random_side(2, 1), method="tsne", distance="cosine", seed=0) is not None
