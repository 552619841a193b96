"""The real texts that a student of generated ones stands beside: the examples that the user had before, and a larger real set.

Knows the task's train file and the run's seeds; trains nothing. No text of it stands in the data that students are judged by.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from variegate.config import TaskConfig
from variegate.errors import UsageError
from variegate.kinds import kind_of
from variegate.kinds.text import text_of
from variegate.pipeline.real_splits import has_split, read_split
from variegate.pipeline.seeds import draw_seeds
from variegate.strategies.pool import Example
from variegate.students.data import LabelledTexts, without_overlap

FEW = 100  # texts; a train file of no more is what the user has, and one of more is a data set that a run takes examples from
DRAWN = 18  # examples, where a run was given none: as many as few_shot takes by default


@dataclass(frozen=True, slots=True)
class RealTexts:
    """examples: None where there are none. train: all of the task's, where that is more than the examples. notes: what is missing, and why."""

    examples: LabelledTexts | None = None
    train: LabelledTexts | None = None
    notes: tuple[str, ...] = ()

    def apart_from(self, held_out: Sequence[LabelledTexts], left_out: Collection[str] = ()) -> RealTexts:
        """Without what stands in the held-out sets, without the texts of the labels `left_out`, and without a set of another form."""
        notes = list(self.notes)

        def apart(texts: LabelledTexts | None) -> LabelledTexts | None:
            if texts is None:
                return None
            if held_out and texts.pairs != held_out[0].pairs:
                notes.append(
                    f"{texts.source}: {_form(texts)}, and the student reads {_form(held_out[0])}: no student of them stands beside it"
                )
                return None
            left = texts.without_labels(left_out)
            for each in held_out:
                left, number = without_overlap(left, each)
                if number:
                    notes.append(f"{texts.source}: {number} texts stand in {each.source} too, and were left out")
            return left if len(left) else None

        return RealTexts(apart(self.examples), apart(self.train), tuple(notes))


def _form(texts: LabelledTexts) -> str:
    return "text pairs" if texts.pairs else "single texts"


def find_real_texts(task: TaskConfig, given: Sequence[Example], *, seed: int, count: int = DRAWN) -> RealTexts:
    """What a run of the task had at its start. given: the examples that it drew. seed: of the run. count: to draw where none are given.

    The examples are all of data.train where that holds at most FEW texts; of a larger file those that the run drew, and where it
    drew none, `count`: as many as a few-shot run draws. What cannot be read is a note.
    """
    if not has_split(task, "train"):
        return RealTexts(_labelled(task, given))
    try:
        train = read_split(task, "train", where_missing="no student of real texts stands beside this one")
        if len(train) <= FEW:
            return RealTexts(train)
        return RealTexts(_labelled(task, given or _drawn(task, seed, count)), train)
    except UsageError as error:
        return RealTexts(_labelled(task, given), None, (str(error),))


def _drawn(task: TaskConfig, seed: int, count: int) -> list[Example]:
    assert task.data is not None  # noqa: S101  # they are drawn from data.train
    return draw_seeds(task.model_copy(update={"data": task.data.model_copy(update={"overlap": "leave_out"})}), count, seed)


def _labelled(task: TaskConfig, examples: Sequence[Example]) -> LabelledTexts | None:
    if not examples:
        return None
    kind = kind_of(task)
    return LabelledTexts(
        tuple(text_of(kind.texts(each.fields)) for each in examples),
        tuple(each.label for each in examples),
        tuple(each.id for each in examples),
        f"{len(examples)} texts of {task.data.train if task.data else 'the run'}",
    )
