"""One row of a round: a request, its completion, and the items that were read in it and judged.

A row holds all that a later round or a resumed run needs, so that no other state has to be stored. The prompt itself is not
stored: it is made again from the configuration, and the row's key proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from variegate.errors import StoreError
from variegate.records import KEPT, NOTE, Completion, Fault, Item, Record, Request

__all__ = ["KEPT", "NOTE", "Row", "StoredItem", "dump_lines", "parse_line", "stored_completion", "stored_items"]


@dataclass(frozen=True, slots=True)
class Row:
    request: Request
    completion: Completion
    items: tuple[Item, ...]
    origin: Mapping[str, Any]  # what the request shares with all others of its run: strategy, form, model, suppression

    def to_json(self) -> dict[str, Any]:
        request, completion = self.request, self.completion
        return {
            "key": request.key,
            "name": request.target.name,
            "target": request.target.to_json(),
            "note": request.note,
            "group": request.group,
            "facts": dict(request.facts),
            "raw": completion.text,
            "error": {"kind": completion.error.kind, "message": completion.error.message} if completion.error else None,
            "origin": {
                **self.origin,
                "suppression": self.origin.get("suppression") if request.bias else None,
                "bias": request.bias or None,
                "round": request.round,
                "block": request.block,
                "slot": request.slot,
                "seed": request.seed,
                "parents": list(request.parents),
                "temperature": request.sampling.temperature,
                "finish_reason": completion.finish_reason,
                "num_prompt_tokens": completion.num_prompt_tokens,
                "num_tokens": len(completion.token_ids),
                "logprob": completion.logprob,
            },
            "items": [{"id": item.id, "outcome": item.outcome, "fields": dict(item.fields)} for item in self.items],
            "token_ids": list(completion.token_ids),
        }


@dataclass(frozen=True, slots=True)
class StoredItem:
    """One thing that came of a request, as its row says: an item, or the fault for which there is none."""

    id: str
    name: str  # of its target: what ledger and targets count by
    outcome: str  # "kept", "note", why it was dropped, or the fault's kind
    fields: Mapping[str, Any]  # the record's; of an item that was dropped or is a note its text alone, of a fault none
    origin: Mapping[str, Any]  # the record's
    error: str | None = None  # the fault's message

    @property
    def text(self) -> str:
        """For what is no record: the text that was refused."""
        return str(self.fields.get("text", ""))

    def to_record(self) -> Record:
        return Record(self.id, self.fields, self.origin)

    def dropped(self) -> dict[str, Any]:
        """A line of dropped.jsonl."""
        return {"id": self.id, "label": self.name, "reason": self.outcome, "text": self.text, "error": self.error}


def stored_items(row: Mapping[str, Any]) -> Iterator[StoredItem]:
    facts = row["facts"]
    origin = {**row["origin"], "facts": facts} if facts else row["origin"]
    if row["error"] is not None:
        yield StoredItem(row["key"], row["name"], row["error"]["kind"], {}, origin, row["error"]["message"])
    for item in row["items"]:
        yield StoredItem(item["id"], row["name"], item["outcome"], item["fields"], origin)


def stored_completion(row: Mapping[str, Any]) -> Completion:
    """The completion inside a stored row (num_cached_tokens is not stored: it says nothing of the text)."""
    origin = row["origin"]
    return Completion(
        key=row["key"],
        text=row["raw"],
        token_ids=tuple(row["token_ids"]),
        finish_reason=origin["finish_reason"],
        num_prompt_tokens=origin["num_prompt_tokens"],
        logprob=origin["logprob"],
        error=Fault(**row["error"]) if row["error"] else None,
    )


def dump_lines(values: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(
            f"{where}: not valid JSON ({error}): the file was damaged after it was written. Restore it, or run the same command again"
        ) from error
