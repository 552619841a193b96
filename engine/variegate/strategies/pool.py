"""The texts that prompts show: examples of a pool that may grow, and the last texts of chats. Plain data.

Both are read as they were when a name's block began, so that what is asked later in that block shows the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Example:
    id: str  # a record's id, or "seed:<n>" for the n-th real example that the run drew
    fields: Mapping[str, Any]  # the columns of its task kind
    label: str


class Pool:
    """Examples by label, in the order in which they came. `frozen`: name -> [block, label -> examples known where it began]."""

    def __init__(self, seeds: Sequence[Example] = ()) -> None:
        self._by_label: dict[str, list[Example]] = {}
        self._frozen: dict[str, tuple[int, dict[str, int]]] = {}
        for example in seeds:
            self.add(example)

    def add(self, example: Example) -> None:
        self._by_label.setdefault(example.label, []).append(example)

    def at(self, name: str, block: int) -> dict[str, Sequence[Example]]:
        """label -> its examples, as the pool stood when block `block` of `name` was first asked about; labels sorted."""
        if name not in self._frozen or self._frozen[name][0] != block:
            self._frozen[name] = (block, {label: len(examples) for label, examples in self._by_label.items()})
        known = self._frozen[name][1]
        return {label: self._by_label[label][: known[label]] for label in sorted(known)}

    @property
    def state(self) -> dict[str, Any]:
        examples = {label: [[each.id, dict(each.fields)] for each in own] for label, own in self._by_label.items()}
        return {"examples": examples, "frozen": {name: [block, dict(known)] for name, (block, known) in self._frozen.items()}}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._by_label = {label: [Example(id, fields, label) for id, fields in own] for label, own in state["examples"].items()}
        self._frozen = {name: (block, dict(known)) for name, (block, known) in state["frozen"].items()}


class Chats:
    """The last `history` texts of each chat: a name's chats are numbered from 0."""

    def __init__(self, history: int) -> None:
        self._history = history
        self._last: dict[str, dict[str, list[list[str]]]] = {}  # name -> chat -> [id, text] ...; chats as JSON's keys: text
        self._frozen: dict[str, tuple[int, dict[str, list[list[str]]]]] = {}

    def add(self, name: str, chat: int, id: str, text: str) -> None:
        own = self._last.setdefault(name, {})
        own[str(chat)] = [*own.get(str(chat), []), [id, text]][-self._history :]

    def at(self, name: str, block: int, chat: int) -> Sequence[Sequence[str]]:
        """(id, text) of the chat's last texts, oldest first, as they stood when block `block` of `name` was first asked about."""
        if name not in self._frozen or self._frozen[name][0] != block:
            self._frozen[name] = (block, dict(self._last.get(name, {})))
        return self._frozen[name][1].get(str(chat), [])

    @property
    def state(self) -> dict[str, Any]:
        return {"last": self._last, "frozen": {name: [block, chats] for name, (block, chats) in self._frozen.items()}}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        self._last = {name: dict(chats) for name, chats in state["last"].items()}
        self._frozen = {name: (block, dict(chats)) for name, (block, chats) in state["frozen"].items()}
