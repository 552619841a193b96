"""What a run tells while it goes."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a run tells while it goes. The command line draws it; tests count it."""

    def note(self, text: str) -> None: ...

    def start(self, target: int) -> None: ...

    def completions(self, count: int) -> None: ...

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None: ...


class Silent:
    def note(self, text: str) -> None:
        pass

    def start(self, target: int) -> None:
        pass

    def completions(self, count: int) -> None:
        pass

    def round_done(self, *, kept: int, dropped: int, tokens: int, seconds: float) -> None:
        pass
