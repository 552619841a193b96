"""Real labelled texts with their embeddings, encoded once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Labelled = tuple[np.ndarray, np.ndarray, np.ndarray]  # texts, labels, vectors


def _draw(texts: list[str], labels: list[str], per_label: dict[str, int]) -> tuple[list[str], list[str]]:
    """That many of each label, at random, in random order."""
    rng = np.random.default_rng(0)
    places: list[int] = []
    for label, count in per_label.items():
        of_label = [place for place, each in enumerate(labels) if each == label]
        places += rng.permutation(of_label)[:count].tolist()
    rng.shuffle(places)
    return [texts[place] for place in places], [labels[place] for place in places]


@pytest.fixture(scope="session")
def labelled(data_folder: Path) -> Callable[[str], Labelled]:
    """trec6: 6 x 80 texts. clinc: 40 classes x 20. scope: 600 texts of clinc150 and 150 of its real out-of-scope queries."""
    from variegate.embeddings import Encoder

    def rows(path: str) -> tuple[list[str], list[str]]:
        found = [json.loads(line) for line in (data_folder / path).read_text(encoding="utf-8").splitlines()]
        return [row["text"] for row in found], [row["label"] for row in found]

    trec, trec_labels = rows("trec6/train.jsonl")
    clinc, clinc_labels = rows("clinc150/train.jsonl")
    queries, query_labels = rows("clinc150/test.jsonl")
    classes = sorted(set(clinc_labels) - {"oos"})
    drawn = {
        "trec6": _draw(trec, trec_labels, dict.fromkeys(sorted(set(trec_labels)), 80)),
        "clinc": _draw(clinc, clinc_labels, dict.fromkeys(classes[:40], 20)),
        "scope": _draw(queries, query_labels, {**dict.fromkeys(classes, 4), "oos": 150}),
    }
    vectors = Encoder().encode([text for texts, _ in drawn.values() for text in texts]).vectors
    sets: dict[str, Labelled] = {}
    start = 0
    for name, (texts, labels) in drawn.items():
        sets[name] = (np.array(texts), np.array(labels), np.array(vectors[start : start + len(texts)]))
        start += len(texts)
    return lambda name: sets[name]
