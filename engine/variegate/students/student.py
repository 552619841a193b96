"""What every student is: labels it knows, predictions, facts of its training, a folder it can be saved to.

Knows nothing of how one is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import orjson
from jaxtyping import Float

from variegate import __version__
from variegate.errors import UsageError
from variegate.kinds.text import Text
from variegate.progress import Report
from variegate.store.hashes import HASHES, read_hashes, write_hashes

# In a saved student's folder:
STUDENT = "student.json"  # its kind, labels, configuration and facts
TRAINED_ON = "trained_on.txt"  # a hash a line of its training texts, so that it is not judged by one of them


@dataclass(frozen=True, slots=True)
class Predictions:
    """Row i belongs to text i; the columns of probabilities and scores are `classes`."""

    labels: tuple[str, ...]  # the most probable class; without probabilities, that of the highest score
    classes: tuple[str, ...]  # the student's labels, sorted
    probabilities: Float[np.ndarray, "n c"] | None  # rows sum to 1; None: the student has only scores
    scores: Float[np.ndarray, "n c"]  # logits, or margins; -inf for a class that the student never saw

    @property
    def confidence(self) -> Float[np.ndarray, " n"] | None:
        """The probability of the predicted class."""
        return None if self.probabilities is None else self.probabilities.max(axis=1)


class Student(Protocol):
    @property
    def labels(self) -> tuple[str, ...]:
        """Sorted."""
        ...

    @property
    def pairs(self) -> bool:
        """Whether it reads text pairs: each text is then a tuple of two."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """JSON-able: what was trained on what, for how long, and what went unusually (`warnings`)."""
        ...

    @property
    def trained_on(self) -> frozenset[str]:
        """`overlap.text_hash` of each text it was trained on; empty for a model that another tool trained."""
        ...

    def predict(self, texts: Sequence[Text], *, progress: Report | None = None) -> Predictions: ...

    def save(self, folder: Path) -> None:
        """Write the student into a new folder, whole or not at all. Raises StoreError, also when the folder is there already."""
        ...


def write_about(student: Student, config: Any, folder: Path) -> None:
    """student.json and trained_on.txt, and last hashes.json, of all that is there."""
    about = {
        "variegate": __version__,
        "kind": config.kind,
        "labels": list(student.labels),
        "pairs": student.pairs,
        "config": config.model_dump(mode="json"),
        "facts": student.facts,
    }
    (folder / STUDENT).write_bytes(orjson.dumps(about, option=orjson.OPT_INDENT_2))
    (folder / TRAINED_ON).write_text("".join(f"{each}\n" for each in sorted(student.trained_on)), encoding="ascii")
    write_hashes(folder)


def is_saved(folder: Path) -> bool:
    """Whether anything there is of a student that was saved here: it is then no other tool's model."""
    return any((folder / name).exists() for name in (STUDENT, TRAINED_ON, HASHES))


def read_about(folder: Path) -> dict[str, Any]:
    """The content of student.json, with that of trained_on.txt, every file's hash seen to hold.

    Raises UsageError where there is no student, StoreError for a damaged one, or one of another format.
    """
    if not is_saved(folder) or STUDENT not in read_hashes(folder, again="train the student again"):
        raise UsageError(f"{folder}: holds no {STUDENT}: give the folder of a student, as `variegate train` writes it")
    about = orjson.loads((folder / STUDENT).read_bytes())
    return {**about, "trained_on": frozenset((folder / TRAINED_ON).read_text(encoding="ascii").split())}
