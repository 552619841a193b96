"""The suppression table against hand-worked cases (METHODS section 8) and identities."""

from __future__ import annotations

import json
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.suppression import as_dense
from variegate.inference.suppression.table import SuppressionTable, exempt_token_ids

NUM_TOKENS = 20
TOKENS = st.lists(st.integers(0, 19), max_size=60)


def make_table(
    num_tokens: int = NUM_TOKENS, top_k: int | None = None, exempt: frozenset[int] = frozenset(), **other: float
) -> SuppressionTable:
    return SuppressionTable(num_tokens, top_k=top_k, floor=other.get("floor", -7.5), scale=other.get("scale", -7.5), exempt=exempt)


def bias_of(table: SuppressionTable, group: str = "run") -> np.ndarray:
    return as_dense(table.row(group), table.num_tokens)


def test_shares_of_two_one_and_a_fifth_of_a_percent() -> None:
    table = make_table(1000, top_k=100)
    table.add("run", [0] * 20 + [1] * 10 + [2] * 2)
    table.add("run", list(range(4, 972)))  # 968 tokens of 0.1 % each: 1,000 in all; token 3 never
    bias = bias_of(table)
    assert bias.dtype == np.float32
    assert bias[:4].tolist() == [-7.5, -7.5, -1.5, 0.0]
    assert bias[4] == np.float32(-0.75)
    assert np.count_nonzero(bias) == 100  # three above, and the 97 lowest ids of the tied ones
    assert np.flatnonzero(bias).tolist() == [0, 1, 2, *range(4, 101)]


def test_the_cut_among_ties_takes_the_lower_ids_whatever_the_order() -> None:
    tokens = [5, 3, 9, 3, 7, 5, 1]
    for seed in range(10):
        table = make_table(top_k=3)
        table.add("run", random.Random(seed).sample(tokens, len(tokens)))
        assert np.flatnonzero(bias_of(table)).tolist() == [1, 3, 5]  # 3 and 5 twice each, then 1 before 7 and 9


def test_exempt_tokens_are_untouched_count_in_the_sum_and_take_no_place() -> None:
    tokens = [0] * 500 + [1] * 490 + [2] * 8 + [3] * 2
    table = make_table(top_k=2, exempt=frozenset({0, 7}))
    table.add("run", tokens)
    assert bias_of(table)[:4].tolist() == [0.0, -7.5, -6.0, 0.0]  # 0.8 % of all 1,000; token 3 is third
    everything = make_table(top_k=2)
    everything.add("run", tokens)
    assert bias_of(everything)[:4].tolist() == [-7.5, -7.5, 0.0, 0.0]


def test_groups_are_apart_and_an_unknown_one_has_no_bias() -> None:
    table = make_table()
    table.add("b", [1, 1])
    table.add("a", [2])
    table.add("empty", [])
    assert table.groups() == ["a", "b", "empty"]
    assert table.row("a").token_ids.tolist() == [2]
    assert table.row("b").token_ids.tolist() == [1]
    assert table.row("empty").digest == table.row("never seen").digest == ""
    assert "never seen" not in table.groups()


def test_rows_go_by_their_digests_and_equal_ones_are_one() -> None:
    table = make_table()
    for group, tokens in {"a": [1], "b": [1, 1], "c": [2], "empty": []}.items():
        table.add(group, tokens)
    rows = table.rows()
    assert sorted(rows) == sorted({table.row("a").digest, table.row("c").digest})
    assert table.row("a") == table.row("b") != table.row("c")
    assert all(row.digest == digest for digest, row in rows.items())


def test_a_row_is_made_once_until_its_group_is_added_to() -> None:
    table = make_table()
    table.add("a", [1])
    table.add("b", [2])
    a, b = table.row("a"), table.row("b")
    table.add("a", [3])
    assert table.row("b") is b
    assert table.row("a").token_ids.tolist() == [1, 3]
    assert a.token_ids.tolist() == [1]


def test_only_a_bias_other_than_0_is_in_a_row() -> None:
    for other in ({"scale": 0.0}, {"floor": 0.0}, {"scale": -1e-60}):  # the last is 0 as float32
        table = make_table(**other)
        table.add("run", [1, 2, 2])
        assert (len(table.row("run")), table.row("run").digest, table.rows()) == (0, "", {})
    exempt = make_table(exempt=frozenset({1}))
    exempt.add("run", [1, 1])
    assert exempt.row("run").digest == ""


def test_top_reports_exempt_tokens_too() -> None:
    table = make_table(exempt=frozenset({4}))
    table.add("run", [4, 4, 2, 4])
    assert table.top("run", 10) == [(4, 75.0, 0.0), (2, 25.0, -7.5)]
    assert table.top("run", 1) == [(4, 75.0, 0.0)]
    assert table.top("other", 5) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_tokens": 0}, "num_tokens"),
        ({"top_k": 0}, "top_k"),
        ({"floor": 1.0}, "floor"),
        ({"scale": float("nan")}, "scale"),
        ({"exempt": frozenset({20})}, "exempt: token id 20"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_table(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("tokens", [[20], [3, -1]])
def test_a_token_outside_the_vocabulary_changes_nothing(tokens: list[int]) -> None:
    table = make_table()
    with pytest.raises(ValueError, match="outside the vocabulary"):
        table.add("run", tokens)
    assert table.groups() == []
    table.add("run", [3])
    assert table.state == {"run": {"token_ids": [3], "counts": [1]}}


@given(tokens=TOKENS, top_k=st.none() | st.integers(1, 25), exempt=st.frozensets(st.integers(0, 19), max_size=5), data=st.data())
@settings(max_examples=150, deadline=None)
def test_properties(tokens: list[int], top_k: int | None, exempt: frozenset[int], data: st.DataObject) -> None:
    floor = data.draw(st.floats(-20, 0))
    scale = data.draw(st.floats(-20, 0))
    table = make_table(top_k=top_k, exempt=exempt, floor=floor, scale=scale)
    table.add("run", tokens)
    bias = bias_of(table)
    assert (bias >= np.float32(floor)).all()
    assert (bias <= 0).all()
    assert not np.signbit(bias[bias == 0]).any()
    assert not bias[sorted(exempt)].any()

    # The definition, written with dictionaries.
    counts = Counter(tokens)
    allowed = sorted((token for token in counts if token not in exempt), key=lambda token: (-counts[token], token))[:top_k]
    expected = [max(floor, scale * 100.0 * counts[t] / len(tokens)) if t in allowed else 0.0 for t in range(20)]
    np.testing.assert_allclose(bias, expected, rtol=1e-6, atol=1e-30)

    shuffled = make_table(top_k=top_k, exempt=exempt, floor=floor, scale=scale)
    cut = data.draw(st.integers(0, len(tokens)))
    permuted = data.draw(st.permutations(tokens))
    shuffled.add("run", permuted[:cut])
    shuffled.add("run", permuted[cut:])
    assert np.array_equal(bias_of(shuffled), bias)
    assert shuffled.row("run") == table.row("run")


@given(tokens=st.lists(st.tuples(st.sampled_from("abc"), TOKENS), max_size=8), top_k=st.none() | st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_a_table_goes_on_from_its_state_as_if_it_had_never_stopped(tokens: list[tuple[str, list[int]]], top_k: int | None) -> None:
    """The state goes through JSON after every step, and counts are the definition's."""
    table = make_table(top_k=top_k, exempt=frozenset({4}))
    counts: dict[str, Counter[int]] = {}
    for group, ids in tokens:
        table.add(group, ids)
        counts.setdefault(group, Counter()).update(ids)
        taken = make_table(top_k=top_k, exempt=frozenset({4}))
        taken.state = json.loads(json.dumps(table.state))
        assert taken.rows() == table.rows()
        assert taken.groups() == table.groups() == sorted(counts)
        table = taken
    assert table.state == {
        group: {"token_ids": sorted(each), "counts": [each[token] for token in sorted(each)]} for group, each in counts.items()
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_ids": [2, 1], "counts": [1, 1]},
        {"token_ids": [1, 1], "counts": [1, 1]},
        {"token_ids": [-1], "counts": [1]},
        {"token_ids": [20], "counts": [1]},
        {"token_ids": [1], "counts": [0]},
        {"token_ids": [1], "counts": [1, 1]},
        {"token_ids": [[1]], "counts": [[1]]},
    ],
)
def test_a_wrong_state_is_refused_and_changes_nothing(wrong: dict[str, list[int]]) -> None:
    table = make_table()
    table.add("run", [1])
    before = table.row("run")
    with pytest.raises(ValueError, match=r"state of group 'b': expected token_ids that ascend within \[0, 20\)"):
        table.state = {"a": {"token_ids": [2], "counts": [1]}, "b": wrong}
    assert (table.row("run"), table.groups()) == (before, ["run"])


VOCABULARY = ["<s>", "</s>", "a", '"', ' "', "\u201cthe", "\n", "END", " of", "###", "b\r", " list", "x###y", "'", "."]


def encode(text: str) -> list[int]:
    ids = []
    while text:
        token = max((i for i, piece in enumerate(VOCABULARY) if text.startswith(piece)), key=lambda i: len(VOCABULARY[i]))
        ids.append(token)
        text = text[len(VOCABULARY[token]) :]
    return ids


def test_exempt_tokens() -> None:
    def exempt(stop: list[str], extra: list[str], terminators: bool = True) -> set[str]:
        found = exempt_token_ids(VOCABULARY.__getitem__, len(VOCABULARY), stop, extra, [0, 1, 999], encode, terminators=terminators)
        return {VOCABULARY[token] for token in found}

    always = {"<s>", "</s>", '"', ' "', "\u201cthe", "\n", "b\r"}
    assert exempt([], []) == always
    assert exempt(['"'], ["a."]) == always | {"a", "."}
    assert exempt(["###"], []) == always | {"###", "x###y"}
    assert exempt(["END of list"], []) == always | {"END", " of", " list"}  # no token contains it: its own tokens
    assert exempt(["###"], ["a"], terminators=False) == {"a"}
    with pytest.raises(ValueError, match="empty string"):
        exempt([""], [])


def test_a_thin_table_counts_as_one_of_min_tokens() -> None:
    """By hand: two of 4 tokens are 2 % of 100, at -7.5 each percent; with 200 tokens in it the table is as without."""
    table = SuppressionTable(50, top_k=None, floor=-30.0, scale=-7.5, exempt=frozenset(), min_tokens=100)
    table.add("g", [1, 1, 2, 3])
    assert dict(zip(table.row("g").token_ids.tolist(), table.row("g").biases.tolist(), strict=True)) == {1: -15.0, 2: -7.5, 3: -7.5}
    plain = SuppressionTable(50, top_k=None, floor=-30.0, scale=-7.5, exempt=frozenset())
    for each in (table, plain):
        each.add("g", list(range(50)) * 4)
    plain.add("g", [1, 1, 2, 3])
    assert table.row("g").digest == plain.row("g").digest
