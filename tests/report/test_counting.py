"""Counts against hand-worked cases and against plain, unbounded ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.kinds.classification import Classification
from variegate.report.counting import BoundedCounter, count, quantile, words_of
from variegate.store.rows import Row

Make = Callable[..., Row]
KIND = Classification.of({})


def test_words() -> None:
    assert words_of("I'm so, SO glad — it’s 3.5!") == ["i'm", "so", "so", "glad", "it’s", "3", "5"]
    assert words_of("…!") == []


def test_a_hand_worked_set(row: Make) -> None:
    texts = ["What is the time now", "what is the time", "What is new", "Hi"]
    rows = [row("joy" if slot < 2 else "fear", slot, text=text).to_json() for slot, text in enumerate(texts)]
    rows.append(row("joy", 9, outcome="duplicate", text="What is the time").to_json())
    counts = count(rows, KIND)
    assert counts.kept == 4
    assert counts.lengths == Counter({5: 1, 4: 1, 3: 1, 1: 1})
    assert counts.openings.top(9) == [("what is the", 2)]
    assert counts.labels["joy"].openings.top(9) == [("what is the", 2)]
    assert counts.labels["fear"].openings.top(9) == []  # none stands twice
    assert counts.ngrams[2].top(3) == [("what is", 3), ("is the", 2), ("the time", 2)]
    assert counts.ngrams[4].top(3) == [("what is the time", 2)]
    assert counts.ledger.to_json()["dropped"] == {"duplicate": 1}
    assert [each.text for each in counts.dropped_examples["duplicate"]] == ["What is the time"]
    assert counts.labels["joy"].num_words == 9


def test_a_sequence_counts_once_a_text(row: Make) -> None:
    assert count([row(text="ha ha ha ha ha").to_json()], KIND).ngrams[2].counts == {"ha ha": 1}


def test_few_examples_are_held_and_long_ones_cut(row: Make) -> None:
    counts = count((row(slot=slot, text="word " * 1000).to_json() for slot in range(50)), KIND)
    assert len(counts.labels["joy"].examples) == 5
    assert all(len(each.text) == 1200 and each.cut for each in counts.labels["joy"].examples)


@given(keys=st.lists(st.integers(0, 40).map(str), max_size=400), cap=st.integers(2, 20))
def test_a_bounded_count_is_never_too_high_and_at_most_slack_too_low(keys: list[str], cap: int) -> None:
    counter, true = BoundedCounter(cap), Counter(keys)
    for key in keys:
        counter.add(key)
        assert len(counter.counts) <= cap
    assert all(true[key] - counter.slack <= counter.counts.get(key, 0) <= true[key] for key in true)
    if len(true) <= cap:
        assert counter.counts == true
        assert counter.slack == 0


def test_a_frequent_key_outlives_a_flood_of_rare_ones() -> None:
    counter = BoundedCounter(cap=100)
    for index in range(20_000):
        counter.add("often" if index % 10 == 0 else f"rare {index}")
    (key, found), *_ = counter.top(1)
    assert key == "often"
    assert 2000 - counter.slack <= found <= 2000


def test_ties_are_in_alphabetical_order() -> None:
    counter = BoundedCounter(cap=10)
    for key in "bbaacc":
        counter.add(key)
    assert counter.top(2) == [("a", 2), ("b", 2)]


@given(values=st.lists(st.integers(0, 50), min_size=1), share=st.sampled_from([0.05, 0.25, 0.5, 0.75, 0.95, 1.0]))
def test_quantiles_are_numpys_inverted_cdf(values: list[int], share: float) -> None:
    assert quantile(Counter(values), share) == np.quantile(values, share, method="inverted_cdf")


def test_no_quantile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no length"):
        quantile(Counter(), 0.5)
