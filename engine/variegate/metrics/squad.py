"""Exact match and F1 of answers, as SQuAD 1.1 defines them: over words, without case, punctuation and articles. Pure.

Reference: Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text", EMNLP 2016, section 6.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence

_PUNCTUATION = str.maketrans("", "", string.punctuation)


def words_of(answer: str) -> list[str]:
    """In lower case, without ASCII punctuation, then without `a`, `an` and `the`."""
    return re.sub(r"\b(?:a|an|the)\b", " ", answer.lower().translate(_PUNCTUATION)).split()


def exact_match(answer: str, golds: Sequence[str]) -> float:
    """1 where the words are those of one of `golds`, else 0."""
    return float(any(words_of(answer) == words_of(gold) for gold in golds))


def f1(answer: str, golds: Sequence[str]) -> float:
    """The harmonic mean of precision and recall over words, each counted as often as it stands there; the best over `golds`, in [0, 1].
    Two answers without words are equal."""
    return max((_f1(words_of(answer), words_of(gold)) for gold in golds), default=0.0)


def _f1(said: Sequence[str], gold: Sequence[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    same = (Counter(said) & Counter(gold)).total()
    return 2 * same / (len(said) + len(gold))
