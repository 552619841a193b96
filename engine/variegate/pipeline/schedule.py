"""Which labels are asked for how many texts in the next round. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from variegate.config import RunConfig
from variegate.store.ledger import Ledger
from variegate.strategies.asking import Call


class Schedule:
    """Cycles over the labels, so that classes stay balanced at any moment.

    Every label is asked for what it still lacks, until it has `target.per_label` kept records or has used up
    `target.max_attempts` times as many requests.
    """

    def __init__(self, config: RunConfig, labels: Sequence[str], *, call_size: int, one_turn: bool) -> None:
        """one_turn: exactly one call of each label in a round (prompts carry a history, which changes every turn)."""
        self._labels, self._call_size, self._one_turn = list(labels), call_size, one_turn
        self._target = config.target.per_label
        self.max_requests = math.ceil(config.target.per_label * config.target.max_attempts)
        self._rounds = config.rounds
        self._cursor = 0  # with rounds.calls: the label after the last one asked

    def lacking(self, ledger: Ledger, label: str) -> int:
        """How many more requests of the label may be made now."""
        return max(0, min(self._target - ledger.kept(label), self.max_requests - ledger.requested(label)))

    def next_round(self, ledger: Ledger, number: int) -> list[Call]:
        """The calls of round `number`, sorted by label; empty when nothing is left to ask for."""
        left = {label: self.lacking(ledger, label) for label in self._labels}
        asked = dict.fromkeys(self._labels, 0)
        calls = 0
        while any(left.values()):
            label = self._labels[self._cursor % len(self._labels)]
            if self._cursor % len(self._labels) == 0 and calls and self._full(calls, sum(asked.values())):
                break
            if self._rounds.calls and not self._one_turn and calls == self._rounds.calls:
                break
            self._cursor += 1
            if left[label]:
                count = min(self._call_size, left[label])
                left[label] -= count
                asked[label] += count
                calls += 1
        if not any(left.values()) or not self._rounds.calls:
            self._cursor = 0
        return [Call(label, count, ledger.requested(label), 0, number) for label, count in asked.items() if count]

    def _full(self, calls: int, requests: int) -> bool:
        if self._one_turn:
            return True
        return self._rounds.calls is None and requests >= self._rounds.min_requests
