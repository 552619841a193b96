"""One finding of a check, and the counting of what is wrong. Knows nothing of what is checked."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    status: str  # "ok", "FAILED" or "skipped"
    detail: str = ""


@dataclass(slots=True)
class Problems:
    """What was found wrong under one heading: the first few, and how many in all."""

    shown: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, text: str) -> None:
        self.count += 1
        if len(self.shown) < 3:
            self.shown.append(text)

    def check(self, name: str, good: str = "") -> Check:
        if not self.count:
            return Check(name, "ok", good)
        more = f" (and {self.count - len(self.shown)} more)" if self.count > len(self.shown) else ""
        return Check(name, "FAILED", "; ".join(self.shown) + more)
