"""What zero_shot and few_shot share: prompts in Chung's or Li's form, and Li's chats with a history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from variegate.config.strategies.forms import FormConfig
from variegate.records import KEPT, Item, Message, Request, Target
from variegate.strategies.blocks import Blocks
from variegate.strategies.conversation import Brief, Conversation, Turn
from variegate.strategies.pool import Chats, Example
from variegate.strategies.writing import Writer


class FormConversation(Conversation):
    """Form `li` with a history: each place in a block is a chat of its own, whose prompt carries the chat's last texts.

    Differs from the paper: the chats run side by side, one turn a block, where the paper runs one after the other.
    """

    STATE: ClassVar[tuple[str, ...]] = ("chats",)

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        assert isinstance(brief.config, FormConfig)  # noqa: S101  # the registry pairs them
        self.config: FormConfig = brief.config
        self.writer = Writer.of(brief)
        self._chats = Chats(self.config.history) if self.config.history else None

    @property
    def chats(self) -> Any:
        return self._chats.state if self._chats else None

    @chats.setter
    def chats(self, state: Any) -> None:
        if self._chats:
            self._chats.state = state

    @property
    def feeds_back(self) -> bool:
        return self._chats is not None

    @property
    def call_size(self) -> int:
        return self.config.completions_per_call

    @property
    def blocks(self) -> Blocks:
        blocks = super().blocks
        return blocks if self._chats is None else Blocks(blocks.first, blocks.growth, most=self.config.chats_per_label)

    def requests(self, turn: Turn, slots: range, examples: Sequence[Example]) -> Iterator[Request]:
        """The requests of some slots of a turn that show the same examples. Those with equal prompts share the very messages."""
        parents = tuple(each.id for each in examples)
        made: tuple[Target, tuple[Message, ...]] | None = None  # without a history
        for slot, target in zip(slots, self.targets(turn.name, slots), strict=True):
            chat = slot - turn.block.start
            history = self._chats.at(turn.name, turn.block.index, chat) if self._chats else ()
            if history or made is None or made[0] is not target:
                messages = self._messages(target, examples, history)
                made = made if history else (target, messages)
            else:
                messages = made[1]
            yield Request(
                messages=messages,
                sampling=self.brief.sampling,
                target=target,
                slot=slot,
                block=turn.block.index,
                parents=(*parents, *(id for id, _ in history)),
                facts={"chat": chat} if self._chats else {},
            )

    def _messages(self, target: Target, examples: Sequence[Example], history: Sequence[Sequence[str]]) -> tuple[Message, ...]:
        if self.config.form == "chung":
            return self.writer.chung_messages(target, examples)
        return self.writer.li_messages(target, examples, history)

    def took(self, items: Sequence[Item]) -> None:
        super().took(items)
        for item in items:
            if self._chats is not None and item.outcome == KEPT:
                self._chats.add(item.target.name, item.facts["chat"], item.id, item.fields[self.brief.kind.written])
