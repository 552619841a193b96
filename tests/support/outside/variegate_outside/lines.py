"""The strategy `lines`: several texts an answer, one a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from variegate.config.strategies.base import StrategyConfig
from variegate.records import Completion, Message, Piece, Request, Target
from variegate.strategies.conversation import Conversation, Counts


class LinesConfig(StrategyConfig):
    name: ClassVar[str] = "lines"
    serves: ClassVar[tuple[str, ...]] = ("classification",)

    kind: Literal["lines"]
    lines: int = Field(default=3, ge=1)
    """Texts of an answer."""

    def template_names(self) -> tuple[str, ...]:
        return ()

    def words(self) -> str:
        return f"{self.lines} lines an answer"


class Lines(Conversation):
    name = "lines"

    @property
    def per_answer(self) -> float:
        assert isinstance(self.brief.config, LinesConfig)
        return self.brief.config.lines

    def next(self, ledger: Counts) -> Sequence[Request]:
        assert isinstance(self.brief.config, LinesConfig)
        lines, out = self.brief.config.lines, []
        for name in self.brief.names:
            first = ledger.requested(name)
            text = f"Write {lines} texts, one a line. {self.brief.task.labels[name].description}\n"
            messages, target = (Message("user", text),), Target((name,))
            slots = range(first, first + self.to_ask(ledger, name))
            out += [Request(messages=messages, sampling=self.brief.sampling, target=target, slot=slot) for slot in slots]
        return out

    def read(self, request: Request, completion: Completion) -> list[Piece]:
        return [Piece(line.strip()) if line.strip() else Piece(line, "empty") for line in completion.text.split("\n")]

    @classmethod
    def stop(cls, config: StrategyConfig, *, chat: bool) -> tuple[str, ...]:
        return ("\n\n",)


CONFIG, STRATEGY = LinesConfig, Lines
