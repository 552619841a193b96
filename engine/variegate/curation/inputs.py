"""Checks of what a stage is given besides its items: vectors that belong to them, judgements that do. Computes nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.curation.judging import Items
from variegate.errors import UsageError, nearest, some_of
from variegate.proportions import wilson

BLOCK_ROWS = 4096  # of vectors at once


def check_vectors(items: Items, vectors: Float[np.ndarray, "n d"], what: str = "vectors") -> None:
    """Raises UsageError unless there is one finite vector for each item. Reads them in blocks: they may be mapped from disk."""
    if vectors.ndim != 2 or len(vectors) != len(items):
        raise UsageError(f"{what}: got an array of shape {vectors.shape}, expected one vector for each of {len(items)} items")
    for start, block in blocks(vectors):
        bad = np.flatnonzero(~np.isfinite(block).all(axis=1))
        if len(bad):
            place = start + int(bad[0])
            raise UsageError(f"{what}: the vector of item {items.ids[place]!r} is not finite: encode its text again, or leave it out")


def check_labels(found: Sequence[str], known: Sequence[str], what: str) -> None:
    """Raises UsageError naming the first label that is not of the task."""
    unknown = sorted(set(found) - set(known))
    if unknown:
        also = f" (and {len(unknown) - 1} more unknown labels)" if len(unknown) > 1 else ""
        raise UsageError(
            f"{what}: the label {unknown[0]!r}{also} is none of the task's {len(known)}: {some_of(sorted(known))}{nearest(unknown[0], known)}"
        )


def places_of(items: Items, judged: Mapping[str, Any]) -> tuple[list[int], int]:
    """(the places of the items that were judged, in order; how many judgements are of no item here)."""
    places = [place for place, id_ in enumerate(items.ids) if id_ in judged]
    return places, len(judged) - len(places)


def blocks(vectors: Float[np.ndarray, "n d"], rows: int = BLOCK_ROWS) -> Iterator[tuple[int, Float[np.ndarray, "b d"]]]:
    for start in range(0, len(vectors), rows):
        yield start, np.asarray(vectors[start : start + rows])


def share(count: int, of: int) -> dict[str, Any]:
    """A proportion as facts hold it: its value, Wilson's 95 % interval and n. The value of nothing is None."""
    if of == 0:
        return {"value": None, "ci95": None, "n": 0}
    return {"value": count / of, "ci95": list(wilson(count, of)), "n": of}


def many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
