"""What `variegate show` shows: the rows of a run as generated, or as a curation left them. Knows nothing of how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Protocol

import orjson

from variegate.records import KEPT, NOTE
from variegate.store.kind import kind_of_run
from variegate.store.ledger import REASONS, Ledger, meaning
from variegate.store.rows import StoredItem
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import CURATION_REASONS, DROPPING, CurationFolder

Row = Any  # a StoredItem, or a row of a curation


def _facts(origin: Mapping[str, Any]) -> str:
    """What the strategy noted of a record, but for lists and the like."""
    return "".join(f" · {name} {value}" for name, value in origin.get("facts", {}).items() if not isinstance(value, list | dict))


class Rows(Protocol):
    @property
    def reasons(self) -> Mapping[str, str]:
        """What a row can be dropped for -> what it means."""
        ...

    def rows(self, dropped: bool) -> Iterator[tuple[str, str, Row]]:
        """(label, reason, row): what is kept, whose reason is "", or what is dropped."""
        ...

    def shown(self, row: Row, dropped: bool) -> tuple[str, str, str]:
        """(label to be named before the text, or "", text, facts)."""
        ...

    def as_json(self, row: Row, dropped: bool) -> bytes: ...


class GeneratedRows:
    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._kind = kind_of_run(run)

    @cached_property
    def reasons(self) -> Mapping[str, str]:
        """The usual ones, and those of this run: a strategy or a task kind may have its own."""
        found = Ledger.of(self._run.rows()).totals().keys() - {KEPT, NOTE}
        return {**REASONS, **{reason: meaning(reason) for reason in sorted(found)}}

    def rows(self, dropped: bool) -> Iterator[tuple[str, str, Row]]:
        for item in self._run.items():
            if (item.outcome != KEPT) == dropped and item.outcome != NOTE:
                yield item.name, item.outcome, item

    def shown(self, row: StoredItem, dropped: bool) -> tuple[str, str, str]:
        facts = f"round {row.origin.get('round')} · {row.origin.get('num_tokens')} tokens{_facts(row.origin)}"
        if not dropped:
            return "", self._kind.show(row.fields), facts
        return row.name, row.text, facts + (f" · {row.error}" if row.error else "")

    def as_json(self, row: StoredItem, dropped: bool) -> bytes:
        return orjson.dumps(row.to_record().to_json() if not dropped else row.dropped())


class CuratedRows:
    """Kept rows are those of curated.jsonl; a dropped one is {id, its columns, given_label, confidence, reason, stage}."""

    reasons: Mapping[str, str] = {reason: words for reason, words in CURATION_REASONS.items() if reason in DROPPING}

    def __init__(self, curation: CurationFolder) -> None:
        self._curation = curation
        self._kind = kind_of_run(curation.run)

    def rows(self, dropped: bool) -> Iterator[tuple[str, str, Row]]:
        if not dropped:
            for row in self._curation.rows():
                yield row["label"], "", row
            return
        verdicts = {
            verdict.id: (f"{stage.index} {stage.kind}", verdict)
            for stage in self._curation.stages()
            for verdict in stage.verdicts()
            if not verdict.keep
        }
        for record in self._curation.run.records():
            if record.id in verdicts:
                stage, verdict = verdicts[record.id]
                yield verdict.label, verdict.reason, {
                    "id": record.id,
                    **record.fields,
                    "label": verdict.label,
                    "given_label": record.label,
                    "confidence": verdict.confidence,
                    "reason": verdict.reason,
                    "stage": stage,
                }  # fmt: skip

    def shown(self, row: Row, dropped: bool) -> tuple[str, str, str]:
        changed = row["label"] != row["given_label"]
        sure = "" if row["confidence"] is None else f" · {row['confidence']:.2f}"
        if dropped:
            labels = f"{row['given_label']} -> {row['label']}" if changed else row["label"]
            return labels, self._kind.show(row), f"stage {row['stage']}{sure}"
        said = ", ".join(row["reasons"])
        facts = f"{said or 'as given'}{sure}{_facts(row['origin'])}"
        return f"{row['given_label']} -> {row['label']}" if changed else "", self._kind.show(row), facts

    def as_json(self, row: Row, dropped: bool) -> bytes:
        return orjson.dumps(row)
