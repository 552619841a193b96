"""What every curation stage takes and gives: items in, one verdict for each out, with the facts of the stage.

Knows nothing of files, of other stages, or of where the labels it is told came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from variegate.kinds.text import Text
from variegate.records import Verdict


@dataclass(frozen=True, slots=True)
class Items:
    """Records as a stage sees them, after the stages before it. The four tuples belong together, in record order."""

    ids: tuple[str, ...]
    texts: tuple[Text, ...]
    labels: tuple[str, ...]  # as they stand now
    parents: tuple[tuple[str, ...], ...]  # ids of the records (or "seed:N") that stood in the prompt

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, places: Sequence[int]) -> Items:
        def taken(column: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(column[place] for place in places)

        return Items(taken(self.ids), taken(self.texts), taken(self.labels), taken(self.parents))


@dataclass(frozen=True, slots=True)
class Judgement:
    """verdicts: exactly one for each item, in the items' order. facts: JSON-able; what the report shows of the stage."""

    verdicts: tuple[Verdict, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
