from __future__ import annotations

import random

from variegate.folding import fold
from variegate.overlap import find_overlap, text_hash


def test_by_hand() -> None:
    texts = ["Hello  world", "b", "c", "HELLO world"]
    others = ["x", "hello world", "C", "c"]
    assert find_overlap(texts, others) == [(0, 1), (2, 2), (3, 1)]
    assert find_overlap(texts, []) == find_overlap([], others) == []


def test_as_comparing_all_pairs_does() -> None:
    rng = random.Random(0)
    words = ["a", "A", "b", "  b", "c d", "C  d", "e", "ﬁ", "fi"]
    for _ in range(50):
        texts, others = ([rng.choice(words) for _ in range(rng.randint(0, 6))] for _ in range(2))
        expected = []
        for i, text in enumerate(texts):
            found = [j for j, other in enumerate(others) if fold(other) == fold(text)]
            expected += [(i, found[0])] if found else []
        assert find_overlap(texts, others) == expected
        for text in texts:
            assert all((text_hash(text) == text_hash(other)) == (fold(text) == fold(other)) for other in others)
    assert len(text_hash("x")) == 16
