from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.strategies.blocks import Block, Blocks, first_block


def sizes(blocks: Blocks, slots: int) -> list[int]:
    found = {blocks.at(slot) for slot in range(slots)}
    return [(block.end or 0) - block.start for block in sorted(found, key=lambda block: block.index)]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (Blocks(1), [1, 1, 2, 4, 8]),  # each as many as all before: doubling
        (Blocks(8), [8, 8]),
        (Blocks(4, growth=0.5), [4, 4, 4, 6]),
        (Blocks(3, growth=0), [3, 3, 3, 3, 3, 3]),
        (Blocks(1, most=4), [1, 1, 2, 4, 4, 4]),
        (Blocks(20, most=4), [4, 4, 4, 4]),
    ],
)
def test_sizes_by_hand(blocks: Blocks, expected: list[int]) -> None:
    assert sizes(blocks, 16) == expected


def test_without_feedback_there_is_one_block() -> None:
    assert Blocks(None).at(0) == Blocks(None).at(10**9) == Block(0, 0, None)


@given(st.integers(1, 40), st.floats(0, 3), st.none() | st.integers(1, 30), st.integers(0, 4000))
def test_blocks_follow_each_other_without_a_gap(first: int, growth: float, most: int | None, slot: int) -> None:
    blocks = Blocks(first, growth, most)
    block = blocks.at(slot)
    assert block.end is not None
    assert block.start <= slot < block.end
    assert blocks.at(block.start) == blocks.at(block.end - 1) == block
    after = blocks.at(block.end)
    assert (after.index, after.start) == (block.index + 1, block.end)


@pytest.mark.parametrize(("names", "expected"), [(1, 20), (2, 16), (4, 8), (6, 6), (31, 2), (32, 1), (150, 1)])
def test_first_blocks_share_32_requests(names: int, expected: int) -> None:
    assert first_block(names) == expected
