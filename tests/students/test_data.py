from __future__ import annotations

from pathlib import Path

import pytest
from planted import planted

from variegate.errors import UsageError
from variegate.folding import fold
from variegate.store.texts import TextSet, read_texts
from variegate.students import LabelledTexts, check_disjoint, check_labels, split_off, without_overlap
from variegate.students.data import same_form, split_pairs


def of(texts: list[str], labels: list[str] | None = None, source: str = "train.jsonl", pairs: bool = False) -> LabelledTexts:
    labels = labels or ["a"] * len(texts)
    return LabelledTexts(tuple(texts), tuple(labels), tuple(f"line {n + 1}" for n in range(len(texts))), source, pairs)


def test_what_was_read_becomes_labelled_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "a"}\n{"text": "y", "label": "b", "id": "why"}\n')
    assert LabelledTexts.of(read_texts(path)) == LabelledTexts(("x", "y"), ("a", "b"), ("line 1", "why"), str(path), pairs=False)
    path.write_text('{"premise": "one\\ntwo", "hypothesis": "three", "label": "a"}\n')
    pair = LabelledTexts.of(read_texts(path))
    assert pair.pairs
    assert split_pairs(pair.texts) == (["one two"], ["three"])  # a line end inside a part would have made three


def test_texts_and_labels_are_needed() -> None:
    with pytest.raises(UsageError, match=r"v\.npy: holds vectors without texts"):
        LabelledTexts.of(TextSet("v.npy", None, None, ("row 1",)))
    with pytest.raises(UsageError, match=r"a\.txt: holds no labels.*--label-field"):
        LabelledTexts.of(TextSet("a.txt", ("x",), None, ("line 1",)))


def test_take_and_leave_out() -> None:
    found = of(["x", "y", "z"], ["a", "b", "a"])
    assert found.take([2, 0]).texts == ("z", "x")
    assert found.without_labels({"a"}) == of(["x", "y"], ["a", "b"]).take([1])
    assert found.label_counts == {"a": 2, "b": 1}


def test_pairs_have_two_parts() -> None:
    with pytest.raises(UsageError, match=r"'one' has 1 part, and this student reads pairs"):
        split_pairs(["a\nb", "one"])
    with pytest.raises(UsageError, match="has 3 parts"):
        split_pairs(["a\nb\nc"])
    with pytest.raises(UsageError, match="reads pairs"):
        split_pairs(["a\n "])


def test_one_set_of_pairs_makes_all_pairs() -> None:
    single, pair = of(["x\ny"]), of(["p\nq"], source="test.jsonl", pairs=True)
    train, dev, test = same_form(single, None, pair)
    assert train is not None
    assert train.pairs
    assert dev is None
    assert test == pair
    assert same_form(single, None, single) == [single, None, single]
    with pytest.raises(UsageError, match=r"train\.jsonl: 'alone' has 1 part"):
        same_form(of(["alone"]), pair)


def test_an_overlap_is_named_with_both_places() -> None:
    train, test = of(["x", "Hello  World", "y", "X"]), of(["q", "hello world", "x"], source="test.jsonl")
    with pytest.raises(UsageError) as caught:
        check_disjoint(train, test, "test")
    message = str(caught.value)
    assert message.startswith("train.jsonl: line 1: 'x' stands in the test data too (test.jsonl: line 3). So do 2 more.")
    assert message.endswith("or have them left out with --drop-overlap")
    left, dropped = without_overlap(train, test)
    assert (left.texts, left.ids, dropped) == (("y",), ("line 3",), 3)
    check_disjoint(left, test, "test")


def test_a_long_text_is_cut_in_messages() -> None:
    long = of(["very " * 100])
    with pytest.raises(UsageError) as caught:
        check_disjoint(long, long, "dev")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_a_dev_split_takes_its_share_of_each_label(share: float) -> None:
    texts = planted(200, labels=("bird", "cat"))
    train, dev = split_off(texts, share, seed=3)
    assert len(train) + len(dev) == 200
    assert dev.label_counts == {"bird": round(100 * share), "cat": round(100 * share)}
    check_disjoint(train, dev, "dev")
    assert split_off(texts, share, seed=3)[1] == dev != split_off(texts, share, seed=4)[1]


def test_equal_texts_stay_together_and_each_label_keeps_one() -> None:
    texts = of([f"t{n // 2}" if n % 2 else f"T{n // 2}" for n in range(40)] + ["rare"], ["a"] * 40 + ["b"])
    for seed in range(20):
        train, dev = split_off(texts, 0.5, seed=seed)
        assert not set(map(fold, train.texts)) & set(map(fold, dev.texts))
        assert train.label_counts["b"] == 1
        assert len(dev) == 20
    with pytest.raises(UsageError, match="too few texts for a dev split of 10%"):
        split_off(texts.take([0, 40]), 0.1, seed=0)
    with pytest.raises(UsageError, match="between 0 and 1"):
        split_off(texts, 1.5, seed=0)


def test_unknown_labels_are_named_with_the_nearest() -> None:
    texts = of(["x", "y", "z"], ["joy", "angr", "q"], source="test.jsonl")
    with pytest.raises(UsageError) as caught:
        check_labels(texts, ["anger", "joy"], "the student's")
    assert str(caught.value).startswith(
        "test.jsonl: line 2: label 'angr' (1 texts) is not one of the student's 2; did you mean 'anger'? So are 'q'."
    )
    assert "--leave-out 'angr'" in str(caught.value)
    check_labels(texts, ["joy", "angr", "q", "more"], "the student's")
