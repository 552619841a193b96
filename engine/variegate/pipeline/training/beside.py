"""What a student's score stands beside: the majority class, students of the same configuration on other texts, and paired differences.

    set            the generated texts
    uncurated      the same before they were curated, where that makes a difference
    majority       no student: every test text is given the test data's most frequent label
    examples       the real examples that were there before, alone
    with_examples  the generated texts and those examples
    real           as many real texts as the set has, or all where there are fewer

Trains by what it is given; knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import eq
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate.config.student import FinetunedStudentConfig, StudentConfig
from variegate.errors import VariegateError
from variegate.pipeline.training.splits import Splits
from variegate.proportions import wilson
from variegate.students import LabelledTexts, Predictions, Student, evaluate, paired_bootstrap
from variegate.students.data import draw
from variegate.students.evaluate import is_correct

SET, UNCURATED, WITH_EXAMPLES, MAJORITY, EXAMPLES, REAL = "set", "uncurated", "with_examples", "majority", "examples", "real"
NAMES = {
    SET: "generated texts",
    UNCURATED: "generated texts, not curated",
    MAJORITY: "majority class",
    EXAMPLES: "real examples",
    WITH_EXAMPLES: "generated texts and real examples",
    REAL: "real texts",
}
BARS = (MAJORITY, EXAMPLES)  # what a set must be above to be of use
_SCORES = ("accuracy", "macro_f1")


@dataclass(frozen=True, slots=True)
class Judged:
    """One row before it is compared. evaluations: one for each seed."""

    name: str
    source: str
    n: int | None  # training texts; None: of no student
    evaluations: tuple[Mapping[str, Any], ...]
    right: Float[np.ndarray, " n"]  # for each test text the share of the seeds that are right
    agrees: Mapping[str, Any] | None = None  # of real texts: how far the first student agrees with the labels of the generated ones

    @classmethod
    def of(cls, name: str, source: str, n: int | None, said: Sequence[Predictions], test: LabelledTexts, seeds: Sequence[int]) -> Judged:
        evaluations = tuple(evaluate(each, test, seed=seed) for seed, each in zip(seeds, said, strict=True))
        return cls(name, source, n, evaluations, np.mean([is_correct(each, test) for each in said], axis=0))

    @classmethod
    def by(cls, students: Sequence[Student], name: str, texts: LabelledTexts, splits: Splits, seeds: Sequence[int]) -> Judged:
        """By students of `texts`, one for each seed."""
        said = [student.predict(splits.test.texts) for student in students]
        judged = cls.of(name, texts.source, len(texts), said, splits.test, seeds)
        return replace(judged, agrees=_agreement(students[0], splits.generated or splits.train)) if name == REAL else judged

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "right": self.right.tolist()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Judged:
        return cls(**{**value, "evaluations": tuple(value["evaluations"]), "right": np.array(value["right"], dtype=float)})


def texts_beside(splits: Splits, *, seed: int) -> Iterator[tuple[str, LabelledTexts]]:
    """(name, training texts) of the students that the one on `splits.train` stands beside. seed: of the draw of real texts."""
    examples, train = splits.real.examples, splits.real.train
    generated = splits.generated or splits.train
    if splits.uncurated is not None:
        yield UNCURATED, splits.uncurated
    if examples is not None:
        yield EXAMPLES, examples
        if splits.generated is None:
            yield WITH_EXAMPLES, generated.joined(examples)
        else:
            yield SET, generated
    if train is not None and (examples is None or len(train) > len(examples)):
        yield REAL, draw(train, len(generated), seed, "real")


def repeated(texts: LabelledTexts, size: int, config: StudentConfig) -> LabelledTexts:
    """For a fine-tuned student the texts so often that it takes about as many steps as one of `size` texts: else fewer steps, not
    poorer texts, would put it behind. For a linear one, which is trained to the end, the texts themselves."""
    times = max(size // len(texts), 1) if isinstance(config, FinetunedStudentConfig) else 1
    return texts.take([*range(len(texts))] * times)


def majority_of(test: LabelledTexts, known: Sequence[str]) -> Judged:
    counts = test.label_counts
    label = max(counts, key=lambda each: counts[each])
    classes = tuple(sorted(known))
    said = Predictions((label,) * len(test), classes, None, np.zeros((len(test), len(classes))))
    return Judged.of(MAJORITY, label, None, [said], test, [0])


def judge_beside(
    splits: Splits, main: Judged, judge: Callable[[str, LabelledTexts], Judged], *, seed: int, notes: list[str]
) -> list[dict[str, Any]]:
    """The rows, that of `main` first.

    judge: students of these texts (`Judged.by`). seed: the first one. notes: takes why a row is missing: its texts have one label, its
    loss diverged.
    """
    found = [main, majority_of(splits.test, splits.known)]
    for name, texts in texts_beside(splits, seed=seed):
        try:
            found.append(judge(name, texts))
        except VariegateError as error:
            notes.append(f"no student of the {NAMES[name]} stands beside this one: {error}")
    found.sort(key=lambda each: (each is not main, list(NAMES).index(each.name)))
    bars = [each for each in found if each.name in BARS]
    return [_row(each, [bar for bar in bars if bar is not each], seed) for each in found]


def _agreement(student: Student, texts: LabelledTexts) -> dict[str, Any]:
    agreed = sum(map(eq, student.predict(texts.texts).labels, texts.labels))
    return {"share": agreed / len(texts), "n": len(texts), "ci95": list(wilson(agreed, len(texts)))}


def _row(judged: Judged, bars: Sequence[Judged], seed: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": judged.name,
        "texts": NAMES[judged.name],
        "source": judged.source,
        "n": judged.n,
        "seeds": len(judged.evaluations),
    }
    for score in _SCORES:
        row[score] = fmean(each[score] for each in judged.evaluations)
        row[f"{score}_ci95"] = [fmean(each[f"{score}_ci95"][end] for each in judged.evaluations) for end in (0, 1)]
    less = {bar.name: paired_bootstrap(judged.right, bar.right, seed=seed) for bar in bars}
    return {**row, "less": less, "agrees": judged.agrees}
