from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from planted import planted

from variegate.errors import UsageError
from variegate.folding import fold
from variegate.kinds.text import Text
from variegate.store.texts import TextSet, read_texts
from variegate.students import LabelledTexts, check_disjoint, check_labels, split_off, without_overlap
from variegate.students.data import check_same_form, columns_of


def of(texts: Sequence[Text], labels: list[str] | None = None, source: str = "train.jsonl") -> LabelledTexts:
    labels = labels or ["a"] * len(texts)
    return LabelledTexts(tuple(texts), tuple(labels), tuple(f"line {n + 1}" for n in range(len(texts))), source)


def test_what_was_read_becomes_labelled_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "x", "label": "a"}\n{"text": "y", "label": "b", "id": "why"}\n')
    assert LabelledTexts.of(read_texts(path)) == LabelledTexts(("x", "y"), ("a", "b"), ("line 1", "why"), str(path))
    path.write_text('{"premise": "one\\ntwo", "hypothesis": "three", "label": "a"}\n')
    pair = LabelledTexts.of(read_texts(path))
    assert pair.pairs
    assert pair.texts == (("one\ntwo", "three"),)
    path.write_text('{"title": "one", "body": "two", "end": "three", "label": "a"}\n')
    whole = LabelledTexts.of(read_texts(path, text_field="title,body,end"))
    assert (whole.pairs, whole.texts) == (False, ("one\ntwo\nthree",))


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


def test_texts_are_read_in_the_form_of_the_student() -> None:
    assert columns_of([("a", "b"), ("c", "d")], pairs=True, source="x") == (["a", "c"], ["b", "d"])
    assert columns_of(["a", "b"], pairs=False, source="x") == (["a", "b"],)
    with pytest.raises(UsageError, match=r"^x: 'one' is no pair, and this student reads pairs: name two fields with --text-field"):
        columns_of([("a", "b"), "one"], pairs=True, source="x")
    with pytest.raises(UsageError, match=r"^x: 'a\\nb' is a pair, and this student reads single texts: name one field with --text-field"):
        columns_of([("a", "b")], pairs=False, source="x")
    with pytest.raises(UsageError, match="this student reads pairs"):
        columns_of([("a", "b", "c")], pairs=True, source="x")


def test_sets_of_two_forms_are_refused() -> None:
    single, pair = of(["x\ny"]), of([("p", "q")], source="test.jsonl")
    check_same_form(single, None, single)
    check_same_form(pair, pair, pair)
    with pytest.raises(UsageError, match=r"^test\.jsonl holds text pairs and train\.jsonl single texts"):
        check_same_form(single, None, pair)


def test_pairs_are_equal_where_both_texts_are() -> None:
    train, test = of([("a b", "c"), ("X", " y")]), of([("a", "b c"), ("x", "Y"), ("y", "x")], source="test.jsonl")
    left, dropped = without_overlap(train, test)
    assert (left.texts, dropped) == ((("a b", "c"),), 1)
    with pytest.raises(UsageError, match=r"line 2: 'X\\n y' stands in the test data too \(test\.jsonl: line 2\)"):
        check_disjoint(train, test, "test")


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
