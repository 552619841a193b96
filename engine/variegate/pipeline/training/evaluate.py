"""Judges saved students on a test set, and compares two of them on the same texts. Trains nothing, writes nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from variegate import __version__
from variegate.errors import StoreError, UsageError
from variegate.overlap import text_hash
from variegate.pipeline.training.train import SCORES
from variegate.progress import Report
from variegate.store.hashes import read_hashes
from variegate.students import LabelledTexts, Student, evaluate, load, paired_bootstrap, summarise
from variegate.students.data import short
from variegate.students.evaluate import is_correct


@dataclass(frozen=True, slots=True)
class Saved:
    """One student, or those of all seeds that one training made."""

    name: str  # as given
    students: tuple[tuple[str, Student], ...]  # with each one's folder


def load_students(folder: Path, *, pairs: bool) -> Saved:
    """folder: of one student, or of a training (with scores.json): then all of its seeds. pairs: the test data are text pairs.

    Raises UsageError, and StoreError for what was damaged.
    """
    places = [folder]
    if (folder / SCORES).is_file():
        named = [re.match(r"seed-(\d+)/", each) for each in read_hashes(folder, again="train again")]
        places = [folder / f"seed-{number}" for number in sorted({int(each[1]) for each in named if each})]
        if not places:
            raise StoreError(f"{folder}: holds {SCORES} and no student: train again")
    return Saved(str(folder), tuple((str(place), load(place, pairs=pairs)) for place in places))


def evaluate_saved(
    saved: Saved,
    test: LabelledTexts,
    *,
    against: Saved | None = None,
    drop_overlap: bool = False,
    seed: int = 0,
    progress: Report | None = None,
) -> dict[str, Any]:
    """The scores of each student on `test` and, with `against`, a paired bootstrap of the two: JSON-able.

    drop_overlap: leave test texts that a student was trained on out, for both, rather than refuse.
    seed: of the bootstraps.
    Raises UsageError for a test text that a student was trained on, and for labels that a student does not know.
    """
    both = [saved, *([against] if against is not None else [])]
    test, dropped = _unseen(test, both, drop_overlap)
    done = [_judge(each, test, seed, progress) for each in both]
    comparison = None
    if against is not None:
        comparison = {"of": saved.name, "against": against.name, **paired_bootstrap(done[0][1], done[1][1], seed=seed)}
    return {
        "variegate": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "test": {"source": test.source, "n": len(test), "overlap_dropped": dropped, "labels": test.label_counts},
        "students": [each for each, _ in done],
        "comparison": comparison,
    }


def _unseen(test: LabelledTexts, both: Sequence[Saved], drop: bool) -> tuple[LabelledTexts, int]:
    hashes = [text_hash(text) for text in test.texts]
    seen: set[int] = set()
    for saved in both:
        for folder, student in saved.students:
            found = [place for place, each in enumerate(hashes) if each in student.trained_on]
            if found and not drop:
                more = f", and so are {len(found) - 1} more" if len(found) > 1 else ""
                raise UsageError(
                    f"{test.source}: {test.ids[found[0]]}: {short(test.texts[found[0]])} is one of the texts that {folder} was trained on{more}:"
                    " judge it by texts it has not seen, or have those left out with --drop-overlap"
                )
            seen.update(found)
    left = test.take(place for place in range(len(test)) if place not in seen)
    if not len(left):
        raise UsageError(f"{test.source}: every text is one that the student was trained on: give test data")
    return left, len(seen)


def _judge(saved: Saved, test: LabelledTexts, seed: int, progress: Report | None) -> tuple[dict[str, Any], Float[np.ndarray, " n"]]:
    """The scores of all of `saved`, and for each text the share of its seeds that are right."""
    found: list[dict[str, Any]] = []
    right = []
    for folder, student in saved.students:
        _check_form(test, student, folder)
        predicted = student.predict(test.texts, progress=progress)
        found.append({"folder": folder, "evaluation": evaluate(predicted, test, seed=seed), "facts": student.facts})
        right.append(is_correct(predicted, test))
    return {"student": saved.name, "seeds": found, "summary": summarise([each["evaluation"] for each in found])}, np.mean(right, axis=0)


def _check_form(test: LabelledTexts, student: Student, folder: str) -> None:
    if test.pairs and not student.pairs:
        raise UsageError(f"{test.source}: holds text pairs, and {folder} reads single texts: name one field with --text-field")
    if student.pairs and not test.pairs:
        raise UsageError(f"{test.source}: holds single texts, and {folder} reads pairs: name two fields with --text-field FIRST,SECOND")
