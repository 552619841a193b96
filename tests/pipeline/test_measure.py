"""The measurement: its shape, and its numbers against scikit-learn and NumPy on the given vectors."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_distances, cosine_similarity, euclidean_distances

from variegate.errors import UsageError
from variegate.kinds.text import Text
from variegate.pipeline.measure import MeasureSettings, measure
from variegate.pipeline.sides import embed
from variegate.store.texts import TextSet

Measurement = dict[str, Any]
VALUE_KEYS = {
    "metric", "value", "distance", "n", "m", "k", "encoder", "include_self", "num_duplicates", "implementation", "precision",
    "interval", "details",
}  # fmt: skip
SOURCE_KEYS = {"source", "n", "num_unique", "skipped", "labels"}
PAIR_KEYS = {"text", "label", "id", "reference_text", "reference_label", "reference_id", "similarity", "kind"}
OF_VECTORS = {"remote_clique", "chamfer", "vendi_score", "cross_distance", "top_k_similarity", "coverage", "coverage_tsne", "leakage_near"}
OF_TEXTS = {
    "distinct_1", "distinct_2", "distinct_3", "self_repetition", "compression_ratio", "vocabulary_size", "mean_length",
    "leakage_exact", "leakage_folded", "leakage_contained", "bigram_overlap",
}  # fmt: skip
DISTANCES: dict[str, Callable[..., np.ndarray]] = {
    "cosine": cosine_distances,
    "euclidean": euclidean_distances,
    "sqeuclidean": lambda *rows: euclidean_distances(*rows, squared=True),
    "angular": lambda *rows: np.arccos(np.clip(cosine_similarity(*rows), -1, 1)) / np.pi,
}


def text_set(
    vectors: Any, *, texts: Sequence[Text] | None = None, labels: Sequence[str] | None = None, source: str = "set.jsonl", **more: Any
) -> TextSet:
    ids = tuple(f"line {number + 1}" for number in range(len(vectors)))
    return TextSet(source, texts and tuple(texts), labels and tuple(labels), ids, np.asarray(vectors), **more)


def random_set(n: int, seed: int, *, labels: str = "", **more: Any) -> TextSet:
    rng = np.random.default_rng(seed)
    texts = [" ".join(rng.choice([*"abcdefgh"], size=rng.integers(3, 9))) + f" {seed}" for _ in range(n)]
    chosen = [labels[place] for place in rng.integers(len(labels), size=n)] if labels else None
    return text_set(rng.normal(size=(n, 5)) + 0.5, texts=texts, labels=chosen, **more)


@pytest.fixture(scope="module")
def made() -> TextSet:
    """40 records, four of them copies of another."""
    given = random_set(40, 1, labels="abc")
    assert given.vectors is not None
    assert given.texts is not None
    vectors, texts = given.vectors.copy(), list(given.texts)
    for copy, original in ((10, 3), (11, 3), (20, 7), (39, 0)):
        vectors[copy], texts[copy] = vectors[original], texts[original]
    return text_set(vectors, texts=texts, labels=given.labels)


@pytest.fixture(scope="module")
def real() -> TextSet:
    return random_set(60, 2, labels="bcd", source="real.jsonl")


def value_of(values: Sequence[Mapping[str, Any]], metric: str, *, drawn: bool = False, **details: Any) -> Mapping[str, Any]:
    """The only value of that measure, of the whole set or of a draw."""
    (found,) = [
        value
        for value in values
        if value["metric"] == metric
        and ("drawn_from" in value["details"]) == drawn
        and all(value["details"][name] == wanted for name, wanted in details.items())
    ]
    return found


def expected_diversity(vectors: np.ndarray, distance: str) -> tuple[float, float]:
    """(remote clique, chamfer) by the full matrix."""
    matrix = DISTANCES[distance](vectors)
    n = len(vectors)
    np.fill_diagonal(matrix, 0)
    clique = matrix.sum() / (n * (n - 1))
    np.fill_diagonal(matrix, np.inf)
    return clique, matrix.min(1).mean()


def expected_top_k(real: np.ndarray, made: np.ndarray, k: int) -> float:
    return float(np.sort(cosine_similarity(real, made), axis=1)[:, -k:].mean())


# -- shape -----------------------------------------------------------------------------------------------------


def check_shape(found: Measurement) -> None:
    """Everything that a reader of the JSON may rely on."""
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # no NaN, no tuple, no number of NumPy's
    assert list(found) == [
        "variegate", "created", "set", "reference", "encoder", "distance", "k", "seed", "pooled", "real_against_real", "labels", "map",
        "nearest_pairs", "duplicates", "warnings", "seconds",
    ]  # fmt: skip
    assert datetime.fromisoformat(found["created"]).tzinfo is not None
    assert found["set"].keys() == SOURCE_KEYS
    assert found["reference"] is None or found["reference"].keys() == SOURCE_KEYS
    assert {"name", "width"} <= found["encoder"].keys()
    for values in (found["pooled"], *found["labels"].values()):
        assert values.keys() == {"set", "reference", "pair"}
        for value in (value for each in values.values() for value in each):
            check_value(value, found["encoder"]["name"])
    for pair in found["nearest_pairs"]:
        assert pair.keys() == PAIR_KEYS
        assert pair["kind"] in ("equal", "folded", "near")
        assert -1 <= pair["similarity"] <= 1
    similarities = [pair["similarity"] for pair in found["nearest_pairs"]]
    assert similarities == sorted(similarities, reverse=True)
    assert all(each.keys() == {"text", "count"} and each["count"] > 1 for each in found["duplicates"])
    assert all(isinstance(each, str) for each in found["warnings"])
    assert {"embed", "measure"} <= found["seconds"].keys()
    if found["map"] is not None:
        check_map(found)


def check_value(value: Mapping[str, Any], encoder: str) -> None:
    assert value.keys() == VALUE_KEYS
    assert value["metric"] in OF_VECTORS | OF_TEXTS
    assert isinstance(value["value"], float)
    assert value["n"] >= 1
    assert value["implementation"]
    assert value["precision"]
    of_vectors = value["metric"] in OF_VECTORS
    assert value["encoder"] == (encoder if of_vectors else None)
    assert (value["distance"] is not None) == of_vectors
    assert (value["k"] is not None) == (value["metric"] == "top_k_similarity")
    if value["metric"] in ("remote_clique", "chamfer", "vendi_score"):
        assert value["include_self"] is (value["metric"] == "vendi_score")
        assert 0 <= value["num_duplicates"] < value["n"]
    else:
        assert value["include_self"] is None
    of_two = value["metric"] in ("cross_distance", "top_k_similarity", "bigram_overlap") or value["metric"].startswith(("cov", "leak"))
    assert (value["m"] is not None) == of_two
    if value["interval"] is not None:
        assert value["interval"][0] <= value["value"] <= value["interval"][1]


def check_map(found: Measurement) -> None:
    drawn = found["map"]
    assert drawn.keys() == {"method", "explained", "labels", "set", "reference", "shown"}
    assert (drawn["reference"] is None) == (found["reference"] is None)
    for name, number in drawn["shown"].items():
        assert number == min(found[name]["n"], 2000)
        assert len(drawn[name]["x"]) == len(drawn[name]["y"]) == number
        label = drawn[name]["label"]
        assert label is None or (len(label) == number and {drawn["labels"][place] for place in label} <= found[name]["labels"].keys())


def test_shape(made: TextSet, real: TextSet) -> None:
    found = measure(made, real, MeasureSettings(tsne_radius=0.1))
    check_shape(found)
    assert {value["metric"] for values in found["pooled"].values() for value in values} == OF_VECTORS | OF_TEXTS
    assert found["set"] == {
        "source": "set.jsonl",
        "n": 40,
        "num_unique": len(set(made.texts or ())),
        "skipped": {},
        "labels": dict(Counter(made.labels or ())),
    }
    assert (found["encoder"], found["distance"], found["k"], found["seed"]) == ({"name": "given vectors", "width": 5}, "cosine", 5, 0)
    assert list(found["labels"]) == ["a", "b", "c", "d"]
    assert [value["details"]["q"] for value in found["pooled"]["set"] if value["metric"] == "vendi_score"] == [0.5, 1.0, 2.0, "inf"]
    assert len(found["nearest_pairs"]) == 30
    assert (found["real_against_real"]["n"], found["real_against_real"]["m"]) == (30, 30)


def test_shape_of_one_set_alone(made: TextSet) -> None:
    found = measure(made, None, MeasureSettings(map="none", by_label=False))
    check_shape(found)
    assert (found["reference"], found["map"], found["labels"], found["nearest_pairs"]) == (None, None, {}, [])
    assert found["pooled"]["reference"] == found["pooled"]["pair"] == []
    assert found["warnings"] == []
    assert found["real_against_real"] is None
    check_shape(measure(made, None, MeasureSettings()))


# -- numbers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", DISTANCES)
def test_whole_sets_equal_brute_force(made: TextSet, real: TextSet, distance: str) -> None:
    found = measure(made, real, MeasureSettings(distance=distance, radius=0.3, leakage_threshold=0.9))
    check_shape(found)
    for name, each in (("set", made), ("reference", real)):
        clique, chamfer = expected_diversity(np.asarray(each.vectors), distance)
        values = found["pooled"][name]
        assert value_of(values, "remote_clique")["value"] == pytest.approx(clique, rel=1e-9)
        assert value_of(values, "chamfer")["value"] == pytest.approx(chamfer, rel=1e-7)
        assert value_of(values, "remote_clique")["distance"] == distance
        units = np.asarray(each.vectors) / np.linalg.norm(np.asarray(each.vectors), axis=1, keepdims=True)
        p = np.linalg.eigvalsh(units.T @ units / len(units))
        assert value_of(values, "vendi_score", q=2.0)["value"] == pytest.approx(1 / (p**2).sum())
        assert value_of(values, "vendi_score", q="inf")["value"] == pytest.approx(1 / p.max())
    assert value_of(found["pooled"]["set"], "chamfer")["num_duplicates"] == 4
    pair = found["pooled"]["pair"]
    matrix = DISTANCES[distance](made.vectors, real.vectors)
    assert value_of(pair, "cross_distance")["value"] == pytest.approx(matrix.mean(), rel=1e-9)
    assert (value_of(pair, "cross_distance")["n"], value_of(pair, "cross_distance")["m"]) == (40, 60)
    assert value_of(pair, "top_k_similarity")["value"] == pytest.approx(expected_top_k(np.asarray(real.vectors), made.vectors, 5))
    cosines = cosine_similarity(made.vectors, real.vectors)
    assert 0 < (cosines.max(1) >= 0.9).mean() < 1
    assert value_of(pair, "leakage_near", threshold=0.9)["value"] == (cosines.max(1) >= 0.9).mean()
    assert value_of(pair, "coverage", radius=0.3)["value"] == (matrix.min(0) <= 0.3).mean()


def test_coverage_takes_the_references_own_median_as_its_radius(made: TextSet, real: TextSet) -> None:
    matrix = DISTANCES["euclidean"](real.vectors)
    np.fill_diagonal(matrix, np.inf)
    value = value_of(measure(made, real, MeasureSettings(distance="euclidean"))["pooled"]["pair"], "coverage")
    # torch's median of an even number is the lower of the two in the middle
    assert value["details"]["radius"] == pytest.approx(np.sort(matrix.min(1))[29])
    assert value["value"] == (DISTANCES["euclidean"](real.vectors, made.vectors).min(1) <= value["details"]["radius"]).mean()


def test_texts_are_counted(made: TextSet, real: TextSet) -> None:
    shared = text_set(made.vectors, texts=[*(real.texts or ())[:10], *(made.texts or ())[10:]])
    pooled = measure(shared, real, MeasureSettings())["pooled"]
    words = [text.split() for text in shared.texts or ()]
    bigrams = [bigram for each in words for bigram in itertools.pairwise(each)]
    assert value_of(pooled["set"], "distinct_2")["value"] == pytest.approx(len(set(bigrams)) / len(bigrams))
    assert value_of(pooled["set"], "mean_length")["value"] == pytest.approx(np.mean([len(each) for each in words]))
    assert value_of(pooled["set"], "vocabulary_size")["value"] == len({word for each in words for word in each})
    leaked = np.mean([text in (real.texts or ()) for text in shared.texts or ()])
    assert leaked >= 0.25
    assert value_of(pooled["pair"], "leakage_exact")["value"] == leaked


def test_of_pairs_both_texts_are_counted_compared_and_shown() -> None:
    real = text_set(np.eye(4) + 0.1, texts=[("a b", "c"), ("d", "e"), ("f", "g"), ("h", "i")], text_fields=("premise", "hypothesis"))
    made = text_set(np.eye(4) + 0.1, texts=[("a", "b c"), ("D", "e"), ("f", "g"), ("f", "g")], text_fields=("premise", "hypothesis"))
    found = measure(made, real, MeasureSettings(k=2))
    check_shape(found)
    assert value_of(found["pooled"]["pair"], "leakage_exact")["value"] == 0.5
    assert value_of(found["pooled"]["pair"], "leakage_folded")["value"] == 0.75  # ("a", "b c") is not ("a b", "c")
    assert value_of(found["pooled"]["set"], "mean_length")["value"] == (3 + 2 + 2 + 2) / 4
    assert found["duplicates"] == [{"text": "premise: f\nhypothesis: g", "count": 2}]
    assert found["set"]["num_unique"] == 3
    assert {pair["text"]: pair["kind"] for pair in found["nearest_pairs"]} == {
        "premise: a\nhypothesis: b c": "near",
        "premise: D\nhypothesis: e": "folded",
        "premise: f\nhypothesis: g": "equal",
    }


@pytest.mark.parametrize("larger", ["set", "reference"])
def test_at_equal_size_the_larger_is_drawn_down(made: TextSet, real: TextSet, larger: str) -> None:
    sets = (real, made) if larger == "set" else (made, real)
    found = measure(*sets, MeasureSettings(seed=3, distance="euclidean"))
    sides = embed(*sets, None, lambda stage, done, whole: None)
    vectors = {name: np.asarray(each.vectors) for name, each in zip(("set", "reference"), sets, strict=True)}
    side = sides[0] if larger == "set" else sides[1]
    assert side is not None
    places = side.draw(40, 3).places
    assert len(set(places)) == 40
    vectors[larger] = vectors[larger][places]
    clique, chamfer = expected_diversity(vectors[larger], "euclidean")
    values = found["pooled"][larger]
    for metric, expected in (("remote_clique", clique), ("chamfer", chamfer)):
        value = value_of(values, metric, drawn=True)
        assert value["value"] == pytest.approx(expected, rel=1e-7)
        assert (value["n"], value["details"]["drawn_from"], value["details"]["seed"]) == (40, 60, 3)
    pair = value_of(found["pooled"]["pair"], "top_k_similarity", drawn=True)
    assert pair["value"] == pytest.approx(expected_top_k(vectors["reference"], vectors["set"], 5))
    assert (pair["n"], pair["m"], pair["details"]["drawn_from"]) == (40, 40, 60)
    assert not any("drawn_from" in value["details"] for value in found["pooled"]["reference" if larger == "set" else "set"])
    assert "compare the values at equal size" in " ".join(found["warnings"])


def test_the_same_seed_draws_the_same_and_another_draws_others(made: TextSet, real: TextSet) -> None:
    first, again, other = (measure(made, real, MeasureSettings(seed=seed)) for seed in (1, 1, 2))
    kept = [{name: value for name, value in each.items() if name not in ("created", "seconds")} for each in (first, again)]
    assert kept[0] == kept[1]
    for name, metric in (("reference", "chamfer"), ("pair", "top_k_similarity")):
        assert value_of(first["pooled"][name], metric, drawn=True)["value"] != value_of(other["pooled"][name], metric, drawn=True)["value"]
        assert value_of(first["pooled"][name], metric)["value"] == value_of(other["pooled"][name], metric)["value"]


def test_sets_of_one_size_are_not_drawn(made: TextSet) -> None:
    found = measure(made, random_set(40, 5), MeasureSettings())
    assert not any("drawn_from" in value["details"] for values in found["pooled"].values() for value in values)
    assert found["warnings"] == ["the reference has no labels: those of the other are measured alone"]


# -- labels ----------------------------------------------------------------------------------------------------


def test_labels_equal_brute_force_at_equal_size(made: TextSet, real: TextSet) -> None:
    found = measure(made, real, MeasureSettings(seed=4, k=2))
    sides = dict(zip(("set", "reference"), embed(made, real, None, lambda stage, done, whole: None)[:2], strict=True))
    places = {name: side.by_label() for name, side in sides.items() if side is not None}
    for label in "bc":
        parts = {}
        size = min(len(places["set"][label]), len(places["reference"][label]))
        for name, side in sides.items():
            assert side is not None
            part = side.part(places[name][label]).draw(size, 4)
            assert {(side.source.labels or ())[place] for place in part.places} == {label}
            parts[name] = np.asarray(side.source.vectors)[part.places]
            clique, chamfer = expected_diversity(parts[name], "cosine")
            whole = len(places[name][label])
            values = found["labels"][label][name]
            for metric, expected in (("remote_clique", clique), ("chamfer", chamfer)):
                value = value_of(values, metric, drawn=whole > size)
                assert value["value"] == pytest.approx(expected, rel=1e-7)
                assert (value["n"], value["details"].get("drawn_from")) == (size, whole if whole > size else None)
            assert value_of(values, "distinct_2", drawn=whole > size)["n"] == size
        drawn = len(places["set"][label]) != len(places["reference"][label])
        pair = found["labels"][label]["pair"]
        cross = DISTANCES["cosine"](parts["set"], parts["reference"]).mean()
        assert value_of(pair, "cross_distance", drawn=drawn)["value"] == pytest.approx(cross)
        top_k = expected_top_k(parts["reference"], parts["set"], 2)
        assert value_of(pair, "top_k_similarity", drawn=drawn)["value"] == pytest.approx(top_k)


def test_labels_of_one_side_alone_are_whole(made: TextSet, real: TextSet) -> None:
    labels = measure(made, real, MeasureSettings())["labels"]
    assert labels["a"]["reference"] == labels["a"]["pair"] == labels["d"]["set"] == labels["d"]["pair"] == []
    for name, label, each in (("set", "a", made), ("reference", "d", real)):
        vectors = np.asarray(each.vectors)[np.array(each.labels) == label]
        clique, chamfer = expected_diversity(vectors, "cosine")
        assert value_of(labels[label][name], "remote_clique")["value"] == pytest.approx(clique)
        assert value_of(labels[label][name], "chamfer")["value"] == pytest.approx(chamfer)


def test_labels_only_in_one_of_the_sets(made: TextSet) -> None:
    found = measure(made, random_set(40, 5), MeasureSettings())
    check_shape(found)
    assert list(found["labels"]) == ["a", "b", "c"]
    assert all(values["set"] and not values["reference"] and not values["pair"] for values in found["labels"].values())
    other = measure(random_set(40, 5), made, MeasureSettings())
    assert other["warnings"] == ["the set has no labels: those of the other are measured alone"]
    assert all(values["reference"] and not values["set"] for values in other["labels"].values())


def test_one_label_is_measured_like_the_whole_set() -> None:
    found = measure(random_set(20, 6, labels="x"), None, MeasureSettings())
    for metric in ("remote_clique", "chamfer", "distinct_2"):
        assert value_of(found["labels"]["x"]["set"], metric) == value_of(found["pooled"]["set"], metric)


def test_a_label_with_one_record_is_named() -> None:
    made = text_set(np.eye(4), texts=["one two", "three four", "five six", "seven eight"], labels=["a", "a", "a", "b"])
    found = measure(made, None, MeasureSettings())
    check_shape(found)
    assert found["labels"]["b"] == {"set": [], "reference": [], "pair": []}
    assert "labels with one record, and so without diversity: b" in found["warnings"]
    real = text_set(np.eye(4)[::-1], texts=["x y", "z", "u", "v"], labels=["b", "b", "a", "c"])
    found = measure(made, real, MeasureSettings(k=2))
    check_shape(found)
    assert [value["metric"] for value in found["labels"]["b"]["pair"]] == ["cross_distance"]  # one of each: no two nearest
    assert "labels with one record, and so without diversity: a, b, c" in found["warnings"]


def test_labels_of_single_words_get_one_warning() -> None:
    n = 40
    made = text_set(np.random.default_rng(0).normal(size=(n, 3)), texts=["word"] * n, labels=[f"{place // 2:02}" for place in range(n)])
    found = measure(made, None, MeasureSettings())
    check_shape(found)
    (about_labels,) = [each for each in found["warnings"] if "labels" in each]
    assert about_labels == "labels without a text of two words, and so without distinct_2: 00, 01, 02, 03, 04 and 15 more"


# -- implementations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("implementation", "distance"),
    [*itertools.product(["tiles", "faiss"], DISTANCES), ("estimate", "cosine"), ("estimate", "euclidean")],
)
def test_implementations_agree(distance: str, implementation: str) -> None:
    if implementation != "tiles":
        pytest.importorskip("faiss")
    made, real = random_set(300, 1, labels="ab"), random_set(400, 2, labels="ab")
    by_label = implementation != "estimate"  # which takes seconds for each
    exact, found = (
        measure(made, real, MeasureSettings(distance=distance, implementation=each, map="none", by_label=by_label))
        for each in ("dense", implementation)
    )
    check_shape(found)
    compared = [
        ("pooled", exact["pooled"], found["pooled"]),
        *((label, exact["labels"][label], found["labels"][label]) for label in exact["labels"]),
    ]
    for part, name in itertools.product(compared, ("set", "reference", "pair")):
        for expected, value in zip(part[1][name], part[2][name], strict=True):
            low, high = value["interval"] or (value["value"], value["value"])
            margin = 1e-6 * max(1.0, abs(expected["value"])) + (high - low)  # twice the half width: four standard errors
            assert abs(value["value"] - expected["value"]) <= margin, (part[0], name, value, expected)
    chosen = value_of(found["pooled"]["set"], "chamfer")
    assert chosen["implementation"] == ("inverted_index" if implementation == "estimate" else implementation)
    assert (chosen["interval"] is not None) == (implementation == "estimate")


# -- what cannot be measured -----------------------------------------------------------------------------------


def test_a_set_equal_to_its_reference(real: TextSet) -> None:
    found = measure(real, real, MeasureSettings(k=1))
    check_shape(found)
    pair = found["pooled"]["pair"]
    for metric in ("leakage_exact", "leakage_folded", "leakage_near", "coverage", "bigram_overlap"):
        assert value_of(pair, metric)["value"] == 1
    assert value_of(pair, "top_k_similarity")["value"] == pytest.approx(1)
    assert value_of(measure(real, real, MeasureSettings(k=5))["pooled"]["pair"], "top_k_similarity")["value"] == pytest.approx(
        expected_top_k(np.asarray(real.vectors), np.asarray(real.vectors), 5)
    )
    assert {pair["kind"] for pair in found["nearest_pairs"]} == {"equal"}
    assert {pair["similarity"] for pair in found["nearest_pairs"]} == {1.0}
    for metric in ("remote_clique", "chamfer", "distinct_1"):
        assert value_of(found["pooled"]["set"], metric) == value_of(found["pooled"]["reference"], metric)


def test_a_set_of_copies() -> None:
    found = measure(text_set(np.ones((6, 3)), texts=["the same text again"] * 6), None, MeasureSettings())
    check_shape(found)
    assert (found["set"]["n"], found["set"]["num_unique"]) == (6, 1)
    assert found["duplicates"] == [{"text": "the same text again", "count": 6}]
    for metric in ("remote_clique", "chamfer"):
        value = value_of(found["pooled"]["set"], metric)
        assert (value["value"], value["num_duplicates"]) == (0, 5)
    assert value_of(found["pooled"]["set"], "vendi_score", q=1.0)["value"] == pytest.approx(1)


@pytest.mark.parametrize("distance", ["cosine", "angular"])
@pytest.mark.parametrize("bad", ["set", "reference"])
def test_a_zero_vector_has_no_direction(made: TextSet, real: TextSet, distance: str, bad: str) -> None:
    sets = {"set": made, "reference": real}
    vectors = np.array(sets[bad].vectors)
    vectors[16] = 0
    sets[bad] = text_set(vectors, texts=sets[bad].texts, source="bad.jsonl")
    with pytest.raises(UsageError, match=r"bad\.jsonl: line 17: a zero vector, which has no direction"):
        measure(sets["set"], sets["reference"], MeasureSettings(distance=distance))


@pytest.mark.parametrize("distance", ["euclidean", "sqeuclidean"])
def test_a_zero_vector_has_a_place(made: TextSet, real: TextSet, distance: str) -> None:
    vectors = np.array(made.vectors)
    vectors[16] = 0
    found = measure(text_set(vectors, texts=made.texts, labels=made.labels), real, MeasureSettings(distance=distance, tsne_radius=0.1))
    check_shape(found)
    metrics = {value["metric"] for values in found["pooled"].values() for value in values}
    assert metrics == (OF_VECTORS | OF_TEXTS) - {"top_k_similarity", "leakage_near", "coverage_tsne"}
    assert "vendi_score" not in {value["metric"] for value in found["pooled"]["set"]}
    assert found["nearest_pairs"] == []
    assert any("set: 1 zero vector, without direction" in each for each in found["warnings"])
    clique, chamfer = expected_diversity(vectors, distance)
    assert value_of(found["pooled"]["set"], "remote_clique")["value"] == pytest.approx(clique)
    assert value_of(found["pooled"]["set"], "chamfer")["value"] == pytest.approx(chamfer)


@pytest.mark.parametrize(
    ("sizes", "options", "words"),
    [
        ((1, None), {}, r"set\.jsonl: holds one record, and a distance to others needs two"),
        ((1, 9), {}, r"set\.jsonl: holds one record"),
        ((9, 1), {}, r"real\.jsonl: holds one record"),
        ((9, 20), {"k": 10}, r"set\.jsonl: has 9 records, and the top-k similarity asked for is to k = 10 of them: lower --k"),
        ((9, 20), {"radius": math.inf}, "--radius inf: expected a finite number"),
        ((9, 20), {"distance": "manhattan"}, "distance 'manhattan' is not known"),
        ((9, 20), {"implementation": "title"}, r"implementation 'title' is not known; did you mean 'tiles'\?"),
        ((9, 20), {"leakage_threshold": math.nan}, "--leakage-threshold nan: expected a finite number"),
    ],
)
def test_what_cannot_be_measured_is_refused(sizes: tuple[int, int | None], options: dict[str, Any], words: str) -> None:
    n, m = sizes
    reference = None if m is None else random_set(m, 2, source="real.jsonl")
    with pytest.raises(UsageError, match=words):
        measure(random_set(n, 1), reference, MeasureSettings(**options))


def test_k_may_be_all_of_the_records() -> None:
    made, real = random_set(9, 1), random_set(5, 2)
    found = measure(made, real, MeasureSettings(k=9))
    check_shape(found)
    assert value_of(found["pooled"]["pair"], "top_k_similarity")["value"] == pytest.approx(
        cosine_similarity(real.vectors, made.vectors).mean()
    )
    assert [value["metric"] for value in found["pooled"]["pair"] if "drawn_from" in value["details"]] == []  # 5 records have no 9 nearest


def test_too_few_records_for_the_map_asked_for() -> None:
    found = measure(random_set(3, 1), None, MeasureSettings(map="tsne"))
    assert found["map"] is None
    assert "too few records for a map by t-SNE: it needs 4" in found["warnings"]


def test_vectors_without_texts(made: TextSet, real: TextSet) -> None:
    found = measure(text_set(made.vectors, source="a.npy"), text_set(real.vectors, source="b.npy"), MeasureSettings())
    check_shape(found)
    metrics = {value["metric"] for values in found["pooled"].values() for value in values}
    assert metrics == OF_VECTORS - {"coverage_tsne"}
    assert (found["set"]["num_unique"], found["set"]["labels"], found["labels"], found["duplicates"]) == (36, {}, {}, [])
    assert {pair["kind"] for pair in found["nearest_pairs"]} == {"near"}


@pytest.mark.parametrize(("dtype", "tsne_radius"), [(np.float16, None), (np.float32, 0.1)])
def test_types_of_vectors_may_differ(made: TextSet, real: TextSet, dtype: type, tsne_radius: float | None) -> None:
    exact = measure(made, real, MeasureSettings())
    settings = MeasureSettings(tsne_radius=tsne_radius)
    found = measure(text_set(np.asarray(made.vectors).astype(dtype), texts=made.texts), real, settings)
    check_shape(found)
    for metric in ("cross_distance", "top_k_similarity"):
        assert value_of(found["pooled"]["pair"], metric)["value"] == pytest.approx(
            value_of(exact["pooled"]["pair"], metric)["value"], abs=1e-3
        )


def test_progress_names_the_stages(made: TextSet, real: TextSet) -> None:
    seen: list[tuple[str, int, int]] = []
    measure(made, real, MeasureSettings(implementation="tiles"), progress=lambda *progress: seen.append(progress))
    stages = list(dict.fromkeys(stage for stage, _, _ in seen))
    assert stages == [
        "measuring the set", "counting words of the set", "measuring the reference", "counting words of the reference",
        "comparing the sets", "comparing the reference with itself", "measuring labels",
    ]  # fmt: skip
    assert all(0 <= done <= whole for _, done, whole in seen)


# -- any set ---------------------------------------------------------------------------------------------------

_NUMBERS = st.sampled_from([-1.0, -0.5, 0.25, 1.0, 3.0])
_WORDS = st.lists(st.sampled_from(["a", "b", "?", "c'd", "é", "\x1b[1m", "[bold]"]), min_size=1, max_size=6).map(" ".join)
_RECORDS = st.lists(st.tuples(_WORDS, st.sampled_from("xyz"), st.tuples(_NUMBERS, _NUMBERS, _NUMBERS)), min_size=2, max_size=12)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(made=_RECORDS, real=st.none() | _RECORDS, distance=st.sampled_from(sorted(DISTANCES)), k=st.integers(1, 2), labelled=st.booleans())
def test_any_set_gives_a_whole_measurement(made: list[Any], real: list[Any] | None, distance: str, k: int, labelled: bool) -> None:
    sets = [
        records and text_set([vector for _, _, vector in records], texts=[text for text, _, _ in records], labels=labels)
        for records, labels in (
            (made, [label for _, label, _ in made]),
            (real, [label for _, label, _ in real or ()] if labelled else None),
        )
    ]
    assert isinstance(sets[0], TextSet)
    found = measure(sets[0], sets[1] or None, MeasureSettings(distance=distance, k=k))
    check_shape(found)
    clique, chamfer = expected_diversity(np.asarray(sets[0].vectors), distance)
    # scikit-learn's own rounding: the root of a difference of products near 0
    assert value_of(found["pooled"]["set"], "remote_clique")["value"] == pytest.approx(clique, abs=1e-7)
    assert value_of(found["pooled"]["set"], "chamfer")["value"] == pytest.approx(chamfer, abs=1e-7)
