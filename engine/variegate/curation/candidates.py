"""The classes a text may belong to: the k whose mean embedding is nearest. Knows vectors and what a class is called; knows no model.

Reference: Sahu et al., "PromptMix: A Class Boundary Augmentation Method for Large Language Model Distillation", EMNLP 2023.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from variegate.errors import UsageError, nearest
from variegate.kinds.task import LabelConfig

DECIMALS = 6  # cosines equal to this many are a tie


def words_of(label: LabelConfig) -> str:
    """What of a class is encoded: `title: description`.

    Differs from the paper, which encodes the name: with the description the real class is among the 5 nearest more often, on
    all-MiniLM-L6-v2 and 1,500 real texts each, with no example a class 92 % for 84 % (banking77), 97 % for 89 % (trec6), 90 % for
    75 % (hwu64), with two examples 93 % for 91 %, 98 % for 97 %, 92 % for 90 %.
    """
    return f"{label.title}: {label.description}"


def class_vectors(
    labels: Sequence[str],
    title_vectors: Float[np.ndarray, "c d"],
    example_vectors: Float[np.ndarray, "m d"],
    example_labels: Sequence[str],
) -> Float[np.ndarray, "c d"]:
    """Mean of the vectors of a class's own words and of its examples; a class without examples is its words.

    title_vectors: of `words_of`. Raises UsageError for an example whose label is not one of `labels`.
    """
    places = {name: place for place, name in enumerate(labels)}
    unknown = [name for name in example_labels if name not in places]
    if unknown:
        raise UsageError(f"relabel: an example has the label {unknown[0]!r}, which the task does not know{nearest(unknown[0], places)}")
    total = np.array(title_vectors, dtype=np.float64)
    number = np.ones(len(labels))
    if len(example_labels):
        of = np.array([places[name] for name in example_labels])
        np.add.at(total, of, np.asarray(example_vectors, dtype=np.float64))
        np.add.at(number, of, 1)
    return total / number[:, None]


def nearest_classes(text_vectors: Float[np.ndarray, "n d"], class_vectors: Float[np.ndarray, "c d"], k: int) -> Int[np.ndarray, "n k"]:
    """Places of the k classes with the largest cosine to each text, nearest first; of equal ones the first. k <= c."""
    if not 1 <= k <= len(class_vectors):
        raise UsageError(f"nearest classes: {k} wanted of {len(class_vectors)}")
    cosine = np.round(_unit(text_vectors) @ _unit(class_vectors).T, DECIMALS)
    return np.argsort(-cosine, axis=1, kind="stable")[:, :k]


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    vectors = np.asarray(vectors, dtype=np.float64)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1)
