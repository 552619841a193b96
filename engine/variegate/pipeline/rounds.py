"""The state that rounds share, and how one round becomes requests and completions become rows.

Everything here is a pure function of the configuration and of the rounds before, so a resumed run replays what is on
disk and stands where the killed one stood. Knows no engine and no files.
"""

from __future__ import annotations

from typing import Any

from variegate.config import RunConfig
from variegate.curation.duplicates import DuplicateFilter
from variegate.inference.identity import Fingerprint
from variegate.inference.suppression.table import SuppressionTable
from variegate.pipeline.parse import parse
from variegate.pipeline.schedule import Schedule
from variegate.pipeline.seeds import draw_seeds
from variegate.records import Completion, Request, Sampling
from variegate.seeding import derive_rng, derive_seed, digest
from variegate.store.ledger import Ledger
from variegate.store.rows import KEPT, Row
from variegate.strategies import make_strategy
from variegate.strategies.pool import Pool

RUN_GROUP = "run"


class RunState:
    """config, and the fingerprint of its model; table is None where the run does not suppress."""

    def __init__(self, config: RunConfig, fingerprint: Fingerprint, table: SuppressionTable | None) -> None:
        self.config, self.table = config, table
        self.strategy = make_strategy(config.strategy, config.task, chat=config.model.chat)
        seeds = draw_seeds(config.task, getattr(config.strategy, "seed_pool", 0), config.seed)
        self.pool = Pool(seeds, keep_records=self.strategy.needs_records, history=self.strategy.history)
        self.schedule = Schedule(config, list(config.task.labels), call_size=self.strategy.call_size, one_turn=self.strategy.history > 0)
        self.ledger = Ledger()
        self.round = 0
        examples = tuple(each.text for each in seeds) if config.duplicates.against_train else ()
        self._duplicates = DuplicateFilter(exact=config.duplicates.exact, near=config.duplicates.near, examples=examples)
        self._sampling = self._make_sampling()
        engine = config.model.engine
        # What changes every text of the run, beside the prompt and the suppression table.
        self._identity = digest(
            [config.seed, engine.backend, config.model.chat, engine.dtype, engine.quantization, fingerprint.model, fingerprint.tokenizer]
        )
        suppression = config.decoding.suppression
        self._origin = {
            "strategy": config.strategy.kind,
            "form": config.strategy.form,
            "model": config.model.name,
            "suppression": suppression.group if suppression else None,
        }

    def _make_sampling(self) -> Sampling:
        decoding = self.config.decoding
        suppression = decoding.suppression
        after = suppression is not None and suppression.order == "after_temperature" and decoding.temperature > 0
        return Sampling(
            temperature=decoding.temperature,
            top_p=decoding.top_p,
            top_k=decoding.top_k,
            min_p=decoding.min_p,
            frequency_penalty=decoding.frequency_penalty,
            presence_penalty=decoding.presence_penalty,
            repetition_penalty=decoding.repetition_penalty,
            max_tokens=decoding.max_tokens,
            stop=tuple(decoding.stop) if decoding.stop is not None else self.strategy.stop(),
            suppression_scale=decoding.temperature if after else 1.0,
        )

    def _group(self, label: str) -> str | None:
        suppression = self.config.decoding.suppression
        if suppression is None:
            return None
        return label if suppression.group == "label" else RUN_GROUP

    def next_requests(self) -> list[Request]:
        """The requests of the next round; empty when the run is done. Equal prompts stand next to each other."""
        requests: list[Request] = []
        sampling = digest([str(self._sampling)])
        for call in self.schedule.next_round(self.ledger, self.round):
            group = self._group(call.label)
            bias = self.table.row(group).digest if self.table is not None and group is not None else ""
            slot = call.first_slot
            rng = derive_rng(self.config.seed, "prompts", call.label, call.first_slot)
            for prompt in self.strategy.prompts(call, self.pool, rng):
                # None and not "": the keys of what is not suppressed stay those they were.
                shared = digest([self._identity, sampling, bias or None, [[m.role, m.content] for m in prompt.messages], call.label])
                for _ in range(prompt.count):
                    key = digest([shared, slot], length=20)
                    requests.append(
                        Request(
                            key=key,
                            messages=prompt.messages,
                            sampling=self._sampling,
                            seed=derive_seed(key),
                            label=call.label,
                            slot=slot,
                            round=self.round,
                            group=group,
                            bias=bias,
                            parents=prompt.parents,
                        )
                    )
                    slot += 1
        return requests

    def finish_round(self, requests: list[Request], completions: list[Completion]) -> list[Row]:
        """Judge a round's completions in request order and take them into the state: the barrier."""
        rows = []
        chats: dict[str, int] = {}
        for request, completion in zip(requests, completions, strict=True):
            text, reason = parse(request, completion, keep_unfinished=self.config.keep_unfinished)
            reason = reason or self._duplicates.check(text)
            row = Row(request, completion, reason or KEPT, text, self._origin)
            rows.append(row)
            self.ledger.add(request.label, row.outcome)
            chat = chats.get(request.label, 0)
            chats[request.label] = chat + 1
            if row.kept:
                self.pool.add(row.to_record(), chat)
            if self.table is not None and request.group is not None:
                self.table.add(request.group, completion.token_ids)
        self.round += 1
        return rows

    def shortfall(self) -> dict[str, int]:
        """label -> records missing from the target."""
        target = self.config.target.per_label
        missing = {label: target - self.ledger.kept(label) for label in self.config.task.labels}
        return {label: count for label, count in missing.items() if count > 0}

    def facts(self, rows: list[Row], **more: Any) -> dict[str, Any]:
        """What round.json says of a round."""
        ledger = Ledger()
        for row in rows:
            ledger.add(row.request.label, row.outcome)
        summary = ledger.to_json()
        return {
            "round": rows[0].request.round,
            "requested": summary["requested"],
            "kept": summary["kept"],
            "dropped": summary["dropped"],
            "num_tokens": sum(len(row.completion.token_ids) for row in rows),
            "num_prompt_tokens": sum(row.completion.num_prompt_tokens for row in rows),
            "num_cached_tokens": sum(row.completion.num_cached_tokens for row in rows),
            **more,
        }
