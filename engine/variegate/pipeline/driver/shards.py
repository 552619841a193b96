"""A round's requests, cut into what an engine is given at once. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from variegate.records import Request


def cut(requests: Sequence[Request], size: int) -> list[Sequence[Request]]:
    """Shards of `size` requests, in order.

    Cut from the whole round, what is known already among it, so that a shard's requests do not depend on what was made before.
    """
    return [requests[start : start + size] for start in range(0, len(requests), size)]
