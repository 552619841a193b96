from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from variegate.curation.candidates import class_vectors, nearest_classes, words_of
from variegate.errors import UsageError
from variegate.kinds.task import LabelConfig


def test_a_class_is_the_mean_of_its_title_and_examples() -> None:
    titles = np.array([[1.0, 0], [0, 1.0], [1.0, 1.0]])
    examples = np.array([[3.0, 0], [0, 4.0], [0, 7.0]])
    found = class_vectors(["a", "b", "c"], titles, examples, ["a", "b", "b"])
    np.testing.assert_allclose(found, [[2.0, 0], [0, 4.0], [1.0, 1.0]])  # c has no example: its title
    np.testing.assert_allclose(class_vectors(["a", "b", "c"], titles, np.empty((0, 0)), []), titles)


def test_a_class_is_called_by_title_and_description() -> None:
    assert words_of(LabelConfig(phrase="of joy", description="Somebody is glad.", title="joy")) == "joy: Somebody is glad."


def test_an_example_of_another_label_is_named() -> None:
    with pytest.raises(UsageError, match=r"has the label 'bee', which the task does not know"):
        class_vectors(["a", "b"], np.eye(2), np.ones((1, 2)), ["bee"])


def test_nearest_are_scikit_learns_by_cosine() -> None:
    rng = np.random.default_rng(0)
    texts, classes = rng.normal(size=(200, 16)), rng.normal(size=(30, 16))
    expected = NearestNeighbors(n_neighbors=5, metric="cosine", algorithm="brute").fit(classes).kneighbors(texts, return_distance=False)
    assert nearest_classes(texts, classes, 5).tolist() == expected.tolist()
    assert nearest_classes(7 * texts, classes, 5).tolist() == expected.tolist()  # lengths do not matter


def test_of_equally_near_classes_the_first() -> None:
    """Twenty classes in one direction, of different lengths: their cosines differ in the last bits."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=64)
    classes = direction * rng.uniform(0.1, 9.0, size=(20, 1))
    assert nearest_classes(rng.normal(size=(5, 64)) + direction, classes, 20).tolist() == [list(range(20))] * 5


def test_a_text_without_a_vector_takes_the_first() -> None:
    assert nearest_classes(np.zeros((1, 2)), np.eye(2), 1).tolist() == [[0]]


@pytest.mark.parametrize("k", [0, 4])
def test_k_is_of_the_classes(k: int) -> None:
    with pytest.raises(UsageError, match=f"{k} wanted of 3"):
        nearest_classes(np.ones((1, 3)), np.eye(3), k)
