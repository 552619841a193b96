"""Trains a student as its configuration says, and loads a saved one. Knows which kinds there are; the kinds know how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from variegate.config.student import EMBEDDED, AnyStudentConfig, FinetunedStudentConfig, LinearStudentConfig, StudentConfig
from variegate.errors import StoreError, UsageError, nearest
from variegate.overlap import text_hash
from variegate.progress import Report
from variegate.students.data import LabelledTexts, check_disjoint, check_labels, check_same_form
from variegate.students.student import STUDENT, Student, is_saved, read_about

if TYPE_CHECKING:
    from variegate.embeddings import Encoder
    from variegate.students.finetuned import FinetunedStudent
    from variegate.students.linear import LinearStudent

KINDS = ("logistic_regression", "linear_svc", "finetune")


def depends_on_seed(config: StudentConfig) -> bool:
    """Whether two seeds can give two students."""
    return config.kind != "logistic_regression"


def starts_from(config: AnyStudentConfig) -> str:
    """Fingerprint of the files that it starts from: its encoder's, or its base model's. Raises UsageError or VariegateError."""
    from variegate.embeddings.models import DEFAULT_MODEL, find_model

    if not isinstance(config, LinearStudentConfig):
        return find_model(DEFAULT_MODEL if config.model == EMBEDDED else config.model, revision=config.revision).fingerprint
    return find_model(config.encoder).fingerprint


def train_student(
    config: StudentConfig,
    train: LabelledTexts,
    dev: LabelledTexts | None = None,
    *,
    seed: int = 0,
    labels: Sequence[str] | None = None,
    encoder: Encoder | None = None,
    progress: Report | None = None,
) -> Student:
    """A student trained on `train`.

    dev: chooses when to stop and which weights to keep, where the configuration asks for that; otherwise its score is only
        noted. Never the test data. Its texts must not stand in `train`.
    labels: all that the student shall know; None: those of `train`. A label without a text stands in `facts["labels_absent"]`.
    encoder: for the linear kinds, one that is loaded already; it must be the one that the configuration names.

    Raises UsageError when the texts cannot train a student: none, one label only, unknown labels, an overlap with `dev`, no
    `dev` where one is needed. Raises VariegateError when the training diverges or a model cannot be had.
    """
    if not len(train):
        raise UsageError(f"{train.source}: no text is left to train on: look at what was filtered out, or give another set")
    known = sorted(set(train.labels if labels is None else labels))
    if labels is not None:
        check_labels(train, known, "the task's")
    counts = train.label_counts
    if len(counts) < 2:
        raise UsageError(f"{train.source}: all {len(train)} texts have one label, {train.labels[0]!r}: a classifier needs two at least")
    if dev is not None:
        _check_dev(train, dev, known)
    student: FinetunedStudent | LinearStudent
    if isinstance(config, FinetunedStudentConfig):
        if encoder is not None:
            raise UsageError("encoder=: a fine-tuned student brings its own model: leave the encoder out")
        from variegate.students.finetune import train_finetuned

        student = train_finetuned(config, train, dev, known, seed=seed, progress=progress)
    else:
        from variegate.students.linear import train_linear

        student = train_linear(config, train, known, seed=seed, encoder=encoder, progress=progress)
    about: dict[str, Any] = {"n": len(train), "seed": seed, "labels_absent": [label for label in known if label not in counts]}
    if dev is not None:
        from variegate.students.evaluate import evaluate

        found = evaluate(student.predict(dev.texts), dev, seed=seed)
        about["dev"] = {"source": dev.source, **{name: found[name] for name in ("n", "accuracy", "macro_f1")}}
    student.facts.update(about)
    student.trained_on = frozenset(map(text_hash, train.texts))
    return student


def _check_dev(train: LabelledTexts, dev: LabelledTexts, known: Sequence[str]) -> None:
    if not len(dev):
        raise UsageError(f"{dev.source}: the dev data holds no text: give one with texts, or none")
    check_same_form(train, dev)
    check_disjoint(train, dev, "dev")
    check_labels(dev, known, "the student's")


def load(folder: Path, *, encoder: Encoder | None = None, pairs: bool = False) -> Student:
    """A saved student. A plain Hugging Face folder of a sequence classifier loads too. Raises UsageError or StoreError.

    encoder: for a linear student, one that is loaded already.
    pairs: for a plain Hugging Face folder, which does not say whether it reads text pairs.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder: give the folder of a student, as `variegate train` writes it")
    foreign = (folder / "config.json").is_file() and not is_saved(folder)
    about = None if foreign else read_about(folder)
    kind = "finetune" if about is None else about["kind"]
    try:
        if kind == "finetune":
            from variegate.students.finetuned import load_finetuned

            return load_finetuned(folder, about, pairs=pairs)
        if kind not in KINDS:
            raise StoreError(f"{folder / STUDENT}: kind {kind!r} is not known{nearest(kind, KINDS)} It may be of a later Variegate")
        from variegate.students.linear import load_linear

        return load_linear(folder, about or {}, encoder)
    except ValidationError as error:
        raise StoreError(
            f"{folder / STUDENT}: its configuration is not one of this Variegate ({error}): train the student again"
        ) from error
