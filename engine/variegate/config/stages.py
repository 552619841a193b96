"""What becomes of a run's records, stage by stage: curated, measured, learnt from, judged. Settings of `variegate run`.

They stand in the run file, and are no part of the run: no key of a request depends on them.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from variegate.closed import Closed, Name
from variegate.config.curation import CurationConfig
from variegate.config.run import RunConfig
from variegate.config.student import AnyStudentConfig, LinearStudentConfig


class CurateConfig(CurationConfig):
    name: Name = "curated"
    """Of the curation's folder in the run. A curation that is given by name or path keeps that name."""

    @property
    def curation(self) -> CurationConfig:
        return CurationConfig(stages=self.stages, oracle=self.oracle, encoder=self.encoder, seed=self.seed)


class MeasureConfig(Closed):
    reference: str | None = None
    """`train`, `dev` or `test` of the task, or a file of real texts. Left out: the task's train data, else its dev data. None: none."""
    encoder: str = "all-MiniLM-L6-v2"
    """A sentence encoder: a name, a folder or a hub id."""
    distance: Literal["cosine", "euclidean", "sqeuclidean", "angular"] = "cosine"
    k: int = Field(default=5, ge=1)
    """Neighbours in top-k similarity."""


DEFAULT_SEEDS = 3  # of a student that depends on its seed


class TrainConfig(Closed):
    student: AnyStudentConfig = LinearStudentConfig(kind="logistic_regression")
    """A bundled student's name, a path, or its fields."""
    name: Name = "logistic_regression"
    """Of the student's folder in the run. A student that is given by name or path keeps that name, another is called by its kind."""
    seeds: int | None = Field(default=None, ge=1)
    """How often to train, each time with another seed. None: 3, or 1 of a student that depends on no seed."""
    seed: int = Field(default=0, ge=0)
    """The first one."""
    dev_share: float | None = Field(default=None, gt=0, lt=1)
    """Split this share of the texts off as dev data, in place of the task's own, for a student that stops early."""
    with_examples: bool = False
    """Train on the texts and the real examples together."""

    @model_validator(mode="after")
    def _seeds_matter(self) -> TrainConfig:
        if (self.seeds or 1) > 1 and self.student.kind == "logistic_regression":
            raise ValueError(f"seeds: {self.seeds}: logistic_regression depends on no seed, and all would be equal: leave seeds out")
        return self


class EvaluateConfig(Closed):
    baselines: bool = True
    """Judge what the student stands beside too: the majority class, the real examples alone and with the texts, as many real texts.
    Without it there is no verdict."""


class StagesConfig(Closed):
    """None switches a stage off."""

    curate: CurateConfig | None
    measure: MeasureConfig | None
    train: TrainConfig | None
    evaluate: EvaluateConfig | None


SECTIONS = tuple(StagesConfig.model_fields)


class RunFile(RunConfig):
    """All that may stand in a run file. Loaded apart, as a RunConfig and a StagesConfig."""

    curate: CurateConfig | None = None
    """How the records are judged: a bundled curation's name, a path, or its fields. Left out: copies, and texts of the task's dev and
    test data, are dropped. null: they stay as they were generated."""
    measure: MeasureConfig | None = MeasureConfig()
    """null: nothing is measured."""
    train: TrainConfig | None = TrainConfig()
    """null: no student is trained."""
    evaluate: EvaluateConfig | None = EvaluateConfig()
    """null: the student is not judged."""
