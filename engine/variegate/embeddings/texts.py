"""The texts to encode: checked, each distinct one once, and hashed. Knows nothing of models and vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, UInt64

from variegate.errors import UsageError


def find_distinct(texts: Sequence[str]) -> tuple[list[str], Int[np.ndarray, " n"]]:
    """The distinct texts in the order they come first, and the place of each text among them. Raises UsageError."""
    if isinstance(texts, str):
        raise UsageError("texts: expected a list of texts, got one text")
    places: dict[str, int] = {}
    inverse = np.empty(len(texts), dtype=np.int64)
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UsageError(f"texts[{index}]: expected a text, got {type(text).__name__}")
        if text not in places:
            if not text.strip():
                raise UsageError(f"texts[{index}] is empty or white space: leave such rows out, they have no meaning to encode")
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise UsageError(
                    f"texts[{index}] is not valid Unicode ({error.reason} at character {error.start}): repair or drop that row"
                ) from error
        inverse[index] = places.setdefault(text, len(places))
    if not places:
        raise UsageError("texts: expected at least one text, got none")
    return list(places), inverse


def hash_texts(texts: Sequence[str]) -> UInt64[np.ndarray, "n 2"]:
    """128 bits of BLAKE2b of each text's UTF-8."""
    data = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(data, dtype="<u8").reshape(-1, 2)
