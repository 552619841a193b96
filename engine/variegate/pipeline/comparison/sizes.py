"""On how many texts a study's cells are compared, and which of them makes those few. Knows counts; reads and draws no text."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

_FEW = 0.8  # of the median cell's texts


def size_of(asked: int | None, counts: Mapping[str, int]) -> dict[str, Any]:
    """{n, rule, cell}: texts that every cell is compared on, why so many, and the cell that has no more (None: as asked, or all have as many).

    counts: cell -> texts that could be compared. n is 0 where there is none.
    """
    if asked is not None:
        return {"n": asked, "rule": "as asked", "cell": None}
    if not counts:
        return {"n": 0, "rule": "no cell is left", "cell": None}
    fewest = min(counts, key=lambda cell: counts[cell])
    if max(counts.values()) == counts[fewest]:
        return {"n": counts[fewest], "rule": "as many as every cell has", "cell": None}
    return {"n": counts[fewest], "rule": f"as many as {fewest} has, the smallest cell", "cell": fewest}


def notes_on_size(size: Mapping[str, Any], counts: Mapping[str, int], *, expected: bool = False) -> list[str]:
    """What is lost by it. expected: the counts are not certain yet."""
    will, n = ("will be" if expected else "are"), size["n"]
    if size["cell"] is not None and n < _FEW * (median := statistics.median(counts.values())):
        return [f"all cells {will} compared on {n:,} texts, as many as {size['cell']} has; the median cell has {median:,.0f}: `train_size` sets another number"]  # fmt: skip
    short = [f"{cell} ({count:,})" for cell, count in counts.items() if count < n]
    if expected and short:
        return [f"train_size {n:,} is more than these cells have: {', '.join(short)}: their measures will not be at equal size"]
    return []


def expected_size(asked: int | None, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    """(size, notes) by the rows of `places.describe`, before anything is made."""
    counts = {row["id"]: row["texts"] for row in rows}
    size = size_of(asked, counts)
    return size, notes_on_size(size, counts, expected=True)
