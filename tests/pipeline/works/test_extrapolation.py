"""How texts for errors lie to them: copies at cosine 1 and no word apart, beside random pairs, and coverage that grows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pipeline.works.test_student import ANIMAL, MONEY, WEATHER, desk
from variegate.pipeline.works import DOERS
from variegate.pipeline.works.extrapolation import edit_distance


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("the cat sat", "the cat sat", 0),
        ("the cat sat", "the dog sat", 1),
        ("the cat sat", "cat sat down", 2),
        ("", "one two", 2),
        ("a b c d", "d c b a", 4),
    ],
)
def test_words_to_change_by_hand(a: str, b: str, distance: int) -> None:
    assert edit_distance(a.split(), b.split()) == edit_distance(b.split(), a.split()) == distance


@given(
    st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8), st.lists(st.sampled_from("abc"), max_size=8)
)
def test_it_is_a_distance(a: list[str], b: list[str], c: list[str]) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)
    assert abs(len(a) - len(b)) <= edit_distance(a, b) <= max(len(a), len(b))


def test_copies_and_others(tmp_path: Path) -> None:
    bench = desk(tmp_path, (ANIMAL, "animals"), (WEATHER, "weather"), (MONEY, "money"), select=())
    encoder = bench.config.strategy.model_dump(mode="json")["student"]["encoder"]

    def record(id: str, text: str, *error: str) -> list[Any]:
        return [id, {"text": text, "label": "animals"}, *error]

    args = {
        "seeds": [record("s", ANIMAL)],
        "more": [record("a", ANIMAL, "validation:0"), record("b", f"{WEATHER} again", "validation:1"), record("c", MONEY, "validation:2")],
        "encoder": encoder,
    }
    rows, facts = DOERS.find("extrapolation").do(bench, args)
    *pairs, last = [dict(row) for row in rows]
    assert [(pair["error"], pair["id"], pair["edit"], pair["words"]) for pair in pairs] == [
        ("validation:0", "a", 0, 4), ("validation:1", "b", 1, 5), ("validation:2", "c", 0, 4),
    ]  # fmt: skip
    assert pairs[0]["cosine"] == pytest.approx(1, abs=1e-4)
    assert all(pair["random_edit"] >= 4 for pair in pairs)
    assert facts["cosine"] > facts["random_cosine"]
    assert last["coverage"]["seeds"] < last["coverage"]["all"] <= 1
    assert [dict(row) for row in DOERS.find("extrapolation").do(bench, args)[0]] == [*pairs, last]


def test_one_error_alone_has_no_random_pair(tmp_path: Path) -> None:
    bench = desk(tmp_path, (ANIMAL, "animals"), (WEATHER, "weather"), select=())
    encoder = bench.config.strategy.model_dump(mode="json")["student"]["encoder"]
    more = [["a", {"text": MONEY, "label": "animals"}, "validation:0"]]
    rows, facts = DOERS.find("extrapolation").do(bench, {"seeds": more, "more": more, "encoder": encoder})
    assert "random_cosine" not in next(iter(rows))
    assert "random_cosine" not in facts
