"""What flows through a run: targets and requests in, completions and items out, records kept. Frozen, JSON-able, engine-agnostic.

Knows nothing of strategies, engines or files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Message:
    role: str  # "system", "user" or "assistant"
    content: str


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for.

    labels: one class, a sorted set of attributes, or none. given: fields of the record that the model does not write.
    """

    labels: tuple[str, ...] = ()
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What ledger and targets count by: the labels, never the given fields, or every premise would be a class of its own."""
        return "+".join(self.labels) or "all"

    def to_json(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "given": dict(self.given)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Target:
        return cls(tuple(value["labels"]), value["given"])


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an engine gave no completion. Code looks at the kind, people read the message."""

    kind: str
    message: str


PROMPT_TOO_LONG, ENGINE_ERROR = "prompt_too_long", "engine_error"  # kinds of faults
KEPT, NOTE, SURPLUS = "kept", "note", "surplus"  # outcomes of items that are none of a reading, a task kind or a filter


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that a strategy reads in an answer; `reason`: the name of why it is refused, "" for none."""

    text: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """A piece that was judged. `id` is its request's key for the first of an answer, then KEY.1, KEY.2, ..."""

    id: str
    target: Target
    fields: Mapping[str, Any]  # the columns of its task kind; of an item that is not kept, perhaps its text alone
    outcome: str  # "kept", "note", or why it was dropped
    facts: Mapping[str, Any]  # its request's


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one completion is drawn. `temperature` 0 is greedy; `top_k` 0 and `min_p` 0 are off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 100
    stop: tuple[str, ...] = ()
    suppression_scale: float = 1.0  # multiplies the suppression bias; the temperature, where the bias acts after it
    ignore_eos: bool = False  # for benchmarks: every completion has max_tokens tokens


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt to be sent to a model. Nothing but data: it can go to another process.

    `messages` has one user message for a plain-text model; a chat model's template is applied by the backend.
    """

    messages: tuple[Message, ...]
    sampling: Sampling
    target: Target = field(default_factory=Target)
    slot: int = 0  # place among the requests of its target's name, over the whole run: tells equal prompts apart
    block: int = 0  # of its name, from 0: it is made under what was known where this block began
    parents: tuple[str, ...] = ()  # ids of the records (or seeds) whose texts stand in the prompt
    facts: Mapping[str, Any] = field(default_factory=dict)  # alpha, partner, error ...: whatever the strategy wants kept; JSON-able
    note: bool = False  # the answer is for the strategy itself: no record comes of it, no target counts it
    soft: Mapping[str, str] | None = None  # vectors before the prompt: {"file": absolute path, "sha256": of it, "tensor"}
    group: str | None = None  # of the suppression table; None: not suppressed
    bias: str = ""  # digest of the row of the table that it is made under; "" for none
    round: int = 0
    key: str = ""  # hash of everything that changes its answer
    seed: int = 0  # from the key

    @property
    def prompt(self) -> str:
        """The prompt of a plain-text model: the messages' contents, one after the other."""
        return "".join(message.content for message in self.messages)


@dataclass(frozen=True, slots=True)
class Work:
    """Something that is not the engine's: train a student and see what it gets wrong. Data: its result is found by its hash.

    It is done while the engine rests, once: killed on the way it is begun again, and done it stands on the shelf.
    """

    name: str  # where its result stands: told apart from the run's other works, the same whenever the run is played again
    task: str  # who does it: a name of `pipeline.works`
    args: Mapping[str, Any]  # JSON-able; with what the doer says that it depends on, all that its result follows from


@dataclass(frozen=True, slots=True)
class Completion:
    """What came back for the request of the same `key`."""

    key: str
    text: str  # without the stop string
    token_ids: tuple[int, ...]
    finish_reason: str  # "stop" (a stop string or end of sequence), "length" or "error"
    num_prompt_tokens: int
    num_cached_tokens: int = 0
    logprob: float | None = None  # sum over token_ids, natural log, of the model's own distribution (before
    # suppression, temperature and the rest); None unless asked for
    error: Fault | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One kept item and where it came from. `id` is its request's key, for a second item of one answer KEY.1, and so on."""

    id: str
    fields: Mapping[str, Any]  # the columns of its task kind
    origin: Mapping[str, Any] = field(default_factory=dict)
    # origin: strategy, form, model, round, block, slot, seed, parents, suppression (the group it was really suppressed by),
    # bias (digest of the row), temperature, finish_reason, num_prompt_tokens, num_tokens, logprob, and the request's facts

    @property
    def label(self) -> str:
        return str(self.fields.get("label", ""))

    def to_json(self) -> dict[str, Any]:
        return {"id": self.id, **self.fields, "origin": dict(self.origin)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Record:
        fields = {name: value for name, value in row.items() if name not in ("id", "origin")}
        return cls(id=row["id"], fields=fields, origin=row.get("origin", {}))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one curation stage says of one record. Stages act in order: the last label stands, one drop drops."""

    id: str  # of the record
    label: str  # the label from here on; the one it came with where the stage does not judge labels
    keep: bool = True
    reason: str = ""  # why the label changed or the record is dropped: a name of store.verdicts.CURATION_REASONS; "" otherwise
    confidence: float | None = None  # the stage's probability that `label` is right (or that the text is in scope), in [0, 1]
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON-able; what the decision was made from

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "label": self.label,
            "keep": self.keep,
            "reason": self.reason,
            "confidence": self.confidence,
            "details": dict(self.details),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Verdict:
        return cls(**{name: row[name] for name in ("id", "label", "keep", "reason", "confidence", "details")})
