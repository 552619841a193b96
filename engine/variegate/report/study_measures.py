"""What a study's measures are called, in which order they stand, and how their numbers are written. Words only.

A measure that is not named here is shown under its own name, after the others, as a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from variegate.report.measured import words


@dataclass(frozen=True, slots=True)
class StudyMeasure:
    name: str
    title: str
    kind: str  # see `numbers.write_value`
    says: str = ""


_KNOWN = {
    each.name: each
    for each in (
        StudyMeasure("student_accuracy", "Student accuracy", "share", "of the student trained on the data set, on the real test split"),
        StudyMeasure("label_accuracy", "Label accuracy", "share", "texts whose label the oracle agrees with"),
        StudyMeasure("remote_clique", "Remote-Clique", "score", "mean distance between two texts; up: more diverse"),
        StudyMeasure("top_5", "Top-5 similarity", "score", "of each real text to its nearest generated ones; up: closer to real data"),
        StudyMeasure("student_macro_f1", "Student macro-F1", "share", "the same student; every class counts alike"),
        StudyMeasure("remote_clique_within_labels", "Remote-Clique within labels", "score", "the same within each label, averaged"),
        StudyMeasure("chamfer", "Chamfer", "score", "mean distance to the nearest other text; up: fewer near-copies"),
        StudyMeasure("distinct_2", "Distinct-2", "score", "different word pairs out of all; up: more varied wording"),
        StudyMeasure("self_repetition", "Self-repetition", "score", "up: more stock phrases"),
        StudyMeasure("vendi_score", "Vendi score", "score", "effective number of different texts"),
        StudyMeasure(
            "top_k_similarity", "Top-k similarity", "score", "of each real text to its nearest generated ones; up: closer to real data"
        ),
        StudyMeasure("cross_distance", "Cross-set distance", "score", "mean distance to the real texts; down: closer to real data"),
        StudyMeasure("cross_similarity", "Cross-set similarity", "score", "1 - cross-set distance; up: closer to real data"),
        StudyMeasure("coverage", "Coverage", "share", "real texts with a generated one nearby"),
        StudyMeasure("n", "Training texts", "count", ""),
        StudyMeasure("shortfall", "Shortfall", "count", "texts fewer than asked for"),
        StudyMeasure("leaked_dropped", "Dropped as leaked", "count", "training texts that stand in the test split"),
        StudyMeasure("prompt_tokens", "Prompt tokens", "count"),
        StudyMeasure("generated_tokens", "Generated tokens", "count"),
        StudyMeasure("generate_seconds", "Generating", "seconds"),
        StudyMeasure("curate_seconds", "Curating", "seconds"),
        StudyMeasure("train_seconds", "Training", "seconds"),
    )
}
# Those of the first table; the others stand in a second one.
IN_SIGHT = ("student_accuracy", "label_accuracy", "remote_clique", "top_5", "generated_tokens", "generate_seconds", "curate_seconds")
OUTCOME = "student_accuracy"
DIVERSITY = "remote_clique"


def diversity_measure(study: Mapping[str, Any]) -> StudyMeasure:
    """The one that the study's front and regression were computed with."""
    named = study.get("diversity_measure")
    return _KNOWN.get(named if isinstance(named, str) else "", _KNOWN[DIVERSITY])


def study_measure(name: str) -> StudyMeasure:
    short = name.removeprefix("diversity.").removeprefix("similarity.").removeprefix("cost.")
    return _KNOWN.get(short, StudyMeasure(name, words(name).replace("_", " ") or "unnamed", "score"))


def in_order(names: Iterable[str]) -> list[str]:
    """Known ones first, in the order above; then the others by name. Each once."""
    order = {name: place for place, name in enumerate(_KNOWN)}
    return sorted(set(names), key=lambda name: (order.get(study_measure(name).name, len(order)), name))
