"""The same two stages for records without labels, which a student of spans learns: it is trained and judged in one, beside one of real
questions. See `training.spans`.

    students/NAME/questions.json, ...   as `variegate train` writes them
    stages/train/NAME                   on the run's shelf: the key of what they were made from
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import orjson

from variegate.config.load_stages import is_on_disk
from variegate.config.stages import DEFAULT_SEEDS, TrainConfig
from variegate.config.student import SpanStudentConfig
from variegate.errors import StoreError, UsageError
from variegate.kinds import kind_of
from variegate.pipeline.real_records import read_records
from variegate.pipeline.stages.stage import Context, Status
from variegate.pipeline.training.fit import check_fit
from variegate.pipeline.training.spans import in_words, train_on_questions
from variegate.pipeline.training.train import QUESTIONS, STUDENTS
from variegate.seeding import digest
from variegate.store.hashes import read_hashes
from variegate.store.run_folder import STAGES
from variegate.students.train import starts_from

_RECIPE = 1


class TrainOnQuestions:
    name: ClassVar[str] = "train"

    def __init__(self, context: Context) -> None:
        self.context, self._config = context, context.stages.train
        self.made = False  # in this call

    def why_not(self) -> str | None:
        task = self.context.run.task
        if self._config is None:
            return "train: null"
        check_fit(kind_of(task), self._config.student, "train: student")
        for option in ("dev_share", "with_examples"):
            if getattr(self._config, option):
                raise UsageError(f"train: {option}: a student of questions has no use for it: leave it out")
        if not is_on_disk(task, "test"):
            return f"a student of questions is trained and judged in one, and task {task.name!r} has no data.test on this machine"
        return None

    def intent(self) -> str:
        return f"{self.config.name} on the records, {len(self.seeds)} times, beside one of the real questions"

    def stands(self) -> bool:
        try:
            entry = self.context.folder.shelf.read(self._entry)
        except StoreError:
            return False
        return entry is not None and entry.key == self._key and self.stored() is not None

    def make(self) -> tuple[Status, str, Any]:
        shelf = self.context.folder.shelf
        if self.stands():
            return "reused", self._words(), None
        student = self.config.student
        assert isinstance(student, SpanStudentConfig)  # noqa: S101  # `check_fit` lets no other through
        with self.context.folder.lock():
            shelf.set_aside([f"{STUDENTS}/{self.config.name}"])
            train_on_questions(
                student, self.context.folder.path, seeds=self.seeds, output=self.folder, progress=self.context.progress.update
            )
            shelf.put(self._entry, self._key, ())
        self.made = True
        return "made", self._words(), None

    def stored(self) -> dict[str, Any] | None:
        """What questions.json holds, where it and the students are whole."""
        try:
            if not self.folder.is_dir() or QUESTIONS not in read_hashes(self.folder, again="it is made again"):
                return None
        except StoreError as error:
            self.context.progress.note(str(error))
            return None
        found: dict[str, Any] = orjson.loads((self.folder / QUESTIONS).read_bytes())
        return found

    @property
    def config(self) -> TrainConfig:
        assert self._config is not None  # noqa: S101  # or the stage is skipped
        return self._config

    @property
    def seeds(self) -> range:
        return range(self.config.seed, self.config.seed + (self.config.seeds or DEFAULT_SEEDS))

    @property
    def folder(self) -> Path:
        return self.context.folder.path / STUDENTS / self.config.name

    @property
    def _entry(self) -> str:
        return f"{STAGES}/train/{self.config.name}"

    @cached_property
    def _key(self) -> str:
        """Digest of all that decides the students and what is said of them."""
        task, student = self.context.run.task, self.config.student
        records = [[record.id, dict(record.fields)] for record in self.context.folder.records()]
        real = [read_records(task, split) for split in ("train", "test") if is_on_disk(task, split)]
        settings = student.model_dump(mode="json", exclude_defaults=True)
        return digest([_RECIPE, settings, starts_from(student), list(self.seeds), records, real], length=32)

    def _words(self) -> str:
        return f"{len(self.seeds)} student{'s' * (len(self.seeds) > 1)}, judged as they were trained"


class JudgeAnswers:
    """Says what was found when they were trained."""

    name: ClassVar[str] = "evaluate"

    def __init__(self, context: Context, train: TrainOnQuestions) -> None:
        self.context, self._train = context, train

    def why_not(self) -> str | None:
        if self.context.stages.evaluate is None:
            return "evaluate: null"
        why = self._train.why_not()
        return None if why is None else f"there is no student ({why})"

    def intent(self) -> str:
        return "what the student of the records knows, and one of the real questions"

    def stands(self) -> bool:
        return True

    def make(self) -> tuple[Status, str, Any]:
        summary = self._train.stored()
        if summary is None:
            raise StoreError(f"{self._train.folder}: changed while it was in use: run the same command again")
        return "made" if self._train.made else "reused", " ".join(in_words(summary)[1:]), summary
