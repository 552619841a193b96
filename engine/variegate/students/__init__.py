"""Small models trained on a labelled set and judged on real data. Knows nothing of runs and how their texts came to be."""

from variegate.students.data import LabelledTexts, check_disjoint, check_labels, split_off, without_overlap
from variegate.students.evaluate import evaluate, paired_bootstrap, summarise
from variegate.students.student import Predictions, Student
from variegate.students.train import depends_on_seed, load, train_student

__all__ = [
    "LabelledTexts",
    "Predictions",
    "Student",
    "check_disjoint",
    "check_labels",
    "depends_on_seed",
    "evaluate",
    "load",
    "paired_bootstrap",
    "split_off",
    "summarise",
    "train_student",
    "without_overlap",
]
