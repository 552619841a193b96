"""One row of `completions.jsonl`: a request, its completion, and what became of it.

The row holds all that a later round or a resumed run needs, so that no other state has to be stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from variegate.errors import StoreError
from variegate.records import Completion, Record, Request

KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Row:
    request: Request
    completion: Completion
    outcome: str  # "kept" or the name of the reason it was dropped
    text: str  # the parsed text; empty where nothing could be parsed
    origin: Mapping[str, Any]  # what the request shares with all others of its run: strategy, model, suppression

    @property
    def kept(self) -> bool:
        return self.outcome == KEPT

    def to_record(self) -> Record:
        request, completion = self.request, self.completion
        return Record(
            id=request.key,
            text=self.text,
            label=request.label,
            origin={
                **self.origin,
                "round": request.round,
                "slot": request.slot,
                "seed": request.seed,
                "parents": list(request.parents),
                "alpha": None,
                "temperature": request.sampling.temperature,
                "finish_reason": completion.finish_reason,
                "num_prompt_tokens": completion.num_prompt_tokens,
                "num_tokens": len(completion.token_ids),
                "logprob": completion.logprob,
            },
        )

    def to_json(self) -> dict[str, Any]:
        """The row as stored. The prompt itself is not: it is rebuilt from the configuration, and its key proves it."""
        record = self.to_record()
        return {
            "key": record.id,
            "label": record.label,
            "outcome": self.outcome,
            "text": record.text,
            "raw": self.completion.text,
            "error": self.completion.error,
            "group": self.request.group,
            "origin": record.origin,
            "token_ids": list(self.completion.token_ids),
        }


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
        error=row["error"],
    )


_FIELDS = frozenset({"key", "label", "outcome", "text", "raw", "error", "group", "origin", "token_ids"})


def stored_record(row: Mapping[str, Any]) -> Record:
    return Record(id=row["key"], text=row["text"], label=row["label"], origin=row["origin"])


def dump_lines(values: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


def parse_row(line: bytes, where: str) -> dict[str, Any]:
    """A line of completions.jsonl. Raises StoreError where it is not a whole row."""
    row: Any = parse_line(line, where)
    missing = sorted(_FIELDS - row.keys()) if isinstance(row, dict) else sorted(_FIELDS)
    if missing:
        raise StoreError(
            f"{where}: field {missing[0]!r} is missing: the file was damaged after it was written."
            " Restore it, or delete its round's folder and run again"
        )
    return row  # type: ignore[no-any-return]


def parse_line(line: bytes, where: str) -> dict[str, Any]:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise StoreError(
            f"{where}: not valid JSON ({error}): the file was damaged after it was written. Restore it, or delete its round's folder and run again"
        ) from error
