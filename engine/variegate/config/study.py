"""A study: one run varied along axes, every combination curated, measured and used to train a student.

Knows which options there are and what each sets; knows nothing of folders, engines or measurements.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from variegate.closed import Closed, Name
from variegate.config.curation import CurationConfig
from variegate.config.run import RunConfig
from variegate.config.strategies import STRATEGY_CONFIGS, AnyStrategyConfig
from variegate.config.student import LinearStudentConfig, StudentConfig
from variegate.errors import nearest

NO_CURATION = "none"
WITHOUT, WITH = "without", "with"  # the real examples
SHARING = ("curation", "examples")  # axes that change nothing of what is generated: cells that differ in them alone share their run
_RESERVED = ("replicate", "n")
Overrides = dict[str, Any]  # dotted field -> value, as --set a.b=c


def _off(value: Any) -> Any:
    return "off" if value is False else value  # YAML reads a bare `off` as false


def _no_curation(value: Any) -> Any:
    return NO_CURATION if value is None else value


Suppressions = Annotated[Literal["off", "run", "label", "faithful"], BeforeValidator(_off)]
CurationName = Annotated[Name, BeforeValidator(_no_curation)]


class AxesConfig(BaseModel):
    """What varies. Every combination of options is a cell; an axis of your own maps the name of each option to its overrides."""

    model_config = ConfigDict(extra="allow", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Annotated[dict[Name, Overrides], Field(min_length=1)]]

    strategy: list[Name] | None = Field(default=None, min_length=1)
    """`zero_shot`, `few_shot` (with the run's own form and completions_per_call) or names of `strategies`."""
    seeding: list[Annotated[int, Field(ge=0)]] | None = Field(default=None, min_length=1)
    """Real examples in a few-shot run's pool at the start (strategy.seed_pool)."""
    temperature: list[Annotated[float, Field(ge=0)]] | None = Field(default=None, min_length=1)
    suppression: list[Suppressions] | None = Field(default=None, min_length=1)
    """`off`; one table for the `run` or one for each `label`, the run's other settings kept; `faithful`: the paper's."""
    curation: list[CurationName] | None = Field(default=None, min_length=1)
    """`none`, names of `curations`, or names of bundled curations."""
    examples: list[Literal["without", "with"]] | None = Field(default=None, min_length=1)
    """What the student learns from: the generated texts `without` or `with` the real examples that were there before (those that
    the run drew; else what `variegate train --with-examples` takes). All other measures are of the generated texts."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        for name, options in value.items() if isinstance(value, dict) else ():
            if name not in cls.model_fields and not isinstance(options, dict):
                raise ValueError(
                    f"unknown axis {name!r}{nearest(str(name), cls.model_fields)} Known: {', '.join(cls.model_fields)}; an axis of your own "
                    f"maps the name of each option to overrides: {name}: {{short: {{decoding.max_tokens: 20}}, long: ...}}"
                )
        return value

    def options(self) -> dict[str, list[str]]:
        """axis -> its options by name, in the order cells are made; those of SHARING last."""
        found: dict[str, list[str]] = {}
        for name in (*(each for each in type(self).model_fields if each not in SHARING), *self.own(), *SHARING):
            values = self.own()[name] if name in self.own() else getattr(self, name)
            if values is not None:
                found[name] = [f"{each:g}" if isinstance(each, float) else str(each) for each in values]
        return found

    def own(self) -> dict[str, dict[str, Overrides]]:
        """The axes that the study itself defines."""
        return self.__pydantic_extra__ or {}


class BudgetConfig(Closed):
    """What one data set may cost: the best recipe is looked for among those within it."""

    generated_tokens: int | None = Field(default=None, ge=1)
    seconds: float | None = Field(default=None, gt=0)
    """Of generating and curating, on this machine."""


class StudyConfig(Closed):
    name: Name
    run: RunConfig
    """What all cells share: a bundled run's name, a path, or the run itself."""
    set: Overrides = Field(default_factory=dict)
    """Fields of the run to change for all cells, as --set: `target.per_label: 8`."""
    axes: AxesConfig
    exclude: list[dict[str, Any]] = Field(default_factory=list)
    """Combinations to leave out: `- {strategy: zero_shot, seeding: 18}`."""
    strategies: dict[Name, AnyStrategyConfig] = Field(default_factory=dict)
    curations: dict[Name, CurationConfig] = Field(default_factory=dict)
    """name -> a bundled curation's name, a path, or the curation itself."""
    replicates: int = Field(default=3, ge=1)
    """Data sets generated for each combination; replicate i (from 0) has the run's seed + i."""
    student: StudentConfig | None = LinearStudentConfig(kind="logistic_regression")
    """Trained on each cell and on the real train split, tested on the real test split. A bundled student's name, a path, or
    the student itself; null: none."""
    student_seeds: int = Field(default=1, ge=1)
    """Students trained on each cell; their mean counts (Chung et al.: 5)."""
    dev: Literal["held_out", "real"] = "held_out"
    """Where a student with `patience` stops: on a tenth of its own training texts, held out, or on the task's data.dev."""
    oracle: StudentConfig = LinearStudentConfig(kind="logistic_regression")
    """Trained on the real train split; label accuracy is agreement with it. As `student`."""
    train_size: int | None = Field(default=None, ge=2)
    """Texts of each cell that are measured and trained on, drawn at random. null: as many as the smallest cell has."""
    encoder: str = "all-MiniLM-L6-v2"
    """Of the diversity and similarity measures."""
    diversity: Literal["remote_clique", "remote_clique_within_labels", "chamfer", "distinct_2"] = "remote_clique"
    """What stands for diversity in the Pareto front, the regression and ties for the best recipe; all are measured. With many labels
    the distance between labels decides remote_clique, and chamfer says more of how varied the texts are."""
    budget: BudgetConfig = BudgetConfig()
    output: str
    """The study's folder, relative to the working directory."""

    @model_validator(mode="after")
    def _names(self) -> StudyConfig:
        if NO_CURATION in self.curations:
            raise ValueError(f"curations: {NO_CURATION!r} means no curation: give it another name")
        for name in self.strategies:
            if name in STRATEGY_CONFIGS.names():
                raise ValueError(f"strategies: {name!r} is an option of its own already: give it another name")
        for name in self.axes.own():
            if name in _RESERVED or not name.replace("_", "").replace("-", "").isalnum():
                raise ValueError(f"axes: {name!r} cannot be the name of an axis: use letters, digits, - and _, and none of {_RESERVED}")
        for axis, known in (("strategy", (*STRATEGY_CONFIGS.names(), *self.strategies)), ("curation", (NO_CURATION, *self.curations))):
            for option in self.options().get(axis, ()):
                if option not in known:
                    raise ValueError(f"axes.{axis}: unknown {axis} {option!r}{nearest(option, known)} Known: {', '.join(known)}")
        for axis, options in self.options().items():
            twice = sorted({option for option in options if options.count(option) > 1})
            if twice:
                raise ValueError(f"axes.{axis}: {twice[0]!r} stands twice: each option makes cells of its own")
        return self

    def options(self) -> dict[str, list[str]]:
        """axis -> its options, as `AxesConfig.options`."""
        return self.axes.options()
