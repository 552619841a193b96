"""Texts that stand in two sets at once: what keeps training, dev and test data apart. Knows texts alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from variegate.kinds.text import Text, folded


def find_overlap(texts: Sequence[Text], others: Iterable[Text]) -> list[tuple[int, int]]:
    """(place in `texts`, place in `others`) of each text that also stands in `others`, in the order of `texts`.

    Two texts are one when their folded forms are equal, of pairs when both are; of several equal ones in `others` the first is named. O(n + m).
    """
    wanted = {folded(text) for text in texts}
    first: dict[str, int] = {}
    for place, other in enumerate(others):
        same = folded(other)
        if same in wanted:
            first.setdefault(same, place)
    return [(place, first[same]) for place, text in enumerate(texts) if (same := folded(text)) in first]


def text_hash(text: Text) -> str:
    """16 hex digits of the folded text: equal for texts that count as the same, so that a set can be kept without its texts.

    Two different texts among 10^6 share one with probability 3e-8.
    """
    return hashlib.blake2b(folded(text).encode(), digest_size=8).hexdigest()
