"""The trie's sums, against chain products worked out token by token on a random Markov model."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.errors import UsageError
from variegate.inference.choices import ChoiceTrie

END = 0


def model(node: tuple[int, ...]) -> dict[int, float]:
    """Log-probabilities of tokens 0 to 5 after `node`: any fixed distribution will do."""
    rng = random.Random(repr(node))
    weights = [rng.random() + 0.01 for _ in range(6)]
    return {token: math.log(weight / sum(weights)) for token, weight in enumerate(weights)}


def test_worked_by_hand() -> None:
    """Choices ab, ac, d: P(a) = .5, P(d) = .25, P(b|a) = .2, P(c|a) = .6."""
    a, b, c, d = 1, 2, 3, 4
    trie = ChoiceTrie([(a, b), (a, c), (d,)], END)
    logs = {(): {a: math.log(0.5), d: math.log(0.25)}, (a,): {b: math.log(0.2), c: math.log(0.6)}}
    assert trie.nodes(constrained=False) == trie.nodes(constrained=True) == [(), (a,)]
    assert [math.exp(total) for total in trie.totals(logs, constrained=False)] == pytest.approx([0.1, 0.3, 0.25])
    assert [math.exp(total) for total in trie.totals(logs, constrained=True)] == pytest.approx([2 / 3 / 4, 2 / 3 * 3 / 4, 1 / 3])


def test_a_choice_that_begins_another_is_closed_by_the_end_token() -> None:
    trie = ChoiceTrie([(1,), (1, 2)], END)
    assert trie.paths == [(1, END), (1, 2)]
    assert trie.nodes(constrained=True) == [(1,)]  # the first token decides nothing
    with pytest.raises(UsageError, match="no end-of-sequence"):
        ChoiceTrie([(1,), (1, 2)], None)


@pytest.mark.parametrize("choices", [[(1,), (1,)], [(1,), ()]])
def test_wrong_choices(choices: list[tuple[int, ...]]) -> None:
    with pytest.raises(UsageError):
        ChoiceTrie(choices, END)


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True))
def test_sums_are_chain_products_and_constrained_ones_a_distribution(choices: list[tuple[int, ...]]) -> None:
    trie = ChoiceTrie(choices, END)
    for constrained in (False, True):
        logs = {node: {token: model(node)[token] for token in trie.children[node]} for node in trie.nodes(constrained=constrained)}
        totals = trie.totals(logs, constrained=constrained)
        if constrained:
            assert sum(map(math.exp, totals)) == pytest.approx(1)
            continue
        for choice, total in zip(choices, totals, strict=True):
            closed = (*choice, END) if any(other != choice and other[: len(choice)] == choice for other in choices) else choice
            assert total == pytest.approx(sum(model(closed[:place])[token] for place, token in enumerate(closed)))
    assert len(trie.nodes(constrained=True)) < max(2, len(choices))  # one step for each branching at most
