"""SQuAD's exact match and F1 against cases worked by hand from the paper's definition."""

from __future__ import annotations

import pytest

from variegate.metrics.squad import exact_match, f1


@pytest.mark.parametrize(
    ("said", "golds", "match", "score"),
    [
        ("the Eiffel Tower", ["Eiffel Tower"], 1, 1),  # articles do not count
        ("Eiffel tower!", ["eiffel Tower"], 1, 1),  # nor case and punctuation
        ("in 1889", ["1889"], 0, 2 / 3),  # precision 1/2, recall 1
        ("1889", ["in the year 1889"], 0, 1 / 2),  # precision 1, recall 1/3: of `in`, `year`, `1889`
        ("a b b", ["b b c"], 0, 4 / 5),  # `a` is an article: precision 1, recall 2/3
        ("red red", ["red"], 0, 2 / 3),  # counted as often as they stand there
        ("Lyon", ["Paris", "the city of Lyon", "Lyon."], 1, 1),  # the best of several
        ("Rome", ["Paris"], 0, 0),
        ("", ["Paris"], 0, 0),
        ("the", ["a"], 1, 1),  # nothing is left of either
        ("don't", ["dont"], 1, 1),
        ("anthem", ["them"], 0, 0),  # an article is a word, not a part of one
    ],
)  # fmt: skip
def test_hand_worked_cases(said: str, golds: list[str], match: int, score: float) -> None:
    assert exact_match(said, golds) == match
    assert f1(said, golds) == pytest.approx(score)
