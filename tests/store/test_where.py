from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.quiz import make_quiz, quiz_engine
from variegate.errors import UsageError
from variegate.pipeline.generate import generate
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.store.where import Condition

ROW = {"alpha": 0.8, "slot": 3, "partner": "number", "bias": None}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("where")
    generate(make_quiz(place / "run", place / "data"), start=lambda _: quiz_engine(lent=True))
    return place / "run"


@pytest.mark.parametrize(
    ("text", "holds"),
    [("alpha<0.8", False), ("alpha <= 0.80", True), ("alpha>0.5", True), ("alpha>=0.9", False), ("alpha=.8", True), ("alpha!=0.8", False),
     ("slot=3", True), ("partner=number", True), ("partner != number", False), ("bias=None", True), ("partner=a=b", False)],
)  # fmt: skip
def test_numbers_are_compared_as_numbers_and_all_else_as_text(text: str, holds: bool) -> None:
    assert Condition.parse(text).holds(ROW, "row 1") is holds


@pytest.mark.parametrize("text", ["", "alpha", "=3", "alpha=", "alpha ~ 3", "a b=3"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UsageError, match=r"expected FIELD=VALUE, or one of <=, >=, !=, <, >, = for the ="):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [("alfa<1", "row 7: no field 'alfa'; did you mean 'alpha'? Fields here: alpha, slot, partner, bias"), ("alpha<high", "alpha is a number there, 0.8: give a number"),
     ("partner<z", "partner is no number there but 'number': only = and != apply")],
)  # fmt: skip
def test_what_cannot_be_compared(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Condition.parse(text).holds(ROW, "row 7")
    assert said in str(caught.value)


def test_names_are_names_of_folders() -> None:
    assert [Condition.parse(text).name for text in ("alpha<0.8", "partner=a/b c")] == ["alpha-below-0.8", "partner-is-a_b_c"]


def test_a_part_of_a_run_is_read(folder: Path) -> None:
    alphas = {record.id: record.origin["facts"]["alpha"] for record in RunFolder(folder).records()}
    low, high = (read_texts(folder, where=(Condition.parse(text),)) for text in ("alpha<0.85", "alpha>=0.85"))
    assert set(low.ids) == {id for id, alpha in alphas.items() if alpha < 0.85}
    assert {*low.ids, *high.ids} == set(alphas)
    assert low.source == f"{folder}, where alpha<0.85"
    both = read_texts(folder, where=tuple(map(Condition.parse, ("alpha<0.85", "label=apple"))))
    assert set(both.labels or ()) == {"apple"}
    with pytest.raises(UsageError, match="where alpha>2: holds no record"):
        read_texts(folder, where=(Condition.parse("alpha>2"),))


def test_what_a_strategy_noted_can_be_the_label(folder: Path) -> None:
    labels = read_texts(folder, label_field="alpha").labels
    assert labels is not None
    assert {f"{record.origin['facts']['alpha']:g}" for record in RunFolder(folder).records()} == set(labels)
    assert set(read_texts(folder, label_field="partner").labels or ()) <= {"apple", "bread", "cheese", "date", "egg", "fig"}


def test_only_a_run_folder_knows_how_its_texts_were_made(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "alpha": 1}\n')
    where: Any = (Condition.parse("alpha=1"),)
    with pytest.raises(UsageError, match="is no run folder, whose records say how they were made: leave --where out"):
        read_texts(tmp_path / "a.jsonl", where=where)
