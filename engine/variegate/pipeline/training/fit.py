"""Whether a student can learn a kind of task, and is judged by what the kind is judged by. Knows names; trains nothing."""

from __future__ import annotations

from variegate.config.student import AnyStudentConfig
from variegate.errors import UsageError
from variegate.kinds import TaskKind

JUDGED_BY = ("accuracy", "macro_f1")  # what `students.evaluate` says of every student of labels
SPANS_JUDGED_BY = ("exact_match", "f1")  # what `metrics.squad` says of one that answers questions


def check_fit(kind: TaskKind, student: AnyStudentConfig, what: str = "student") -> None:
    """Raise UsageError, naming the kind, where it is not so. what: the student is called in the message."""
    if student.kind not in kind.students:
        raise UsageError(
            f"{what} {student.kind}: cannot learn task kind {kind.name!r}: choose one of {', '.join(kind.students) or 'none: it has no student'}"
        )
    judged_by = SPANS_JUDGED_BY if student.kind == "span_qa" else JUDGED_BY
    wrong = [score for score in judged_by if score not in kind.scores]
    if wrong:
        raise UsageError(
            f"{what} {student.kind}: students are judged by {' and '.join(judged_by)}, and task kind {kind.name!r} by"
            f" {', '.join(kind.scores) or 'no score'}: export the records, and train on them with another tool"
        )
