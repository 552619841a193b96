"""Which rows an engine holds, by digest, and their numbers on its device's table. The engine's end, on the host.

Knows nothing of devices, tokens' texts or how rows travel.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from variegate.errors import BackendError
from variegate.inference.suppression.sparse import SparseRow
from variegate.records import Request


class HeldRows:
    """Digest -> row number, from 1; number 0 suppresses nothing.

    `set` names the rows that requests may be made under from now on. A row that is held keeps its number, a new one gets
    the lowest that is free. One that is not named is given up, unless a request that is running was made under it: that
    one keeps its row until it is done, and is free at the next `set`. So the numbers never pass the most rows that were
    named and running at once.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._running: Counter[str] = Counter()  # digest -> requests under way

    def set(self, rows: Mapping[str, SparseRow], num_tokens: int, send: Callable[[dict[int, SparseRow]], None]) -> None:
        """send: brings rows to the device, by number; it is called with those that are new, where there are any.

        num_tokens: of the model. Raises BackendError for a row that is not called by its digest, or is not of this model.
        """
        for digest, row in rows.items():
            if not digest or row.digest != digest:
                raise BackendError(f"suppression row {digest!r}: its digest is {row.digest!r}: name each by it, and leave out empty ones")
            if row.token_ids[-1] >= num_tokens:
                raise BackendError(
                    f"suppression row {digest}: token {row.token_ids[-1]}, expected ids below {num_tokens}: count with this model's tokenizer"
                )
        numbers = {digest: number for digest, number in self._numbers.items() if digest in rows or self._running[digest]}
        taken = set(numbers.values())
        free = (number for number in range(1, len(rows) + len(numbers) + 1) if number not in taken)
        fresh = {digest: next(free) for digest in rows if digest not in numbers}
        if fresh:
            send({number: rows[digest] for digest, number in fresh.items()})
        self._numbers = numbers | fresh  # after they have arrived: an engine that failed at it holds what it held

    def number(self, request: Request) -> int:
        """Of the row that the request is made under. BackendError where it is not held."""
        if not request.bias:
            return 0
        if request.bias not in self._numbers:
            raise BackendError(
                f"request {request.key}: made under suppression row {request.bias}, which the engine does not hold (it holds "
                f"{len(self._numbers)}): name it in set_rows before sending the request"
            )
        return self._numbers[request.bias]

    @contextmanager
    def running(self, requests: Sequence[Request]) -> Iterator[None]:
        """The requests' rows stay as they are in the meantime. BackendError, before anything runs, where one is not held."""
        for request in requests:
            self.number(request)
        under = Counter(request.bias for request in requests if request.bias)
        self._running.update(under)
        try:
            yield
        finally:
            self._running -= under
