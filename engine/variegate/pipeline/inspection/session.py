"""A session of `variegate inspect` as values: what is shown next, what an undo takes back, what the session came to.

Every change gives a new session. Knows nothing of terminals, keys or files: the caller stores a judgement, then says so here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from variegate.errors import UsageError
from variegate.store.inspected import Inspected


@dataclass(frozen=True, slots=True)
class Step:
    id: str
    skipped: bool = False  # else judged


@dataclass(frozen=True, slots=True)
class Session:
    draw: tuple[str, ...]  # ids, in the order in which they are shown
    waiting: tuple[str, ...]  # still to be shown; the first is shown now
    history: tuple[str, ...]  # ids of the judgements that stand, of earlier sessions too, oldest first
    steps: tuple[Step, ...] = ()  # of this session, without what was undone
    taken_back: int = 0  # judgements of earlier sessions that were undone in this one

    @classmethod
    def start(cls, draw: Sequence[str], history: Iterable[str], *, again: bool = False) -> Session:
        """again: show what is judged already once more. Raises UsageError when nothing is left to show."""
        history = tuple(history)
        judged = set() if again else set(history)
        waiting = tuple(id for id in draw if id not in judged)
        if not waiting:
            raise UsageError(
                f"all {len(draw)} items of this draw are judged already: draw more with --number, others with another --seed, or judge"
                " them once more with --again"
            )
        return cls(tuple(draw), waiting, history)

    @property
    def current(self) -> str | None:
        """The id of the item shown now; None at the end."""
        return self.waiting[0] if self.waiting else None

    @property
    def place(self) -> int | None:
        """Of the current item in the draw, from 1; None at the end, and for an item of another draw that an undo brought back."""
        return self.draw.index(self.waiting[0]) + 1 if self.waiting and self.waiting[0] in self.draw else None

    @property
    def last(self) -> Step | None:
        """What `undone` would undo: the last step of this session, before that the last judgement of an earlier one."""
        if self.steps:
            return self.steps[-1]
        return Step(self.history[-1]) if self.history else None

    def judged(self) -> Session:
        """After the current item was judged."""
        step = Step(self.waiting[0])
        return replace(self, waiting=self.waiting[1:], history=(*self.history, step.id), steps=(*self.steps, step))

    def skipped(self) -> Session:
        """After the current item was passed over. A skip is not stored: the next session shows the item again."""
        step = Step(self.waiting[0], skipped=True)
        return replace(self, waiting=self.waiting[1:], steps=(*self.steps, step))

    def undone(self) -> Session:
        """After `last` was undone: its item is shown again."""
        step = self.last
        if step is None:
            raise AssertionError("there is a last step")
        return replace(
            self,
            waiting=(step.id, *(id for id in self.waiting if id != step.id)),
            history=self.history if step.skipped else self.history[:-1],
            steps=self.steps[:-1],
            taken_back=self.taken_back + (not self.steps),
        )


@dataclass(frozen=True, slots=True)
class Tally:
    """Of the records that are judged. judged = agree + changed + out_of_scope."""

    judged: int
    agree: int  # with the label they were generated for
    changed: int
    out_of_scope: int


def tally(judged: Mapping[str, Inspected], given: Mapping[str, str]) -> Tally:
    """given: record id -> the label it was generated for."""
    labels = [(each.label, given[id]) for id, each in judged.items() if each.in_scope]
    agree = sum(label == before for label, before in labels)
    return Tally(len(judged), agree, len(labels) - agree, len(judged) - len(labels))
