"""Works: what a strategy asks for that is no engine's, each a doer of its own, found by the name that the work gives as its task.

A module here holds a doer and names it WORK; an installed package adds one by an entry point of the group `variegate.works`.
`bench` finds a work's result on the run's shelf, or has it done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from variegate.config import RunConfig
from variegate.kinds import TaskKind
from variegate.pipeline.gold import Gold
from variegate.progress import Progress
from variegate.registry import Registry
from variegate.store.shelf import Made


@dataclass(frozen=True, slots=True)
class Desk:
    """What a doer finds before it."""

    config: RunConfig
    kind: TaskKind
    gold: Gold
    progress: Progress


class Doer(Protocol):
    name: ClassVar[str]

    def depends_on(self, desk: Desk, args: Mapping[str, Any]) -> Any:
        """What its result follows from beside the arguments: JSON-able, and cheap to say."""
        ...

    def do(self, desk: Desk, args: Mapping[str, Any]) -> Made:
        """(rows, facts). The strategy hears the rows: the same whenever the work is done again. Facts are for people: seconds, memory."""
        ...


DOERS: Registry[Doer] = Registry("work", "variegate.pipeline.works", "WORK", "variegate.works")
