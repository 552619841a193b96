"""What a curation comes to: the records that stay with their final labels, and the counts that add up.

Knows items, verdicts and stored stages; knows nothing of how a stage judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from variegate.curation.judging import Items, Judgement
from variegate.errors import some_of
from variegate.kinds.text import Text, as_one
from variegate.records import Record, Verdict
from variegate.store.ledger import UNREAD, Ledger
from variegate.store.verdicts import CHANGING, CURATION_REASONS, DROPPING, StoredStage, sorted_flips

MANY_FLIPS = 1 / 3  # share of a stage's labels
SHOWN_FLIPS = 10
_LONGEST_SHOWN = 120  # characters of a text in a warning
LABELLING = ("relabel", "label_replacement", "audit")  # kinds of stages whose confidence is about the label


def check_judgement(items: Items, judgement: Judgement, labels: Mapping[str, Any]) -> None:
    """Assert what every judging function promises: one verdict an item, in order; known labels and reasons; sane confidences."""
    verdicts = judgement.verdicts
    assert tuple(verdict.id for verdict in verdicts) == items.ids, "one verdict for each item, in order"  # noqa: S101
    for label, verdict in zip(items.labels, verdicts, strict=True):
        assert verdict.label in labels, verdict  # noqa: S101
        assert verdict.reason == "" or verdict.reason in CURATION_REASONS, verdict  # noqa: S101
        assert verdict.keep or verdict.reason in DROPPING, verdict  # noqa: S101
        assert not verdict.keep or verdict.label == label or verdict.reason in CHANGING, verdict  # noqa: S101
        assert verdict.confidence is None or 0 <= verdict.confidence <= 1, verdict  # noqa: S101


def after(items: Items, verdicts: Sequence[Verdict]) -> Items:
    """The items that stay, with their labels as judged."""
    places = [place for place, verdict in enumerate(verdicts) if verdict.keep]
    kept = items.take(places)
    return Items(kept.ids, kept.texts, tuple(verdicts[place].label for place in places), kept.parents)


def emptied(before: Items, left: Items) -> list[str]:
    """A warning that names the classes which have no record any more."""
    gone = sorted(set(before.labels) - set(left.labels))
    return [f"no record is left of {_count(len(gone), 'class', 'classes')}: {some_of(gone, 8)}"] if gone and len(left) else []


def many_flips(before: Items, verdicts: Sequence[Verdict]) -> list[str]:
    """Where more than MANY_FLIPS of the labels were changed: a warning, and SHOWN_FLIPS of the changes, spread over all of them."""
    changed = [place for place, verdict in enumerate(verdicts) if verdict.keep and verdict.label != before.labels[place]]
    if len(changed) <= MANY_FLIPS * len(before):
        return []
    shown = [changed[number * len(changed) // SHOWN_FLIPS] for number in range(SHOWN_FLIPS)] if len(changed) > SHOWN_FLIPS else changed
    head = f"{len(changed)} of {len(before)} labels were changed ({len(changed) / len(before):.0%}), more than a third: read these, and see who is right"
    return [head, *(f"{before.labels[place]} -> {verdicts[place].label}: {_shown(before.texts[place])}" for place in shown)]


def _shown(text: Text) -> str:
    words = " ".join(as_one(text).split())
    return f'"{words if len(words) <= _LONGEST_SHOWN else words[: _LONGEST_SHOWN - 3] + "..."}"'


@dataclass(slots=True)
class History:
    """What the stages said of one record, in order. confidence: of the last that judged its label."""

    reasons: list[str] = field(default_factory=list)
    confidence: float | None = None

    def add(self, kind: str, verdict: Verdict) -> None:
        if verdict.reason:
            self.reasons.append(verdict.reason)
        if kind in LABELLING and verdict.confidence is not None:
            self.confidence = verdict.confidence


def curated_rows(records: Sequence[Record], left: Items, history: Mapping[str, History]) -> Iterator[dict[str, Any]]:
    """Rows of curated.jsonl, in record order."""
    final = dict(zip(left.ids, left.labels, strict=True))
    nothing = History()
    for record in records:
        if record.id in final:
            said = history.get(record.id, nothing)
            yield {
                "id": record.id,
                **record.fields,
                "label": final[record.id],
                "given_label": record.label,
                "confidence": said.confidence,
                "reasons": said.reasons,
                "origin": dict(record.origin),
            }


def summarise(
    records: Sequence[Record], left: Items, stages: Sequence[StoredStage], ledger: Ledger, labels: Mapping[str, Any]
) -> dict[str, Any]:
    """Counts of a curation: `records` = `kept` + all of `dropped`, and the flips, over the kept, sum to `changed`."""
    given = {record.id: record.label for record in records}
    flips: dict[str, Counter[str]] = {}
    for id, label in zip(left.ids, left.labels, strict=True):
        if label != given[id]:
            flips.setdefault(given[id], Counter())[label] += 1
    dropped: Counter[str] = Counter()
    for stage in stages:
        dropped.update(stage.facts["counts"]["dropped"])
    assert len(records) == len(left) + dropped.total(), "records = kept + dropped"  # noqa: S101
    requested, parsed = _texts(ledger)
    before, final = Counter(given.values()), Counter(left.labels)
    absent = sorted(label for label in labels if not final[label])
    return {
        "records": len(records),
        "stages": [dict(stage.facts) for stage in stages],
        "requested": requested,
        "parsed": parsed,
        "kept_generated": len(records),
        "kept": len(left),
        "dropped": dict(sorted(dropped.items())),
        "changed": sum(each.total() for each in flips.values()),
        "flips": sorted_flips(flips),
        "labels": {label: {"given": before[label], "final": final[label]} for label in sorted(labels)},
        "warnings": [f"the curated set has no record of {_count(len(absent), 'class', 'classes')}: {some_of(absent, 8)}"] if absent else [],
    }


def _texts(ledger: Ledger) -> tuple[int, int]:
    """(requests for records, texts that came out of them). Notes are no records' affair."""
    outcomes = sum(ledger.counts.values(), Counter())
    return ledger.requests.total(), outcomes.total() - sum(outcomes[outcome] for outcome in UNREAD)


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
