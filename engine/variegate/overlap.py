"""Texts that stand in two sets at once: what keeps training, dev and test data apart. Knows texts alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from variegate.folding import fold


def find_overlap(texts: Sequence[str], others: Iterable[str]) -> list[tuple[int, int]]:
    """(place in `texts`, place in `others`) of each text that also stands in `others`, in the order of `texts`.

    Two texts are one when their folded forms are equal; of several equal ones in `others` the first is named. O(n + m).
    """
    wanted = {fold(text) for text in texts}
    first: dict[str, int] = {}
    for place, other in enumerate(others):
        folded = fold(other)
        if folded in wanted:
            first.setdefault(folded, place)
    return [(place, first[folded]) for place, text in enumerate(texts) if (folded := fold(text)) in first]


def text_hash(text: str) -> str:
    """16 hex digits of the folded text: equal for texts that count as the same, so that a set can be kept without its texts.

    Two different texts among 10^6 share one with probability 3e-8.
    """
    return hashlib.blake2b(fold(text).encode(), digest_size=8).hexdigest()
