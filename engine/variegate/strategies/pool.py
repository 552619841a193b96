"""The texts a strategy may show: real seed examples, then kept records. Changes only at a barrier.

Knows nothing of prompts. Holds texts only where a strategy asks for them, so memory stays flat without.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from variegate.records import Record


@dataclass(frozen=True, slots=True)
class Example:
    id: str  # a record's id, or "seed:<n>" for the n-th real example of the pool
    text: str
    label: str


class Pool:
    """seeds: real examples. keep_records: kept records become examples too. history: last texts remembered per chat."""

    def __init__(self, seeds: Iterable[Example] = (), *, keep_records: bool = False, history: int = 0) -> None:
        self.seeds = tuple(seeds)
        self._keep_records = keep_records
        self._history = history
        self._by_label: dict[str, list[Example]] = {}
        for example in self.seeds:
            self._by_label.setdefault(example.label, []).append(example)
        self._chats: dict[tuple[str, int], deque[Example]] = {}

    def add(self, record: Record, chat: int) -> None:
        """Take in a kept record of the round that just ended. `chat`: its place among its label's requests in the round."""
        example = Example(record.id, record.text, record.label)
        if self._keep_records:
            self._by_label.setdefault(record.label, []).append(example)
        if self._history:
            self._chats.setdefault((record.label, chat), deque(maxlen=self._history)).append(example)

    def labels(self) -> list[str]:
        """Labels with at least one example, sorted."""
        return sorted(self._by_label)

    def examples(self, label: str) -> Sequence[Example]:
        return self._by_label.get(label, ())

    def history(self, label: str, chat: int) -> Sequence[Example]:
        """The chat's last texts, oldest first."""
        return tuple(self._chats.get((label, chat), ()))
