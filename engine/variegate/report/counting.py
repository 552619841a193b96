"""Streaming counts over a run's rows: the ledger, lengths, openings, n-grams and a few examples. Holds no other text.

Knows rows as the store gives them; knows nothing of HTML.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from variegate.kinds import TaskKind
from variegate.report.facts import FactCounts
from variegate.store.ledger import Ledger
from variegate.store.rows import KEPT, NOTE, StoredItem, stored_items

NGRAM_SIZES = (2, 3, 4)
OPENING_WORDS = 3
EXAMPLES_PER_LABEL = 5
EXAMPLES_PER_REASON = 3
_LONGEST_EXAMPLE = 1200  # characters; the report says where one was cut
_WORD = re.compile(r"\w+(?:['’]\w+)*")


def words_of(text: str) -> list[str]:
    """The words of a text for n-grams: case folded, without punctuation (`I'm so, so glad` -> i'm so so glad)."""
    return _WORD.findall(text.casefold())


@dataclass(slots=True)
class BoundedCounter:
    """Counts keys in bounded memory: when more than `cap` are held, the rarest go.

    Deterministic: at the cap all keys with a count of at most t go, t being the smallest that leaves half of them. A count
    that is shown is then exact, or up to `slack` too low (the sum of those t); `slack` is 0 when nothing ever went.

    Reference: Manku & Motwani, Approximate frequency counts over data streams, VLDB 2002 (lossy counting; here the bound
    is kept for all keys together instead of each).
    """

    cap: int
    counts: dict[str, int] = field(default_factory=dict)
    slack: int = 0

    def add(self, key: str) -> None:
        self.counts[key] = self.counts.get(key, 0) + 1
        if len(self.counts) > self.cap:
            self._prune()

    def _prune(self) -> None:
        spectrum = Counter(self.counts.values())
        remaining, threshold = len(self.counts), 0
        while remaining > self.cap // 2:
            threshold += 1
            remaining -= spectrum[threshold]
        self.counts = {key: count for key, count in self.counts.items() if count > threshold}
        self.slack += threshold

    def top(self, n: int, at_least: int = 2) -> list[tuple[str, int]]:
        """The `n` most frequent keys with a count of `at_least`, ties in alphabetical order."""
        frequent = [(key, count) for key, count in self.counts.items() if count >= at_least]
        return sorted(frequent, key=lambda item: (-item[1], item[0]))[:n]


@dataclass(frozen=True, slots=True)
class Example:
    id: str
    text: str
    round: int | None
    cut: bool


@dataclass(slots=True)
class LabelCounts:
    """One label's kept texts."""

    num_words: int = 0
    examples: list[Example] = field(default_factory=list)
    openings: BoundedCounter = field(default_factory=lambda: BoundedCounter(cap=2_000))


@dataclass(slots=True)
class Counts:
    """Words, openings and n-grams are those of what the model wrote; of a pair, that is one of its texts."""

    kind: TaskKind
    ledger: Ledger = field(default_factory=Ledger)
    lengths: Counter[int] = field(default_factory=Counter)  # words, split at white space -> kept texts
    labels: dict[str, LabelCounts] = field(default_factory=dict)
    dropped_examples: dict[str, list[Example]] = field(default_factory=dict)
    facts: FactCounts = field(default_factory=FactCounts)
    openings: BoundedCounter = field(default_factory=lambda: BoundedCounter(cap=100_000))
    ngrams: dict[int, BoundedCounter] = field(default_factory=lambda: {size: BoundedCounter(cap=100_000) for size in NGRAM_SIZES})

    def add(self, row: Mapping[str, Any]) -> None:
        self.ledger.add(row)
        for item in stored_items(row):
            self.facts.add(item)
            if item.outcome == KEPT:
                self._add_kept(item)
            elif item.outcome != NOTE:
                examples = self.dropped_examples.setdefault(item.outcome, [])
                if len(examples) < EXAMPLES_PER_REASON and item.text:
                    examples.append(_example(item, item.text))

    def _add_kept(self, item: StoredItem) -> None:
        label, text = item.name, str(item.fields[self.kind.written])
        counts = self.labels.setdefault(label, LabelCounts())
        length = len(text.split())
        self.lengths[length] += 1
        counts.num_words += length
        if len(counts.examples) < EXAMPLES_PER_LABEL:
            counts.examples.append(_example(item, self.kind.show(item.fields)))
        words = words_of(text)
        if len(words) >= OPENING_WORDS:
            opening = " ".join(words[:OPENING_WORDS])
            self.openings.add(opening)
            counts.openings.add(opening)
        for size, counter in self.ngrams.items():
            for ngram in {" ".join(words[start : start + size]) for start in range(len(words) - size + 1)}:
                counter.add(ngram)

    @property
    def kept(self) -> int:
        return self.lengths.total()


def count(rows: Iterable[Mapping[str, Any]], kind: TaskKind) -> Counts:
    counts = Counts(kind)
    for row in rows:
        counts.add(row)
    return counts


def quantile(lengths: Counter[int], share: float) -> int:
    """The smallest length that at least `share` of the texts do not exceed (the inverse of the empirical distribution)."""
    wanted, seen = share * lengths.total(), 0
    for length in sorted(lengths):
        seen += lengths[length]
        if seen >= wanted:
            return length
    raise ValueError("no length was counted")


def _example(item: StoredItem, text: str) -> Example:
    cut = len(text) > _LONGEST_EXAMPLE
    return Example(item.id, text[:_LONGEST_EXAMPLE], item.origin.get("round"), cut)
