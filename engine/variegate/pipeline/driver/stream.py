"""A conversation with what it learns from: ledger, suppression table, duplicates. Requests out, judged rows in.

Everything here is a pure function of the configuration and of the answers before, so a resumed run plays what is on disk again
and stands where the killed one stood. Knows no engine, no files and no strategy by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from variegate.config import RunConfig
from variegate.curation.duplicates import DuplicateFilter
from variegate.inference.suppression.sparse import SparseRow
from variegate.inference.suppression.table import SuppressionTable
from variegate.kinds import kind_of
from variegate.pipeline.driver.keys import sealed
from variegate.records import KEPT, NOTE, SURPLUS, Completion, Item, Piece, Request, Sampling, Work
from variegate.seeding import digest
from variegate.store.ledger import Ledger
from variegate.store.rows import Row
from variegate.strategies import STRATEGIES, begin
from variegate.strategies.conversation import Brief
from variegate.strategies.pool import Example

RUN_GROUP = "run"


class Stream:
    """engine: identity of what answers, hashed. table: None where the run does not suppress. seeds: real examples, as drawn.
    givens: what records can be given that the model does not write. shown: more real examples whose texts may stand in prompts."""

    def __init__(
        self,
        config: RunConfig,
        engine: str,
        table: SuppressionTable | None,
        seeds: Sequence[Example] = (),
        givens: Sequence[Mapping[str, Any]] = ({},),
        shown: Sequence[Example] = (),
    ) -> None:
        self.config, self.table = config, table
        self.kind = kind_of(config.task)
        self.talk = begin(
            Brief(
                config=config.strategy,
                task=config.task,
                kind=self.kind,
                sampling=make_sampling(config),
                chat=config.model.chat,
                seed=config.seed,
                per_label=config.target.per_label,
                max_attempts=config.target.max_attempts,
                rounds=config.rounds,
                suppression=table is not None,
                keep_unfinished=config.keep_unfinished,
                seeds=seeds,
                givens=givens,
            )
        )
        self.ledger = Ledger()
        self.round = 0
        examples = tuple(self.kind.equal(each.fields) for each in (*seeds, *shown)) if config.duplicates.against_train else ()
        self._duplicates = DuplicateFilter(exact=config.duplicates.exact, near=config.duplicates.near, examples=examples)
        self._run = digest({"seed": config.seed, "engine": engine}, length=32)
        self._frozen: dict[str, tuple[int, SparseRow]] = {}  # name -> (block, the table's row where it began)
        suppression = config.decoding.suppression
        self._origin = {
            "strategy": config.strategy.kind,
            "form": getattr(config.strategy, "form", None),
            "model": config.model.name,
            "suppression": suppression.group if suppression else None,
        }

    # -- asking ------------------------------------------------------------------------------------------------

    def ask(self) -> list[Request] | Work:
        """The requests of the next round, sealed; none when the run is done. Or the work that comes before it."""
        asked = self.talk.next(self.ledger)
        return asked if isinstance(asked, Work) else sealed(self._run, map(self._placed, asked))

    def _placed(self, request: Request) -> Request:
        group = self._group(request)
        if group is None or self.table is None:
            return replace(request, round=self.round)
        name, (block, row) = request.target.name, self._frozen.get(request.target.name, (-1, None))
        if row is None or block != request.block:
            row = self.table.row(group)
            self._frozen[name] = (request.block, row)
        return replace(request, round=self.round, group=group, bias=row.digest)

    def _group(self, request: Request) -> str | None:
        suppression = self.config.decoding.suppression
        if suppression is None or request.note:
            return None
        return request.group or (request.target.name if suppression.group == "label" else RUN_GROUP)

    def rows(self) -> dict[str, SparseRow]:
        """digest -> row of the suppression table, of all that requests may be made under now."""
        return {row.digest: row for _, row in self._frozen.values() if row.digest}

    # -- judging -----------------------------------------------------------------------------------------------

    def settle(self, requests: Sequence[Request], completions: Sequence[Completion]) -> list[Row]:
        """Judge a round's answers in request order and take them into the state: the barrier."""
        rows: list[Row] = []
        items: list[Item] = []
        for request, completion in zip(requests, completions, strict=True):
            judged = tuple(self._judge(request, completion))
            rows.append(Row(request, completion, judged, self._origin))
            _count(self.ledger, rows[-1])
            if self.table is not None and request.group is not None:
                self.table.add(request.group, completion.token_ids)
            items += judged
        self.talk.took(items)
        self.round += 1
        return rows

    def _judge(self, request: Request, completion: Completion) -> Iterator[Item]:
        name = request.target.name
        kept = self.ledger.kept(name)
        for place, piece in enumerate(self.talk.read(request, completion) if completion.error is None else ()):
            fields, outcome = self._outcome(request, piece, enough=kept >= self.talk.wanted.get(name, 0))
            kept += outcome == KEPT
            yield Item(f"{request.key}.{place}" if place else request.key, request.target, fields, outcome, request.facts)

    def _outcome(self, request: Request, piece: Piece, *, enough: bool) -> tuple[Mapping[str, Any], str]:
        """An item's fields and what becomes of it."""
        said = {"text": piece.text}
        if piece.reason or request.note:
            return said, piece.reason or NOTE
        fields = self.kind.assemble(request.target, piece.text)
        if isinstance(fields, str):
            return said, fields
        reason = self._duplicates.check(self.kind.equal(fields), take_in=not enough)
        if reason is None and not enough:
            return fields, KEPT
        return said, reason or SURPLUS

    def shortfall(self) -> dict[str, int]:
        """name -> records missing from what is wanted."""
        missing = {name: wanted - self.ledger.kept(name) for name, wanted in self.talk.wanted.items()}
        return {name: count for name, count in sorted(missing.items()) if count > 0}


def fed_back(request: Request) -> bool:
    """Whether it was made under what the run wrote before: a bias, a generated text in its prompt, or a real one that a work chose."""
    return bool(request.bias) or any(not parent.startswith("seed:") for parent in request.parents)


def _count(ledger: Ledger, row: Row) -> None:
    fault = row.completion.error.kind if row.completion.error else None
    ledger.count(row.request.target.name, [item.outcome for item in row.items], fault, note=row.request.note)


def facts_of(rows: Sequence[Row]) -> dict[str, Any]:
    """What a round's entry says of its rows."""
    ledger = Ledger()
    for row in rows:
        _count(ledger, row)
    summary = ledger.to_json()
    return {
        "round": rows[0].request.round,
        **{name: summary[name] for name in ("requested", "kept", "dropped")},
        "under_feedback": sum(item.outcome == KEPT for row in rows if fed_back(row.request) for item in row.items),
        "num_tokens": sum(len(row.completion.token_ids) for row in rows),
        "num_prompt_tokens": sum(row.completion.num_prompt_tokens for row in rows),
        "num_cached_tokens": sum(row.completion.num_cached_tokens for row in rows),
    }


def make_sampling(config: RunConfig) -> Sampling:
    """How every request of the run is drawn, unless its strategy says otherwise."""
    decoding = config.decoding
    suppression = decoding.suppression
    after = suppression is not None and suppression.order == "after_temperature" and decoding.temperature > 0
    stop = STRATEGIES.find(config.strategy.kind).stop(config.strategy, chat=config.model.chat)
    return Sampling(
        temperature=decoding.temperature,
        top_p=decoding.top_p,
        top_k=decoding.top_k,
        min_p=decoding.min_p,
        frequency_penalty=decoding.frequency_penalty,
        presence_penalty=decoding.presence_penalty,
        repetition_penalty=decoding.repetition_penalty,
        max_tokens=decoding.max_tokens,
        stop=stop if decoding.stop is None else tuple(decoding.stop),
        suppression_scale=decoding.temperature if after else 1.0,
    )
