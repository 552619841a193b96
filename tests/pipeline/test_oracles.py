"""When a student of real texts is called an oracle only with a warning."""

from __future__ import annotations

import pytest

from variegate.pipeline.oracles import doubt_of
from variegate.students.data import LabelledTexts


def real(number: int) -> LabelledTexts:
    return LabelledTexts(tuple(f"text {i}" for i in range(number)), ("a",) * number, tuple(map(str, range(number))), "real.csv")


@pytest.mark.parametrize(("number", "labels", "few"), [(20, 2, True), (49, 2, True), (50, 2, False), (384, 77, True), (385, 77, False)])
def test_few_texts_or_few_of_a_label_teach_no_oracle(number: int, labels: int, few: bool) -> None:
    assert (doubt_of(real(number), labels) is not None) == few


def test_it_says_how_few_and_how_often_it_errs() -> None:
    said = doubt_of(real(20), 4, 0.6125)
    assert said is not None
    assert said.startswith("the oracle is no oracle: it learnt 4 labels from 20 real texts alone, and is right in 61.3% of the test texts.")
    assert "real texts alone. Label accuracy" in str(doubt_of(real(20), 4))
