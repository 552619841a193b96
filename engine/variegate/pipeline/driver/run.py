"""One run in progress: each round played again from disk, or made and committed. The engine starts when a row has to be generated."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from variegate.config import RunConfig
from variegate.inference.backend import Backend
from variegate.pipeline.driver.shards import cut
from variegate.pipeline.driver.stream import Stream, facts_of
from variegate.pipeline.progress import Progress
from variegate.records import KEPT, Completion, Request
from variegate.store.row_lookup import RowLookup
from variegate.store.rows import Row, stored_completion
from variegate.store.run_folder import PARTS, RunFolder, round_key, round_name

# What generating a round cost, which its judging does not change.
_COSTS = ("num_cached_tokens", "num_generated_tokens", "seconds")


class Run:
    """engine: gives the started engine."""

    def __init__(self, config: RunConfig, folder: RunFolder, stream: Stream, engine: Callable[[], Backend], progress: Progress) -> None:
        self.config, self.folder, self.stream = config, folder, stream
        self._engine, self._progress = engine, progress
        self._answers: RowLookup | None = None

    def advance(self) -> bool:
        """Do one round. False when nothing is left to ask for."""
        number = self.stream.round
        requests = self.stream.ask()
        if not requests:
            self._set_aside(number)  # rounds of a larger target: they are no part of this run
            self.folder.shelf.set_aside(self.folder.shelf.names(PARTS))
            return False
        entry = self.folder.shelf.get(round_name(number), round_key(request.key for request in requests))
        if entry is not None:
            self._replay(requests, entry.rows(), entry.facts)
        else:
            self._commit(requests)
        return True

    def _replay(self, requests: Sequence[Request], stored: list[dict[str, Any]], facts: Mapping[str, Any]) -> None:
        """Take a committed round into the state; write it anew where its items are judged otherwise now."""
        rows = self.stream.settle(requests, [stored_completion(row) for row in stored])
        if [row.to_json() for row in rows] != stored:
            self._write(rows, {**{name: facts[name] for name in _COSTS}, "reused": len(rows)})
        self._tell(rows, tokens=0, seconds=0.0)

    def _set_aside(self, number: int) -> None:
        """Rounds from `number` on belong to another configuration: keep them as a source of answers."""
        if any(int(name.rpartition("/")[2]) >= number for name in self.folder.shelf.names("rounds")):
            self.folder.set_rounds_aside(number)

    def _commit(self, requests: list[Request]) -> None:
        """Take what was answered before, generate the rest, and make the round appear on disk at once."""
        number = self.stream.round
        known, seconds = self._spooled(number, {request.key for request in requests})
        made = set(known)  # for this round; all others are reused
        if self._answers is None and len(known) < len(requests):
            self._answers = self.folder.answers()
        if self._answers is not None:
            others = self._answers.take(request.key for request in requests if request.key not in known)
            known.update((key, stored_completion(row)) for key, row in others.items())
        shards = enumerate(cut(requests, self.config.rounds.shard))
        missing = [(place, left) for place, shard in shards if (left := [each for each in shard if each.key not in known])]
        for place, shard in missing:
            fresh, took = self._generate(shard)
            seconds += took
            known.update((completion.key, completion) for completion in fresh)
            made.update(completion.key for completion in fresh)
            if place != missing[-1][0]:  # the last goes into the round itself
                self._spool(f"{_prefix(number)}{place:06d}", shard, fresh, took)
        self._set_aside(number)
        rows = self.stream.settle(requests, [known[request.key] for request in requests])
        tokens = sum(len(known[key].token_ids) for key in made)
        self._write(rows, {"reused": len(known) - len(made), "num_generated_tokens": tokens, "seconds": round(seconds, 4)})
        self.folder.shelf.drop(self._parts(number))
        self._tell(rows, tokens=tokens, seconds=seconds)

    def _parts(self, number: int) -> list[str]:
        return [name for name in self.folder.shelf.names(PARTS) if name.startswith(_prefix(number))]

    def _spooled(self, number: int, keys: Set[str]) -> tuple[dict[str, Completion], float]:
        """What was generated of the round before its process was killed, and the seconds that it took."""
        found: dict[str, Completion] = {}
        seconds = 0.0
        for name in self._parts(number):
            entry = self.folder.shelf.get(name)
            rows = [row for row in entry.rows() if row["key"] in keys] if entry is not None else []
            if entry is not None and rows:
                found.update((row["key"], stored_completion(row)) for row in rows)
                seconds += entry.facts["seconds"]
        return found, seconds

    def _spool(self, name: str, requests: Sequence[Request], completions: Sequence[Completion], seconds: float) -> None:
        rows = (Row(request, completion, (), {}).to_json() for request, completion in zip(requests, completions, strict=True))
        self.folder.shelf.put(name, round_key(request.key for request in requests), rows, {"seconds": seconds})

    def _generate(self, requests: list[Request]) -> tuple[list[Completion], float]:
        """The completions, and the seconds that they took: not those of starting the engine."""
        backend = self._engine()
        start = time.monotonic()
        if self.stream.table is not None:
            backend.set_rows(self.stream.rows())
        completions = backend.generate(requests, logprobs=self.config.logprobs, on_progress=self._progress.completions)
        return completions, time.monotonic() - start

    def _write(self, rows: list[Row], costs: Mapping[str, Any]) -> None:
        self.folder.commit_round(rows[0].request.round, rows, {**facts_of(rows), **costs})

    def _tell(self, rows: Sequence[Row], *, tokens: int, seconds: float) -> None:
        kept = sum(item.outcome == KEPT for row in rows for item in row.items)
        self._progress.round_done(kept=kept, dropped=len(rows) - kept, tokens=tokens, seconds=seconds)


def _prefix(number: int) -> str:
    """Of the names of a round's parts."""
    return f"{PARTS}/{number:06d}-"
