"""What every stage of a run is, and what all of them share: the run's folder, its engines, its encoders. Knows no stage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from variegate.config import RunConfig
from variegate.config.load_stages import is_on_disk
from variegate.config.stages import StagesConfig
from variegate.embeddings.models import DEFAULT_MODEL
from variegate.inference.session import Sessions
from variegate.pipeline.comparison.real import Encoders
from variegate.pipeline.resume import ResumeMode
from variegate.pipeline.training.splits import Source, Splits, read_splits
from variegate.progress import Progress
from variegate.store.run_folder import RunFolder
from variegate.store.texts import TextSet

NAMES = ("generate", "curate", "measure", "train", "evaluate", "report")
Status = Literal["made", "reused", "skipped"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stage, or would: words: what was made, or why it was skipped. facts: the stage's own result."""

    stage: str
    status: Status
    words: str
    seconds: float = 0.0
    facts: Any = field(default=None, repr=False, compare=False)


class Stage(Protocol):
    name: ClassVar[str]

    def why_not(self) -> str | None:
        """Why it is skipped. Raises UsageError, before anything is started, where it is asked for and cannot be done."""
        ...

    def intent(self) -> str:
        """What it is about to do, in words."""
        ...

    def stands(self) -> bool:
        """Whether all of it is there as it would be made, where the stages before it are. Nothing is made, moved or started."""
        ...

    def make(self) -> tuple[Status, str, Any]:
        """Do what is not there: (what became of it, in words, its result)."""
        ...


class Context:
    """One call. report: writes the report of the folder, and returns its path."""

    def __init__(
        self,
        run: RunConfig,
        stages: StagesConfig,
        *,
        progress: Progress,
        sessions: Sessions,
        resume: ResumeMode,
        report: Callable[[RunFolder], Path],
    ) -> None:
        self.run, self.stages, self.progress = run, stages, progress
        self.sessions, self.resume, self.report = sessions, resume, report
        self.encoders = Encoders(DEFAULT_MODEL)
        self.folder = RunFolder(Path(run.output), on_damage=progress.note)

    @property
    def curation(self) -> str | None:
        """Name of the curation whose records the later stages read; None: the records as they were generated."""
        return None if self.stages.curate is None else self.stages.curate.name

    @property
    def set_words(self) -> str:
        return "the records" if self.curation is None else f"the records of curation {self.curation}"

    def texts(self) -> TextSet:
        """Raises UsageError where there are none."""
        return Source(str(self.folder.path), curation=self.curation).read(strict=True)

    @cached_property
    def splits(self) -> Splits:
        """The set, and the real data that a student of it is judged by and stands beside. Read once, when all records have their labels."""
        train, evaluate = self.stages.train, self.stages.evaluate
        assert train is not None  # noqa: S101  # a student is wanted
        return read_splits(
            Source(str(self.folder.path), curation=self.curation),
            None,
            None,
            wants_dev=getattr(train.student, "patience", None) is not None,
            dev_share=train.dev_share,
            drop_overlap=True,
            seed=train.seed,
            with_real=evaluate is not None and evaluate.baselines,
            with_examples=train.with_examples,
            with_test=is_on_disk(self.run.task, "test"),
        )
