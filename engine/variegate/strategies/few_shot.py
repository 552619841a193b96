"""Few-shot generation: examples from a pool of real and generated texts stand in the prompt.

Reference: Chung, Kamar and Amershi, ACL 2023, section 3 and appendix (form `chung`: 20 completions a call, one random
example for every label, a pool that grows, seeded with 18 real examples or none); Li, Zhu, Lu and Yin, EMNLP 2023
(form `li`: a few real examples, to be imitated but neither edited nor rewritten).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from variegate.config.strategies.few_shot import FewShotConfig
from variegate.records import KEPT, Item, Request
from variegate.seeding import derive_rng
from variegate.strategies.conversation import Brief, Counts
from variegate.strategies.forms import FormConversation
from variegate.strategies.pool import Example, Pool

LONG_PROMPT = 4000  # characters, some 1,000 tokens
_EXAMPLE = 60  # characters of an example's text, before there is one


class FewShot(FormConversation):
    name = "few_shot"
    STATE: ClassVar[tuple[str, ...]] = (*FormConversation.STATE, "pool")

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        assert isinstance(brief.config, FewShotConfig)  # noqa: S101  # the registry pairs them
        self.few: FewShotConfig = brief.config
        self._pool = Pool([Example(each.id, each.fields, each.label) for each in brief.seeds])

    @property
    def pool(self) -> Any:
        return self._pool.state

    @pool.setter
    def pool(self, state: Any) -> None:
        self._pool.state = state

    @property
    def feeds_back(self) -> bool:
        return self.few.grow_pool or super().feeds_back

    def first_block(self) -> int:
        """A whole call where prompts are long: each call has one of its own, and smaller blocks would mean more of them."""
        return self.call_size if self._prompt_length() > LONG_PROMPT else super().first_block()

    def _prompt_length(self) -> int:
        """Characters of a prompt once the pool has what it asks for; about."""
        (target,) = self.targets(self.brief.names[0], range(1))
        (*_, message) = self.writer.chung_messages(target, ()) if self.few.form == "chung" else self.writer.li_messages(target, (), ())
        texts = [len(str(each.fields[self.brief.kind.written])) for each in self.brief.seeds] or [_EXAMPLE]
        own = len(message.content) if self.few.form == "chung" else 0  # of each example's block, beside its text
        examples = self.few.num_examples or len(self.brief.names)
        return len(message.content) + examples * (own + sum(texts) // len(texts))

    def next(self, ledger: Counts) -> Sequence[Request]:
        """Fresh examples for every call of `completions_per_call` texts. While the pool is empty the prompt has none."""
        out: list[Request] = []
        for turn in self.turns(ledger):
            known = self._pool.at(turn.name, turn.block.index)
            slot = turn.first
            while slot < turn.first + turn.count:
                call = slot // self.call_size
                start = call * self.call_size  # where the call begins, wherever this turn does: its prompt is the same
                if self.few.grow_pool:
                    start = max(start, turn.block.start)  # the pool has grown since the block before
                end = min(turn.first + turn.count, (call + 1) * self.call_size)
                examples = self.draw(turn.name, known, derive_rng(self.brief.seed, "examples", turn.name, start))
                out += self.requests(turn, range(slot, end), examples)
                slot = end
        return out

    def draw(self, name: str, known: Mapping[str, Sequence[Example]], rng: random.Random) -> list[Example]:
        """One example of each of `num_examples` labels drawn at random (all by default), the asked label among them;
        with `own_label_only`, that many of the asked label. Fewer where the pool has fewer. known: label -> examples."""
        wanted = self.few.num_examples or len(self.brief.names)
        if self.few.own_label_only:
            own = known.get(name, ())
            return rng.sample(list(own), min(wanted, len(own)))
        labels = list(known)
        if len(labels) > wanted:
            others = [each for each in labels if each != name]
            labels = [name] * (name in labels) + rng.sample(others, wanted - (name in labels))
        chosen = [rng.choice(known[each]) for each in sorted(labels)]
        rng.shuffle(chosen)
        return chosen

    def took(self, items: Sequence[Item]) -> None:
        super().took(items)
        if self.few.grow_pool:
            for item in items:
                if item.outcome == KEPT:
                    self._pool.add(Example(item.id, item.fields, item.target.name))


STRATEGY = FewShot
