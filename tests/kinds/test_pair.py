"""Sentence pairs, on made-up ones and on RTE."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from variegate.config import load_task
from variegate.kinds import kind_of
from variegate.kinds.classification import Classification
from variegate.kinds.pair import Pair, PairTask
from variegate.records import Target
from variegate.store.export import columns_of

LABEL = {"phrase": "p", "description": "d"}
TASK = {
    "kind": "pair",
    "name": "nli",
    "text_type": "hypothesis",
    "context": "You annotate.",
    "labels": {"yes": LABEL, "no": LABEL},
    "data": {"train": "train.jsonl"},
}


def test_one_side_is_given_and_the_other_written() -> None:
    kind = kind_of(PairTask.model_validate(TASK))
    fields = kind.fields(["It rains.", "It is wet."], "yes")
    assert fields == {"premise": "It rains.", "hypothesis": "It is wet.", "label": "yes"}
    assert list(kind.columns) == list(fields)
    target = kind.target(fields)
    assert target == Target(("yes",), {"premise": "It rains."})
    assert target.name == "yes"
    assert kind.assemble(target, "It is wet.") == fields
    assert kind.texts(fields) == ("It rains.", "It is wet.")
    assert kind.embed(fields) == "It rains.\nIt is wet."
    assert kind.show(fields) == "premise: It rains.\nhypothesis: It is wet."
    assert kind.gold(fields) == "yes"


def test_the_first_side_can_be_the_written_one() -> None:
    kind = kind_of({**TASK, "first": "question", "second": "answer", "written": "question"})
    fields = kind.fields(["Who?", "Me."], "yes")
    assert kind.target(fields) == Target(("yes",), {"answer": "Me."})
    assert list(kind.assemble(kind.target(fields), "Who?")) == ["question", "answer", "label"]
    assert kind.texts(fields) == ("Who?", "Me.")


def test_both_texts_are_compared() -> None:
    kind = Pair(("a", "b"), "b", ("a", "b"))
    one, other = ({"a": "x", "b": "y", "label": "l"}, {"a": "x", "b": "z", "label": "l"})
    assert kind.equal(one) != kind.equal(other)
    assert kind.equal(one) != kind.equal({"a": "z", "b": "y", "label": "l"})
    assert kind.equal(one) == kind.equal({**one, "label": "other"})


def test_what_can_be_given_stands_once_and_in_order() -> None:
    kind = Pair(("a", "b"), "b", ("a", "b"))
    rows = [kind.fields(texts, "l") for texts in (["X", "1"], ["y", "2"], [" x ", "3"], ["Y", "4"], ["z", "5"])]
    assert kind.givens(rows) == [{"a": "X"}, {"a": "y"}, {"a": "z"}]
    assert kind.givens([]) == []


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"first": "id"}, "every record has a column 'id' already"),
        ({"second": "round"}, "every record has a column 'round' already"),
        ({"first": "hypothesis"}, "first and second are both 'hypothesis'"),
        ({"written": "text"}, "written: 'text': expected one of the pair's two, premise or hypothesis"),
        ({"first": "a b"}, "'a b' cannot be a column of a record"),
        ({"data": None}, "valid dictionary"),
        ({"data": {"test": "x"}}, "data.train: a file of real pairs"),
        ({"data": {"train": "x", "text_field": "premise"}}, "Extra inputs"),
        ({"labels": {}}, "at least 1"),
    ],
)
def test_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        PairTask.model_validate({**TASK, **fields})


def test_no_name_of_a_side_is_one_that_exports_use() -> None:
    for name in {*columns_of(Classification.of({}), curated=True)} - {"text"}:
        with pytest.raises(ValidationError, match="has a column"):
            PairTask.model_validate({**TASK, "first": name})


def test_the_bundled_task() -> None:
    kind = kind_of(load_task("rte"))
    assert (kind.text_fields, kind.written) == (("premise", "hypothesis"), "hypothesis")
