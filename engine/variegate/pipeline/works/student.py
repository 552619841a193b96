"""A fresh student of what a run has made so far, and what it says of the run's real examples, one by one.

arguments: train: [id, fields] of each text. student: its configuration. seeds: how many students, each by a seed of its own.
Rows, one for each example of `validation` and `select`:
    id, split, label, fields    as the run drew it; fields of `validation` alone, whose texts may stand in prompts
    said, confidence            of each student, in the order of the seeds; a confidence is null where the student has none
    right                       the share of the students that are right
    hardness                    how much more the students think of their best wrong answer than of the right one; mean over them
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import TypeAdapter

from variegate.config.student import AnyStudentConfig, FinetunedStudentConfig, SpanStudentConfig
from variegate.errors import VariegateError
from variegate.kinds import TaskKind
from variegate.kinds.text import text_of
from variegate.pipeline.gold import SELECT, VALIDATION
from variegate.pipeline.training.fit import check_fit
from variegate.pipeline.works import Desk
from variegate.store.shelf import Made
from variegate.strategies.pool import Example
from variegate.students import LabelledTexts, Predictions, train_student, without_overlap
from variegate.students.train import starts_from

_HARDEST = 1e6  # of a class that the student never saw
_DIGITS = 6


class StudentWork:
    name = "student"

    def depends_on(self, desk: Desk, args: Mapping[str, Any]) -> Any:
        config: AnyStudentConfig = TypeAdapter(AnyStudentConfig).validate_python(args["student"])
        return {"gold": desk.gold.key(), "seed": desk.config.seed, "labels": sorted(desk.config.task.labels), "model": starts_from(config)}

    def do(self, desk: Desk, args: Mapping[str, Any]) -> Made:
        """Raises VariegateError where the texts cannot train a student, and what training raises."""
        config: AnyStudentConfig = TypeAdapter(AnyStudentConfig).validate_python(args["student"])
        check_fit(desk.kind, config)
        if isinstance(config, SpanStudentConfig):
            return _of_questions(config, desk, args)
        texts = _labelled(desk.kind, args["train"])
        select = of_examples(desk.kind, desk.gold.select, SELECT)
        texts, left_out = without_overlap(texts, select)
        if len(texts.label_counts) < 2:
            raise VariegateError(
                f"a student cannot be trained on the {len(texts)} texts so far: {'all have one label' if len(texts) else 'there are none'}:"
                f" look at what was dropped, `variegate show {desk.config.output} --dropped`"
            )
        early = isinstance(config, FinetunedStudentConfig) and config.patience is not None
        said: list[Predictions] = []
        for number in range(args["seeds"]):
            student = train_student(
                config,
                texts,
                select if early else None,
                seed=desk.config.seed + number,
                labels=sorted(desk.config.task.labels),
                progress=desk.progress.update,
            )
            said.append(student.predict([*of_examples(desk.kind, desk.gold.both, VALIDATION).texts]))
        rows = list(_rows(desk.gold.both, said))
        return rows, {"num_texts": len(texts), "left_out": left_out, **_scores(rows), "facts": student.facts}


def _of_questions(config: SpanStudentConfig, desk: Desk, args: Mapping[str, Any]) -> Made:
    """said: the answers. right: by exact match, or by F1 from `right_from` on. hardness: 1 less the mean F1. No confidence."""
    from variegate.pipeline.training.spans import asked_of, judged
    from variegate.students.spans import train_spans

    select = {desk.kind.equal(each.fields) for each in desk.gold.select}
    texts = [asked_of(id, fields) for id, fields in args["train"] if desk.kind.equal(fields) not in select]
    if not texts:
        raise VariegateError(
            f"no question was kept to train a student on: look at what was dropped, `variegate show {desk.config.output} --dropped`"
        )
    examples, least = desk.gold.both, args.get("right_from")
    said, scores, facts = [], [], {}
    for number in range(args["seeds"]):
        student = train_spans(config, texts, seed=desk.config.seed + number, progress=desk.progress.update)
        answers = student.answer([asked_of(each.id, each.fields) for each in examples])
        said.append([each.text for each in answers])
        scores.append(judged(desk.kind, [each.fields for each in examples], answers))
        facts = student.facts
    rows = []
    for place, example in enumerate(examples):
        split = example.id.partition(":")[0]
        own = [each[place] for each in scores]
        score = round(sum(score for _, score in own) / len(own), _DIGITS)
        row: dict[str, Any] = {
            "id": example.id,
            "split": split,
            "label": example.label,
            **({"fields": dict(example.fields)} if split == VALIDATION else {}),
            "said": [each[place] for each in said],
            "confidence": [None] * len(own),
            "right": sum(em if least is None else score >= least for em, score in own) / len(own),
            "f1": score,
            "hardness": round(1 - score, _DIGITS),
        }
        rows.append(row)
    found = _scores(rows)
    for name, each in found.items():
        each["f1"] = sum(row["f1"] for row in rows if row["split"] == name) / each["n"]
    return rows, {"num_texts": len(texts), "left_out": len(args["train"]) - len(texts), **found, "facts": facts}


def _labelled(kind: TaskKind, train: Sequence[tuple[str, Mapping[str, Any]]]) -> LabelledTexts:
    return LabelledTexts(
        tuple(text_of(kind.texts(fields)) for _, fields in train),
        tuple(str(kind.gold(fields)) for _, fields in train),
        tuple(id for id, _ in train),
        "the texts so far",
    )


def of_examples(kind: TaskKind, examples: Sequence[Example], source: str) -> LabelledTexts:
    texts = tuple(text_of(kind.texts(each.fields)) for each in examples)
    return LabelledTexts(texts, tuple(each.label for each in examples), tuple(each.id for each in examples), source)


def _rows(examples: Sequence[Example], said: Sequence[Predictions]) -> Iterator[dict[str, Any]]:
    for place, example in enumerate(examples):
        split = example.id.partition(":")[0]
        wrong = [_hardness(each, place, example.label) for each in said]
        yield {
            "id": example.id,
            "split": split,
            "label": example.label,
            **({"fields": dict(example.fields)} if split == VALIDATION else {}),
            "said": [each.labels[place] for each in said],
            "confidence": [None if each.confidence is None else round(float(each.confidence[place]), _DIGITS) for each in said],
            "right": sum(each.labels[place] == example.label for each in said) / len(said),
            "hardness": round(sum(wrong) / len(wrong), _DIGITS),
        }


def _hardness(said: Predictions, place: int, label: str) -> float:
    row: Float[np.ndarray, " c"] = (said.scores if said.probabilities is None else said.probabilities)[place]
    own = said.classes.index(label)
    more = float(np.delete(row, own).max() - row[own])
    return min(max(more, -_HARDEST), _HARDEST)  # inf: one of the two the student never saw


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean accuracy on each split."""
    found = {}
    for name in (VALIDATION, SELECT):
        own = [row["right"] for row in rows if row["split"] == name]
        if own:
            found[name] = {"n": len(own), "accuracy": sum(own) / len(own)}
    return found


WORK = StudentWork()
