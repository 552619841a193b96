"""Which of several things are best where two goals pull apart. Knows pairs of numbers, not what they measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from variegate.errors import UsageError


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points that no other beats: none is at least as large in both and larger in one. O(n log n).

    Both coordinates are to be large. Equal points stand or fall together. In order of the first coordinate, largest first.
    Raises UsageError for a coordinate that is not finite.
    """
    values = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise UsageError(f"point {place}: got {tuple(points[place])}, expected two finite numbers")
    front: list[int] = []
    for place in np.lexsort((-values[:, 1], -values[:, 0])).tolist():
        last = values[front[-1]] if front else None
        # Those before it are at least as large in the first; the last of the front is the largest of them in the second.
        if last is None or values[place, 1] > last[1] or (values[place] == last).all():
            front.append(place)
    return front
