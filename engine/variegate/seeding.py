"""Keys and seeds: everything random is derived from a run's seed and names, never from a global generator.

A request's key is a hash of all that changes its text, so a row can be found again after the config changed;
its sampling seed derives from the key, so how requests were batched never changes what is drawn.
"""

from __future__ import annotations

import hashlib
import random
from typing import Any

import orjson


def digest(value: Any, *, length: int = 16) -> str:
    """Hex digest of `value`'s canonical JSON (sorted keys); `length` hex digits, 4 bits each."""
    data = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(data).hexdigest()[:length]


def derive_seed(*parts: Any) -> int:
    """A seed in [0, 2^31 - 1) from any JSON-able parts (vLLM and numpy both accept that range)."""
    return int(digest(list(parts)), 16) % (2**31 - 1)


def derive_rng(*parts: Any) -> random.Random:
    """An independent generator for one named purpose, e.g. `derive_rng(seed, "examples", round, slot)`."""
    return random.Random(derive_seed(*parts))  # noqa: S311
