"""What an engine answered, found again by the key of its question: entries of a shelf that only grow in number.

Answers to other questions lie among them, from earlier configurations; each is used where the very same question is asked again.
Knows nothing of what a question is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from variegate.store.shelf import Shelf


class Answers:
    """Below the folder `prefix` of a shelf, PREFIX/000000, ... A row has a `key`, and an `error` where the engine failed.

    key: of the asking. What failed is worth another try once anything changed, so it counts as answered under this key alone.
    facts: what stands beside the rows that are added.
    """

    def __init__(self, shelf: Shelf, prefix: str, key: str, facts: Mapping[str, Any] | None = None) -> None:
        self._shelf, self._prefix, self._key, self._facts = shelf, prefix, key, facts or {}

    def known(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows there are for `keys`. Damaged entries are named and set aside, and an empty one stands in their place."""
        self._close_gaps()
        whole = self._shelf.rows_by_key([self._prefix], keep=lambda row: not _failed(row))
        failed = self._shelf.rows_by_key([self._prefix], keep=_failed, key=self._key)
        return {**failed.take(keys), **whole.take(keys)}

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Appear at once, whole. Raises StoreError."""
        self._shelf.put(self._name(self._number_after()), self._key, rows, self._facts)

    def _name(self, number: int) -> str:
        return f"{self._prefix}/{number:06d}"

    def _number_after(self) -> int:
        return max((int(name.rpartition("/")[2]) for name in self._shelf.names(self._prefix)), default=-1) + 1

    def _close_gaps(self) -> None:
        for number in range(self._number_after()):
            if self._shelf.get(self._name(number)) is None:
                self._shelf.put(self._name(number), self._key, [], {"lost": "the answers that stood here are damaged, or gone"})


def _failed(row: Mapping[str, Any]) -> bool:
    return row.get("error") is not None
