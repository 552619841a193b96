"""The stages that say what the set is worth: students trained on it, each kept as soon as it is there, and judged beside what there was
without it.

    students/NAME/seed-0/...          the students; what each was trained from is the `key` among its facts
    students/NAME/scores.json, ...    as `variegate train` writes them, with a `key`
    stages/evaluate/NAME/examples     on the run's shelf: what the set stands beside, judged
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import orjson

from variegate.config.load_stages import is_on_disk
from variegate.config.stages import DEFAULT_SEEDS, TrainConfig
from variegate.config.student import SpanStudentConfig, StudentConfig
from variegate.errors import StoreError, UsageError, VariegateError
from variegate.kinds import kind_of
from variegate.pipeline.stages.stage import Context, Status
from variegate.pipeline.training.beside import Judged, judge_beside
from variegate.pipeline.training.fit import check_fit
from variegate.pipeline.training.train import (
    PREDICTIONS,
    SCORES,
    STUDENTS,
    Trainer,
    make_scores,
    warnings_of,
    write_scores,
)
from variegate.pipeline.training.verdict import find_verdict
from variegate.seeding import digest
from variegate.store.hashes import HASHES, read_hashes, write_hashes
from variegate.store.run_folder import STAGES
from variegate.store.shelf import Made
from variegate.students import LabelledTexts, Student, depends_on_seed, evaluate, load
from variegate.students.student import read_about
from variegate.students.train import starts_from

_RECIPE = 1  # another one where a student, or the default of a setting in the keys, is no longer the same


class Train:
    name: ClassVar[str] = "train"

    def __init__(self, context: Context) -> None:
        self.context, self._config = context, context.stages.train

    def why_not(self) -> str | None:
        task = self.context.run.task
        if self._config is None:
            return "train: null" if kind_of(task).students else f"no student learns task kind {task.kind!r}"
        check_fit(kind_of(task), self._config.student, "train: student")
        if getattr(self._config.student, "patience", None) is not None and self._config.dev_share is None and not is_on_disk(task, "dev"):
            raise UsageError(
                f"train: student {self._config.name} stops early by dev data, and task {task.name!r} has no data.dev on this machine: name a"
                " file there, or set train.dev_share: 0.1"
            )
        return None

    def intent(self) -> str:
        often = f", {len(self.seeds)} times" if len(self.seeds) > 1 else ""
        return f"{self.config.name} on {self.context.set_words}{' and the real examples' if self.config.with_examples else ''}{often}"

    def stands(self) -> bool:
        return all(self._stored_key(seed) == self.key(seed) for seed in self.seeds)

    def make(self) -> tuple[Status, str, Any]:
        with self.context.folder.lock():
            self._set_damaged_aside()
            missing = [seed for seed in self.seeds if self._stored_key(seed) != self.key(seed)]
            if missing:
                self._clear(missing)
            for seed in missing:
                student = self.trainer.train(self.splits.train, seed)
                student.facts["key"] = self.key(seed)
                student.save(self.place(seed))
            if missing or not (self.folder / HASHES).is_file():
                write_hashes(self.folder)
        there = len(self.seeds) - len(missing)
        words = f"{len(self.seeds)} student{'s' * (len(self.seeds) > 1)} of {len(self.splits.train):,} texts"
        return "made" if missing else "reused", f"{words}{f', {there} of them there already' if there and missing else ''}", None

    # -- what is trained ---------------------------------------------------------------------------------------

    @property
    def config(self) -> TrainConfig:
        assert self._config is not None  # noqa: S101  # or the stage is skipped
        return self._config

    @property
    def student(self) -> StudentConfig:
        assert not isinstance(self.config.student, SpanStudentConfig)  # noqa: S101  # `check_fit` lets none through
        return self.config.student

    @property
    def seeds(self) -> range:
        count = self.config.seeds or (DEFAULT_SEEDS if depends_on_seed(self.student) else 1)
        return range(self.config.seed, self.config.seed + count)

    @property
    def student_name(self) -> str:
        """As `variegate train` would call it."""
        parts = (self.config.name, self.context.curation, "with-examples" if self.config.with_examples else None)
        return "-".join(part for part in parts if part)

    @property
    def folder(self) -> Path:
        return self.context.folder.path / STUDENTS / self.student_name

    def place(self, seed: int) -> Path:
        return self.folder / f"seed-{seed}"

    @property
    def splits(self) -> Any:
        return self.context.splits

    @cached_property
    def trainer(self) -> Trainer:
        encoder = self.context.encoders.of_student(self.student)
        return Trainer(self.student, self.splits, self.seeds, encoder=encoder, progress=self.context.progress.update)

    def load(self, seed: int) -> Student:
        encoder = self.context.encoders.of_student(self.student)
        return load(self.place(seed), encoder=encoder, pairs=self.splits.train.pairs)

    # -- what is there -----------------------------------------------------------------------------------------

    @cached_property
    def _common_key(self) -> str:
        student = self.student
        sets = [None if each is None else [each.texts, each.labels] for each in (self.splits.train, self.splits.dev)]
        return digest([_RECIPE, student.model_dump(mode="json", exclude_defaults=True), starts_from(student), self.splits.known, sets])

    def key(self, seed: int) -> str:
        """Digest of all that decides a student."""
        return digest([self._common_key, seed], length=32)

    def _stored_key(self, seed: int) -> str | None:
        """None where there is no student, it is damaged, or `variegate train` made it."""
        if not self.place(seed).is_dir():
            return None
        try:
            found = read_about(self.place(seed))["facts"].get("key")
        except VariegateError:
            return None
        return found if isinstance(found, str) else None

    def _set_damaged_aside(self) -> None:
        for seed in self.seeds:
            try:
                _ = self.place(seed).is_dir() and read_about(self.place(seed))
            except StoreError as error:
                self.context.folder.shelf.set_damaged_aside(f"{STUDENTS}/{self.student_name}/seed-{seed}", error)
            except UsageError:
                continue  # another tool's: it is set aside as one of another key

    def _clear(self, missing: list[int]) -> None:
        """Set aside what stands where new students come, and what was said of them."""
        name = f"{STUDENTS}/{self.student_name}"
        shelf = self.context.folder.shelf
        if len(missing) == len(self.seeds):
            shelf.set_aside([name])
            return
        for seed in missing:
            shelf.set_aside([f"{name}/seed-{seed}"])
        self.forget_scores()

    def forget_scores(self) -> None:
        """Set aside what was said of the students, and what states it, so that at no instant something is stated that is not so."""
        self.context.folder.shelf.set_aside(f"{STUDENTS}/{self.student_name}/{each}" for each in (HASHES, SCORES, PREDICTIONS))


class Evaluate:
    name: ClassVar[str] = "evaluate"

    def __init__(self, context: Context, train: Train) -> None:
        self.context, self.config, self._train = context, context.stages.evaluate, train

    def why_not(self) -> str | None:
        task = self.context.run.task
        if self.config is None:
            return "evaluate: null"
        if (why := self._train.why_not()) is not None:
            return f"there is no student ({why})"
        if not is_on_disk(task, "test"):
            named = task.data.test if task.data else None
            missing = f"its data.test, {named}, is not on this machine" if named else "it names no data.test"
            return f"nothing tells what a student of task {task.name!r} is worth: {missing}"
        return None

    def intent(self) -> str:
        return "the student, and what the set stands beside" if self.config and self.config.baselines else "the student"

    def stands(self) -> bool:
        scores = self._stored()
        return scores is not None and scores["verdict"] == _as_stored(find_verdict(scores["beside"], self._splits))

    def make(self) -> tuple[Status, str, Any]:
        scores = self._stored(tell=True)
        if scores is not None:
            verdict = _as_stored(find_verdict(scores["beside"], self._splits))  # it also reads what was measured since
            if verdict == scores["verdict"]:
                return "reused", _in_words(scores), scores
        with self.context.folder.lock():
            scores = self._judge()
        return "made", _in_words(scores), scores

    @property
    def _splits(self) -> Any:
        return self.context.splits

    def _judge(self) -> dict[str, Any]:
        began = time.perf_counter()
        train, splits, test = self._train, self._splits, self._splits.test
        said, found, warnings = [], [], list(splits.warnings)
        for seed in train.seeds:
            student = train.load(seed)
            said.append(student.predict(test.texts, progress=self.context.progress.update))
            facts = {name: value for name, value in student.facts.items() if name != "key"}
            found.append({"seed": seed, "evaluation": evaluate(said[-1], test, seed=seed), "facts": facts})
            warnings += warnings_of(seed, student.facts, said[-1], train.seeds, len(splits.train))
        rows: list[dict[str, Any]] = []
        if self.config is not None and self.config.baselines:
            rows = judge_beside(splits, train.trainer.judge_set(said), self._beside, seed=train.seeds[0], notes=warnings)
        scores = make_scores(train.student, splits, found, rows, warnings, time.perf_counter() - began)
        scores["key"] = self._key
        train.forget_scores()
        self._set_strays_aside()
        write_scores(train.folder, scores, test, said)
        return scores

    def _beside(self, name: str, texts: LabelledTexts) -> Judged:
        """A row of those that the set stands beside: each is trained once, and kept."""
        key = digest([self._key, name, texts.texts, texts.labels], length=32)

        def made() -> Made:
            return (), self._train.trainer.judge(name, texts).to_json()

        entry = f"{STAGES}/evaluate/{self._train.student_name}/{name}"
        return Judged.from_json(self.context.folder.shelf.made(entry, key, made).facts)

    # -- what is there -----------------------------------------------------------------------------------------

    @cached_property
    def _key(self) -> str:
        splits, train = self._splits, self._train
        beside = (splits.test, splits.real.examples, splits.real.train, splits.uncurated)
        sets = [None if each is None else [each.texts, each.labels] for each in beside]
        baselines = self.config is not None and self.config.baselines
        return digest([_RECIPE, [train.key(seed) for seed in train.seeds], baselines, sets], length=32)

    def _stored(self, *, tell: bool = False) -> dict[str, Any] | None:
        """The scores that are there, where they and the students are whole, and of this very key. tell: of damage."""
        folder = self._train.folder
        try:
            if not (folder / HASHES).is_file() or SCORES not in read_hashes(folder, again="it is made again"):
                return None
        except StoreError as error:
            if tell:
                self.context.progress.note(str(error))
            return None
        scores = orjson.loads((folder / SCORES).read_bytes())
        return scores if isinstance(scores, dict) and scores.get("key") == self._key else None

    def _set_strays_aside(self) -> None:
        """Students of other seeds than are asked for."""
        train = self._train
        names = [path.name for path in train.folder.glob("seed-*") if path.name not in {train.place(seed).name for seed in train.seeds}]
        self.context.folder.shelf.set_aside([f"{STUDENTS}/{train.student_name}/{name}" for name in names])


def _as_stored(value: Mapping[str, Any]) -> Any:
    return orjson.loads(orjson.dumps(value))


def _in_words(scores: Mapping[str, Any]) -> str:
    accuracy = scores["summary"]["accuracy"]["mean"]
    return f"accuracy {accuracy:.1%} on {scores['test']['n']:,} test texts"
