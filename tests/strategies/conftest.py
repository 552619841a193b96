"""Conversations without an engine: `talk` begins one, `play` answers it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from variegate.config import TaskConfig
from variegate.config.run import RoundsConfig
from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.kinds import kind_of
from variegate.kinds.classification import ClassificationTask
from variegate.records import KEPT, NOTE, Item, Request, Sampling, Work
from variegate.store.ledger import Ledger
from variegate.strategies import begin
from variegate.strategies.conversation import Brief, Conversation
from variegate.strategies.pool import Example

LABELS = {
    "sci_fi": {"phrase": "about space", "description": "Plays in space."},
    "crime": {"phrase": "about a crime", "description": "A crime is solved."},
    "love": {"phrase": "about love", "description": "Two fall in love.", "title": "romance"},
}


def make_task(**fields: Any) -> TaskConfig:
    """Three kinds of plot."""
    return ClassificationTask.model_validate(
        {"kind": "classification", "name": "plots", "text_type": "opening", "context": "You write novels.", "labels": LABELS, **fields}
    )


def make_brief(kind: str, *, task: dict[str, Any] | None = None, rounds: dict[str, Any] | None = None, **parts: Any) -> Brief:
    """parts: of the brief where it has a field of this name, else of the strategy's settings."""
    given = {name: parts.pop(name) for name in list(parts) if name in Brief.__slots__}
    plots = make_task(**(task or {}))
    return Brief(
        config=STRATEGY_CONFIGS.find(kind).model_validate({"kind": kind, **parts}),
        task=plots,
        kind=kind_of(plots),
        sampling=Sampling(),
        rounds=RoundsConfig(**(rounds or {})),
        **{"per_label": 40, **given},
    )


def no_errors(_: Work) -> list[dict[str, Any]]:
    """What a work of S3 finds of a student that is always right."""
    return [{"id": f"{split}:0", "split": split, "right": 1.0} for split in ("validation", "select")]


class Played:
    """A conversation with its ledger. outcome: of the request of a label and slot; by default all are kept. find: the rows of a work."""

    def __init__(
        self,
        talk: Conversation,
        outcome: Callable[[str, int], str] = lambda *_: KEPT,
        find: Callable[[Work], list[dict[str, Any]]] = no_errors,
    ) -> None:
        self.talk, self.ledger, self._outcome, self._find = talk, Ledger(), outcome, find
        self.rounds: list[list[Request]] = []
        self.works: list[Work] = []
        self.said: list[str] = []

    def step(self) -> list[Request]:
        """One block: asked, answered with a text that names label and slot, taken; works before it are done."""
        while isinstance(asked := self.talk.next(self.ledger), Work):
            self.works.append(asked)
            self.said.append(self.talk.heard(asked, self._find(asked)))
        asked = list(asked)
        if asked:
            self.rounds.append(asked)
            self.talk.took([self._answer(request) for request in asked])
        return asked

    def all(self) -> list[list[Request]]:
        while self.step():
            assert len(self.rounds) < 10_000, "does not end"
        return self.rounds

    def _answer(self, request: Request) -> Item:
        name = request.target.name
        outcome = self._outcome(name, request.slot)
        if request.note:
            self.ledger.count(name, [NOTE], note=True)
            return Item(f"note:{name}:{request.slot}", request.target, {"text": f"reason of {name}"}, NOTE, request.facts)
        self.ledger.count(name, [outcome])
        text = f"{name} text {request.slot}{request.facts.get('error', '')}"
        return Item(f"{name}:{request.slot}", request.target, {"text": text, "label": name}, outcome, request.facts)


def examples(*texts: tuple[str, str]) -> Sequence[Example]:
    """`examples(("crime", "a text"))`: the seeds of a run."""
    return [Example(f"seed:{n}", {"text": text, "label": label}, label) for n, (label, text) in enumerate(texts)]


@pytest.fixture
def talk() -> Callable[..., Any]:
    """`talk("few_shot", form="li", chat=True, task={...}, seeds=[...])`"""
    return lambda kind, **parts: begin(make_brief(kind, **parts))


@pytest.fixture
def play() -> Callable[..., Any]:
    """`play("few_shot", outcome=..., **as talk)`"""
    return lambda kind, *, outcome=lambda *_: KEPT, **parts: Played(begin(make_brief(kind, **parts)), outcome)
