from __future__ import annotations

from typing import ClassVar

import pytest

from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig, SpanStudentConfig
from variegate.errors import UsageError
from variegate.kinds import KINDS
from variegate.kinds.classification import Classification
from variegate.pipeline.training.fit import check_fit

LINEAR = LinearStudentConfig(kind="logistic_regression")


class OfTags(Classification):
    name: ClassVar[str] = "tags"
    students: ClassVar[tuple[str, ...]] = ("finetune",)
    scores: ClassVar[tuple[str, ...]] = ("span_f1",)


class OfNothing(Classification):
    name: ClassVar[str] = "nothing"
    students: ClassVar[tuple[str, ...]] = ()


def test_what_fits() -> None:
    for name in KINDS.builtin():
        kind = KINDS.find(name)
        fine_tuned = FinetunedStudentConfig(kind="finetune")
        for student in (LINEAR, fine_tuned) if kind.labelled else (SpanStudentConfig(kind="span_qa"),):
            check_fit(kind.of({"first": "a", "second": "b"}), student)


def test_what_does_not_is_said_by_name() -> None:
    with pytest.raises(UsageError, match=r"student logistic_regression: cannot learn task kind 'tags': choose one of finetune$"):
        check_fit(OfTags.of({}), LINEAR)
    with pytest.raises(UsageError, match="cannot learn task kind 'nothing': choose one of none: it has no student"):
        check_fit(OfNothing.of({}), LINEAR)
    with pytest.raises(UsageError, match="oracle finetune: students are judged by accuracy and macro_f1, and task kind 'tags' by span_f1"):
        check_fit(OfTags.of({}), FinetunedStudentConfig(kind="finetune"), "oracle")
