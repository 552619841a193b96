"""The ledger: what was requested, and what became of it, by name of the target.

Requests are answered or end in a fault; an answer gives items, each kept, a note, or dropped for a named reason. Where every
answer gives one text, requested = kept + dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from variegate.records import ENGINE_ERROR, KEPT, NOTE, PROMPT_TOO_LONG, SURPLUS

# Every reason that is none of a plug-in's, and what a person should know of it.
REASONS = {
    "empty": "nothing was left after the quotation marks and white space were removed",
    "unfinished": "max_tokens was reached before the text ended: raise decoding.max_tokens, or set keep_unfinished: true",
    "echo": "the text repeats the prompt's instruction",
    "duplicate": "equal to a kept text after Unicode, case and white-space folding",
    "near_duplicate": "word-trigram Jaccard similarity to a kept text at or above duplicates.near",
    "copy_of_example": "equal to a real example that stands in the pool, or contains most of one",
    PROMPT_TOO_LONG: "the prompt and max_tokens do not fit the model's context: use fewer examples, or raise engine.max_model_len",
    ENGINE_ERROR: "the engine gave no completion for this request",
    SURPLUS: "a good text of a label that had enough: it comes back for nothing when the target is raised",
    "refusal": "a chat model declined to write: word label phrases and context more plainly, or use another model",
    "persona": 'a chat model spoke as an assistant or of itself ("How can I help you?") instead of writing the text',
    "meta": "a chat model described the text that it was asked for instead of writing it",
    "thinking": "a reasoning model came to no end of its <think> part: raise decoding.max_tokens, or set model.chat_arguments: {enable_thinking: false}",
    "placeholder": "the text has a blank to be filled in, as [Your Name]",
}

# Of one kind of task or one strategy: without a colour of their own.
OTHER_REASONS = {
    "part_missing": "a line that the answer should have is not there: of a question its answer",
    "answer_not_in_context": "the answer to the question does not stand in its context word for word",
    "not_in_list": "a line of an answer that should be a list, and no item of one",
    "no_list": "the answer to a request for several texts holds no list of them",
    "too_long": "a text of a list has three times the words that were asked for at most, or over 100 where no limit was: an answer of another kind",
    "not_drawn": "a good text of an answer of which one is kept, drawn at random: set strategy.faithful: false to keep all",
}

UNREAD = (
    "part_missing",
    "empty",
    "unfinished",
    "echo",
    "refusal",
    "persona",
    "meta",
    "placeholder",
    "thinking",
    "no_list",
    "too_long",
    PROMPT_TOO_LONG,
    ENGINE_ERROR,
)
"""Reasons that leave no text of what was asked for."""


def meaning(reason: str) -> str:
    """A reason in words; those of a strategy or task kind from outside speak for themselves."""
    return REASONS.get(reason) or OTHER_REASONS.get(reason, reason.replace("_", " "))


def in_words(ledger: Mapping[str, Any]) -> str:
    """`1,526 requested = 1,500 kept + 26 dropped`, of what `Ledger.to_json` gave; where answers give several items, `:` for `=`."""
    kept, dropped, notes = ledger["kept"], sum(ledger["dropped"].values()), ledger.get("notes", 0)
    sign = " =" if ledger["requested"] == kept + dropped + notes else ":"
    return f"{ledger['requested']:,} requested{sign} {kept:,} kept + {dropped:,} dropped" + (f" + {notes:,} notes" if notes else "")


@dataclass(slots=True)
class Ledger:
    """name -> requests; name -> outcome -> count, faults among the outcomes. What was asked for notes counts under no name."""

    requests: Counter[str] = field(default_factory=Counter)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    num_faults: int = 0
    note_requests: int = 0
    note_counts: Counter[str] = field(default_factory=Counter)  # outcome -> count

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a stored row."""
        name = row["name"]
        fault = row["error"]["kind"] if row["error"] else None
        self.count(name, [item["outcome"] for item in row["items"]], fault, note=row["note"])

    def count(self, name: str, outcomes: Iterable[str], fault: str | None = None, *, note: bool = False) -> None:
        """Count one request. A note's counts as none of its name: the rate of its records is not its affair."""
        if note:
            self.note_requests += 1
        else:
            self.requests[name] += 1
        own = self.note_counts if note else self.counts.setdefault(name, Counter())
        own.update(outcomes)
        if fault is not None:
            own[fault] += 1
            self.num_faults += 1

    def requested(self, name: str) -> int:
        return self.requests[name]

    def kept(self, name: str) -> int:
        return self.counts[name][KEPT] if name in self.counts else 0

    def totals(self) -> Counter[str]:
        """outcome -> count, notes' among them."""
        return sum(self.counts.values(), Counter(self.note_counts))

    def to_json(self) -> dict[str, Any]:
        """`items` = `kept` + `notes` + all of `dropped` that is no fault; `requested` = `answered` + the faults."""
        totals = self.totals()
        dropped = {reason: count for reason, count in sorted(totals.items()) if reason not in (KEPT, NOTE)}
        requested = self.requests.total() + self.note_requests
        return {
            "requested": requested,
            "answered": requested - self.num_faults,
            "items": totals.total() - self.num_faults,
            "kept": totals[KEPT],
            "notes": totals[NOTE],
            "dropped": dropped,
            "labels": {
                name: {"requested": self.requests[name], "outcomes": dict(sorted(counts.items()))}
                for name, counts in sorted(self.counts.items())
            },
            **(
                {"for_notes": {"requested": self.note_requests, "outcomes": dict(sorted(self.note_counts.items()))}}
                if self.note_requests
                else {}
            ),
        }

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Ledger:
        ledger = cls()
        for row in rows:
            ledger.add(row)
        return ledger
