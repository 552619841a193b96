"""What a study reads of the real world: the task's splits, the oracle, the student trained on real texts, the encoders.

Students are trained when they are first asked and kept in the study's folder, so that a second call of a study trains none.
Knows nothing of cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from variegate.config.curation import CurationConfig, LabelReplacementStage, ScopeStage
from variegate.config.student import FinetunedStudentConfig, StudentConfig
from variegate.config.study import StudyConfig
from variegate.errors import StoreError, UsageError
from variegate.kinds.text import Text
from variegate.pipeline.comparison.places import STUDENTS
from variegate.pipeline.curation.inputs import ORACLE
from variegate.pipeline.examples import DRAWN, find_real_texts
from variegate.pipeline.real_splits import has_split, read_split
from variegate.progress import Progress, Report
from variegate.seeding import digest
from variegate.store.shelf import Shelf
from variegate.strategies.pool import Example
from variegate.students.data import LabelledTexts, split_off, without_overlap
from variegate.students.student import Predictions, Student
from variegate.students.train import depends_on_seed, load, train_student

if TYPE_CHECKING:
    from variegate.embeddings import Encoder

DEV_SHARE = 0.1


class LazyStudent:
    """A `Student` that is loaded from `folder`, or made and kept there, when it is first asked for anything.

    note: told of a damaged one, which is set aside and made again.
    """

    def __init__(
        self, folder: Path, make: Callable[[], Student], encoder: Callable[[], Encoder | None], note: Callable[[str], None]
    ) -> None:
        self._folder, self._make, self._encoder, self._note = folder, make, encoder, note

    @cached_property
    def _student(self) -> Student:
        if self._folder.is_dir():
            try:
                return load(self._folder, encoder=self._encoder())
            except StoreError as error:
                Shelf(self._folder.parent, on_damage=self._note).set_damaged_aside(self._folder.name, error)
        student = self._make()
        student.save(self._folder)
        return student

    def prepare(self) -> None:
        """Load or make it now."""
        _ = self._student

    @property
    def labels(self) -> tuple[str, ...]:
        return self._student.labels

    @property
    def pairs(self) -> bool:
        return self._student.pairs

    @property
    def facts(self) -> dict[str, Any]:
        return self._student.facts

    @property
    def trained_on(self) -> frozenset[str]:
        return self._student.trained_on

    def predict(self, texts: Sequence[Text], *, progress: Report | None = None) -> Predictions:
        return self._student.predict(texts, progress=progress)

    def save(self, folder: Path) -> None:
        self._student.save(folder)


class Encoders:
    """Each sentence encoder once. given: a ready one, in place of `name`."""

    def __init__(self, name: str, given: Encoder | None = None) -> None:
        self._made: dict[tuple[str, str | None], Encoder] = {} if given is None else {(name, None): given}

    def get(self, name: str, pooling: str | None = None) -> Encoder:
        from variegate.embeddings import Encoder

        if (name, pooling) not in self._made:
            self._made[name, pooling] = Encoder(name, pooling=pooling)
        return self._made[name, pooling]

    def of_student(self, config: StudentConfig) -> Encoder | None:
        """The one that a linear student reads through; None for the others."""
        return None if isinstance(config, FinetunedStudentConfig) else self.get(config.encoder, config.pooling)

    def fingerprint(self, config: StudentConfig) -> str | None:
        """Of the encoder that a linear student reads through."""
        encoder = self.of_student(config)
        return None if encoder is None else encoder.fingerprint


class RealData:
    """The real side of one study. Raises UsageError where a split that is named cannot be read."""

    def __init__(self, study: StudyConfig, output: Path, encoders: Encoders, progress: Progress) -> None:
        self.study, self.task, self.encoders = study, study.run.task, encoders
        self._report, self._note = progress.update, progress.note
        self._folder = output / STUDENTS
        self.labels = sorted(self.task.labels)
        self.test = self._split("test")
        self.dev = self._split("dev") if study.dev == "real" or needs_dev(study.oracle) else None
        whole = self._split("train")
        self.num_leaked = 0
        self.train = whole
        if whole is not None:
            for held_out in (self.test, self.dev):
                if held_out is not None:
                    self.train, leaked = without_overlap(self.train or whole, held_out)
                    self.num_leaked += leaked
        self._whole_train = whole

    def _split(self, name: str) -> LabelledTexts | None:
        if not has_split(self.task, name):
            return None
        self._report(f"reading data.{name}", 0, 1)
        return read_split(self.task, name)

    @cached_property
    def key(self) -> str:
        """Of the real texts and labels."""
        return digest([None if each is None else [each.texts, each.labels] for each in (self.train, self.dev, self.test)], length=32)

    def examples(self, count: int, given: Sequence[Example] = (), seed: int | None = None) -> LabelledTexts | None:
        """What the user had before. count: of the runs' seeds. given: what a run drew. seed: the study's, or a run's. None where
        nothing is known."""
        found = find_real_texts(self.task, given, seed=self.study.run.seed if seed is None else seed, count=count or DRAWN)
        return found.apart_from([each for each in (self.test, self.dev) if each is not None]).examples

    # -- students ----------------------------------------------------------------------------------------------

    def with_dev(self, config: StudentConfig, texts: LabelledTexts, *, seed: int) -> tuple[LabelledTexts, LabelledTexts | None]:
        """(train, dev): dev for a student that stops early, as the study says where from; None for the others."""
        if not needs_dev(config):
            return texts, None
        if self.study.dev == "real":
            if self.dev is None:
                raise UsageError(
                    f"task {self.task.name!r} has no data.dev, and the study says `dev: real`: name a file there, or set `dev: held_out`"
                )
            return texts, self.dev
        return split_off(texts, DEV_SHARE, seed=seed)

    def train_on(self, config: StudentConfig, texts: LabelledTexts, *, seed: int, what: str) -> Student:
        train, dev = self.with_dev(config, texts, seed=seed)
        return train_student(
            config,
            train,
            dev,
            seed=seed,
            labels=self.labels,
            encoder=self.encoders.of_student(config),
            progress=lambda stage, done, whole: self._report(f"{what}: {stage}", done, whole),
        )

    def on_real(self, config: StudentConfig, texts: LabelledTexts, *, seed: int = 0) -> LazyStudent:
        """A student of real texts."""
        what = "student of the real texts"
        return self._lazy(config, texts, seed, lambda: self.train_on(config, texts, seed=seed, what=what))

    @cached_property
    def oracle(self) -> LazyStudent | None:
        """None without data.train. It may stop early on data.dev."""
        if self.train is None:
            return None
        config, train, dev, seed = self.study.oracle, self.train, None, self.study.run.seed
        if needs_dev(config):
            train, dev = (self.train, self.dev) if self.dev is not None else split_off(self.train, DEV_SHARE, seed=seed)
        return self._lazy(config, train, seed, lambda: self._trained(config, train, dev, seed), dev=dev)

    def oracle_of(self, curation: CurationConfig) -> LazyStudent | None:
        """The oracle that a curation makes for itself, made once for the whole study. None where its scope stage teaches it more labels."""
        whole = self._whole_train
        if whole is None or any(isinstance(stage, ScopeStage) and stage.labels == ORACLE for stage in curation.stages):
            return None
        config, seed = curation.oracle, curation.seed
        dev = read_split(self.task, "dev") if has_split(self.task, "dev") and needs_dev(config) else None
        return self._lazy(config, whole, seed, lambda: self._trained(config, whole, dev, seed), dev=dev)

    def _trained(self, config: StudentConfig, train: LabelledTexts, dev: LabelledTexts | None, seed: int) -> Student:
        return train_student(
            config,
            train,
            dev,
            seed=seed,
            encoder=self.encoders.of_student(config),
            progress=lambda stage, done, whole: self._report(f"oracle: {stage}", done, whole),
        )

    def _lazy(
        self, config: StudentConfig, train: LabelledTexts, seed: int, make: Callable[[], Student], *, dev: LabelledTexts | None = None
    ) -> LazyStudent:
        own_seed = seed if depends_on_seed(config) or needs_dev(config) else 0
        settings = [config.model_dump(mode="json", exclude_defaults=True), self.encoders.fingerprint(config), own_seed, self.study.dev]
        key = digest([settings, train.texts, train.labels, None if dev is None else [dev.texts, dev.labels]])
        return LazyStudent(self._folder / f"{config.kind}-{key}", make, lambda: self.encoders.of_student(config), self._note)


def asks_oracle(curation: CurationConfig) -> bool:
    """Whether a stage takes labels or judgements from a student of the real train split."""
    return any(isinstance(stage, LabelReplacementStage | ScopeStage) and stage.labels == ORACLE for stage in curation.stages)


def needs_dev(config: StudentConfig) -> bool:
    return isinstance(config, FinetunedStudentConfig) and config.patience is not None
