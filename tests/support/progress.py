"""A listener that keeps what a job tells."""

from __future__ import annotations


class Heard:
    """updates: (stage, done, whole, asked, detail). said: all of it, in order."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.updates: list[tuple[str, int, int, int, str]] = []
        self.said: list[object] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self.said.append(text)

    def update(self, stage: str, done: int, whole: int, *, asked: int = 0, detail: str = "") -> None:
        self.updates.append((stage, done, whole, asked, detail))
        self.said.append(self.updates[-1])

    def advance(self, count: int) -> None:
        self.said.append(count)

    @property
    def damage(self) -> list[str]:
        """The notes on what was damaged and is set aside."""
        return [note for note in self.notes if "set aside" in note or "set-aside" in note]

    @property
    def answered(self) -> int:
        return sum(each for each in self.said if isinstance(each, int))
