"""Where blocks begin and end among the slots of a name: what is asked under one state. Pure.

The ends depend on slots alone, never on how many were asked for or kept: a request that is made later (for a dropped text, or
since a target was raised) belongs to the block of its slot and is made under what was known where that block began. So it
has the key that it would have had the first time, and nothing is made twice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIRST_OF_RUN = 32  # requests of all names in the first blocks together
LARGEST_FIRST = 20  # of one name


@dataclass(frozen=True, slots=True)
class Block:
    index: int
    start: int  # its first slot
    end: int | None  # the slot after its last; None: it has no end


@dataclass(frozen=True, slots=True)
class Blocks:
    """first: slots of the first block; None: one block for all. growth: of a later one, times the slots before it. most: of any."""

    first: int | None
    growth: float = 1.0
    most: int | None = None

    def at(self, slot: int) -> Block:
        """The block that holds `slot`."""
        if self.first is None:
            return Block(0, 0, None)
        index = start = 0
        while True:
            size = self._size(start)
            if slot < start + size:
                return Block(index, start, start + size)
            if self.growth == 0 or size == self.most:  # all later ones are as large
                whole = (slot - start) // size
                return Block(index + whole, start + whole * size, start + (whole + 1) * size)
            index, start = index + 1, start + size

    def _size(self, before: int) -> int:
        assert self.first is not None  # noqa: S101  # `at` asked
        size = max(self.first, math.floor(before * self.growth))
        return size if self.most is None else min(size, self.most)


def first_block(names: int) -> int:
    """Slots of a name's first block where `names` are asked together."""
    return min(max(math.ceil(FIRST_OF_RUN / names), 1), LARGEST_FIRST)
