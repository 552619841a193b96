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
    logs = {(): {a: math.log(0.5), d: math.log(0.25)}, (a,): {b: math.log(0.2), c: math.log(0.6)}}
    for constrained, expected in ((False, [0.1, 0.3, 0.25]), (True, [2 / 3 / 4, 2 / 3 * 3 / 4, 1 / 3])):
        trie = ChoiceTrie([(a, b), (a, c), (d,)], END, constrained=constrained)
        assert list(trie.forks) == [(), (a,)]
        assert [math.exp(total) for total in trie.totals(logs)] == pytest.approx(expected)


def test_a_choice_that_begins_another_is_closed_by_the_end_token() -> None:
    trie = ChoiceTrie([(1,), (1, 2)], END, constrained=True)
    assert trie.paths == [(1, END), (1, 2)]
    assert list(trie.forks) == [(1,)]  # the first token decides nothing
    assert list(ChoiceTrie([(1,), (1, 2)], END, constrained=False).forks) == [(), (1,)]
    with pytest.raises(UsageError, match="no end-of-sequence"):
        ChoiceTrie([(1,), (1, 2)], None, constrained=True)


@pytest.mark.parametrize("choices", [[(1,), (1,)], [(1,), ()]])
def test_wrong_choices(choices: list[tuple[int, ...]]) -> None:
    with pytest.raises(UsageError):
        ChoiceTrie(choices, END, constrained=True)


@given(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True))
def test_sums_are_chain_products_and_constrained_ones_a_distribution(choices: list[tuple[int, ...]]) -> None:
    for constrained in (False, True):
        trie = ChoiceTrie(choices, END, constrained=constrained)
        logs = {node: {token: model(node)[token] for token in trie.children[node]} for node in trie.forks}
        totals = trie.totals(logs)
        assert trie.open(logs, 0.0) == []
        if constrained:
            assert sum(map(math.exp, totals)) == pytest.approx(1)
            assert len(trie.forks) < max(2, len(choices))  # one step for each branching at most
            continue
        for choice, total in zip(choices, totals, strict=True):
            closed = (*choice, END) if any(other != choice and other[: len(choice)] == choice for other in choices) else choice
            assert total == pytest.approx(sum(model(closed[:place])[token] for place, token in enumerate(closed)))


def test_descent_worked_by_hand() -> None:
    """a b c d, a b c e, a f, g: branchings at the root, after a and after a b c."""
    a, b, c, d, e, f, g = range(1, 8)
    choices = [(a, b, c, d), (a, b, c, e), (a, f), (g,)]
    trie = ChoiceTrie(choices, END, constrained=True)
    down = trie.descent(())
    assert set(down.tokens) == {a, g, b, f, d, e}
    assert set(down.allowed) == {a, g, b, f, c, d, e}
    assert set(down.stop) == {g, f, d, e}
    assert down.steps == 4
    assert trie.descent((a, b, c)).steps == 1
    mixed = ChoiceTrie([(a, b), (a, c), (b, d), (b, e)], END, constrained=True)
    assert set(mixed.descent(()).stop) == {c, d, e}  # b may come first or last
    whole = ChoiceTrie(choices, END, constrained=False).descent(())
    assert set(whole.tokens) == {a, g, b, f, c, d, e}  # c too has a probability of its own
    assert whole.steps == 4


def test_what_is_left_to_ask_constrained() -> None:
    a, b, c, d, e, f, g = range(1, 8)
    trie = ChoiceTrie([(a, b, c, d), (a, b, c, e), (a, f), (g,)], END, constrained=True)
    logs: dict[tuple[int, ...], dict[int, float]] = {(): {a: math.log(0.6), g: math.log(0.2)}}  # a: 0.75 of the two
    assert trie.open({}, 1.0) == [()]
    assert trie.open(logs, 1.0) == [(a,)]  # 0.75 may hold a better choice than g with 0.25
    logs[a,] = {b: math.log(0.1), f: math.log(0.3)}  # f: 0.5625, b: 0.1875
    assert trie.open(logs, 1.0) == []
    assert trie.open(logs, 0.19) == []
    assert trie.open(logs, 0.18) == trie.open(logs, 0.0) == [(a, b, c)]
    assert [math.exp(total) for total in trie.totals(logs)] == pytest.approx([0.09375, 0.09375, 0.5625, 0.25])


def test_what_is_left_to_ask_whole() -> None:
    """a b, c d e: P(a) = .3, P(c) = .2; then P(b|a) = .5 decides a b with .15, and c with .2 may still be better."""
    a, b, c, d, e = range(1, 6)
    trie = ChoiceTrie([(a, b), (c, d, e)], END, constrained=False)
    logs: dict[tuple[int, ...], dict[int, float]] = {(): {a: math.log(0.3), c: math.log(0.2)}}
    assert trie.open({}, 1.0) == [()]
    assert trie.open(logs, 1.0) == [(a,)]  # nothing is decided: the most probable first
    logs[a,] = {b: math.log(0.5)}
    assert trie.open(logs, 1.0) == [(c,)]
    logs[c,] = {d: math.log(0.1)}  # 0.02 at most
    assert trie.open(logs, 1.0) == trie.open(logs, 0.2) == []
    assert trie.open(logs, 0.1) == trie.open(logs, 0.0) == [(c, d)]
    assert [math.exp(total) for total in trie.totals(logs)] == pytest.approx([0.15, 0.02])
