"""The ledger: per run and label, requested = kept + dropped, each drop with a named reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from variegate.store.rows import KEPT

# Every reason a completion can be dropped for, and what a person should know of it.
REASONS = {
    "empty": "nothing was left after the quotation marks and white space were removed",
    "unfinished": "max_tokens was reached before the text ended: raise decoding.max_tokens, or set keep_unfinished: true",
    "echo": "the text repeats the prompt's instruction",
    "duplicate": "equal to a kept text after Unicode, case and white-space folding",
    "near_duplicate": "word-trigram Jaccard similarity to a kept text at or above duplicates.near",
    "copy_of_example": "equal to a real example that stands in the pool",
    "prompt_too_long": "the prompt and max_tokens do not fit the model's context: use fewer examples, or raise engine.max_model_len",
    "engine_error": "the engine gave no completion for this request",
}


@dataclass(slots=True)
class Ledger:
    """label -> outcome -> count."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, label: str, outcome: str) -> None:
        self.counts.setdefault(label, Counter())[outcome] += 1

    def requested(self, label: str) -> int:
        return self.counts[label].total() if label in self.counts else 0

    def kept(self, label: str) -> int:
        return self.counts[label][KEPT] if label in self.counts else 0

    def totals(self) -> Counter[str]:
        return sum(self.counts.values(), Counter())

    def to_json(self) -> dict[str, Any]:
        totals = self.totals()
        dropped = {reason: count for reason, count in sorted(totals.items()) if reason != KEPT}
        return {
            "requested": totals.total(),
            "kept": totals[KEPT],
            "dropped": dropped,
            "labels": {label: dict(sorted(counts.items())) for label, counts in sorted(self.counts.items())},
        }

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Ledger:
        ledger = cls()
        for row in rows:
            ledger.add(row["label"], row["outcome"])
        return ledger
