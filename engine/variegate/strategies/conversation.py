"""What a strategy is: one side of a conversation with a model. It says what it asks next, writes the prompts and reads the answers.

Its state is plain data, so a run can be stored, resumed and played again. It starts no engine, touches no file and judges no
text: the driver does (`pipeline/driver`), which knows no strategy by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from variegate.config import TaskConfig
from variegate.config.run import RoundsConfig
from variegate.config.strategies.base import StrategyConfig
from variegate.kinds import TaskKind
from variegate.records import Completion, Item, Piece, Request, Sampling, Target, Work
from variegate.seeding import derive_rng
from variegate.strategies.blocks import Block, Blocks, first_block
from variegate.strategies.pool import Example
from variegate.strategies.reading import Reader

EARLY = 8  # requests of a name, before which its rate of kept items says nothing
LOWEST_RATE = 0.1


class Counts(Protocol):
    """What a conversation asks the ledger, by name: see `store.ledger`."""

    def requested(self, name: str) -> int: ...

    def kept(self, name: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Brief:
    """What a conversation is given when it begins."""

    config: StrategyConfig
    task: TaskConfig
    kind: TaskKind
    sampling: Sampling  # of every request, unless the strategy wants another for some; `stop` is the run's, or the strategy's own
    chat: bool = False  # the model takes messages; else one text
    seed: int = 0
    per_label: int = 100
    max_attempts: float = 3.0
    rounds: RoundsConfig = field(default_factory=RoundsConfig)
    suppression: bool = False  # what is asked later is made under a table of what came before
    keep_unfinished: bool = False
    seeds: Sequence[Example] = ()  # real examples that the run drew
    givens: Sequence[Mapping[str, Any]] = ({},)  # fields that the model does not write, to draw from; one empty one where it writes all

    @property
    def names(self) -> list[str]:
        """What targets are counted by: the task's labels; one name for all where it has none."""
        return sorted(self.task.labels) or [Target().name]


@dataclass(frozen=True, slots=True)
class Turn:
    """`count` requests of a name from slot `first` on, all within one block."""

    name: str
    block: Block
    first: int
    count: int

    @property
    def slots(self) -> range:
        return range(self.first, self.first + self.count)


class Conversation:
    """The base of all strategies.

    A derived class states `name` (that of its config), writes `next`, and where it needs to `read`, `took` and `feeds_back`.
    wanted: name -> kept items that it is after.
    """

    name: ClassVar[str]
    STATE: ClassVar[tuple[str, ...]] = ()
    """Attributes that change as the conversation goes on: JSON-able."""

    def __init__(self, brief: Brief) -> None:
        self.brief = brief
        self.wanted = dict.fromkeys(brief.names, brief.per_label)
        self.reader = Reader(brief.task, chat=brief.chat, keep_unfinished=brief.keep_unfinished)
        self.last = ""  # the name that was asked last, where names take turns

    # -- what the driver calls ---------------------------------------------------------------------------------

    def next(self, ledger: Counts) -> Sequence[Request] | Work:
        """The next requests; none when it has what it wants or may ask no more, and then as often as it is asked. Or a piece of
        work, where its config says that it `works`; its result is then `heard` before it is asked again.

        A function of the state and the ledger: asked twice, it says the same. Equal prompts stand next to each other.
        """
        raise NotImplementedError(f"{type(self).__name__}.next: every strategy says what it asks")

    def read(self, request: Request, completion: Completion) -> list[Piece]:
        """What stands in an answer: pure, so that it can run beside the engine. One text, unless a strategy asks for more."""
        if lines := self.brief.kind.answer_lines:
            return [self.reader.lines(request, completion, lines)]
        return [self.reader.one_text(request, completion)]

    def took(self, items: Sequence[Item]) -> None:
        """All items of the requests that `next` asked, judged, in request order: the barrier."""
        if items:
            self.last = items[-1].target.name

    def heard(self, work: Work, rows: Sequence[Mapping[str, Any]]) -> str:
        """What came of a work that `next` asked for. Returns what people should know of it, in a line; "" for nothing."""
        raise NotImplementedError(f"{type(self).__name__}.heard: a strategy that asks for works says what it makes of them")

    @classmethod
    def stop(cls, config: StrategyConfig, *, chat: bool) -> tuple[str, ...]:
        """Strings that end an answer when the run file names none."""
        return () if chat else ('"',)

    @property
    def feeds_back(self) -> bool:
        """Whether what it asks depends on what came back (examples, history): then it asks in blocks that grow."""
        return False

    @property
    def state(self) -> dict[str, Any]:
        """JSON-able; what `restore` takes."""
        return {name: getattr(self, name) for name in ("wanted", "last", *self.STATE)}

    def restore(self, state: Mapping[str, Any]) -> None:
        for name in ("wanted", "last", *self.STATE):
            setattr(self, name, state[name])

    # -- what most strategies want -----------------------------------------------------------------------------

    @property
    def blocks(self) -> Blocks:
        rounds = self.brief.rounds
        if rounds.faithful:
            return Blocks(self.call_size, growth=0)
        if not (self.brief.suppression or self.feeds_back):
            return Blocks(None)
        return Blocks(rounds.first or self.first_block(), rounds.growth)

    @property
    def call_size(self) -> int:
        """Texts asked of one prompt."""
        return 1

    def first_block(self) -> int:
        """Requests of a name in its first block where the run file says nothing."""
        return first_block(len(self.wanted))

    @property
    def per_answer(self) -> float:
        """Items that an answer is hoped to give, before there were enough answers to know."""
        return 1.0

    @property
    def max_requests(self) -> dict[str, int]:
        """name -> requests that may be made of it at most."""
        return {name: math.ceil(wanted * self.brief.max_attempts / self.per_answer) for name, wanted in self.wanted.items()}

    def to_ask(self, ledger: Counts, name: str) -> int:
        """Requests to make of a name now: what it lacks at the rate so far, within its attempts."""
        requested, kept = ledger.requested(name), ledger.kept(name)
        rate = self.per_answer if requested < EARLY else max(kept / requested, LOWEST_RATE)
        left = self.max_requests[name] - requested
        lacking = self.wanted[name] - kept
        return max(0, min(max(round(lacking / rate), 1), left)) if lacking > 0 else 0

    def turns(self, ledger: Counts) -> list[Turn]:
        """What to ask of each name now, none beyond the block it is in; with `rounds.faithful` of one name, in turn."""
        blocks, turns = self.blocks, []
        for name in self._in_turn():
            if count := self.to_ask(ledger, name):
                first = ledger.requested(name)
                block = blocks.at(first)
                turns.append(Turn(name, block, first, count if block.end is None else min(count, block.end - first)))
                if self.brief.rounds.faithful:
                    break
        return turns

    def _in_turn(self) -> list[str]:
        names = sorted(self.wanted)
        if not self.brief.rounds.faithful:
            return names
        return [name for name in names if name > self.last] + [name for name in names if name <= self.last]

    def targets(self, name: str, slots: range) -> Iterator[Target]:
        """The target of each slot: the name's label, and given fields where the kind has some, drawn by name and slot."""
        givens = self.brief.givens
        labels = (name,) if self.brief.task.labels else ()
        if len(givens) == 1:
            target = Target(labels, givens[0])
            yield from (target for _ in slots)
            return
        for slot in slots:
            yield Target(labels, derive_rng(self.brief.seed, "given", name, slot).choice(givens))
