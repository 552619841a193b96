"""Settings of `s3`: seed data with rationales, then rounds of more texts like those that a student gets wrong."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from variegate.config.strategies.base import Judging, StrategyConfig
from variegate.config.student import AnyStudentConfig, LinearStudentConfig

# What the released code does, as far as it tells.
_FAITHFUL = {"per_error": 1, "cap": None, "order": "drawn", "mislabelled": None, "students": 1, "gain": None, "tries": 1}


class S3Config(StrategyConfig):
    """The seed data are `target.per_label` texts of each label; each round adds `per_error` for each error that it takes up."""

    name: ClassVar[str] = "s3"
    serves: ClassVar[tuple[str, ...]] = ("classification", "pair", "extractive_qa")
    works: ClassVar[bool] = True

    kind: Literal["s3"]
    rationales: int = Field(default=8, ge=0)
    """Reasons that the model is asked for, for each label, where it writes single texts (the paper's K, which it does not give). 0
    asks for none."""
    rationales_shown: int = Field(default=2, ge=1)
    """Of them in the prompt of a text (the paper's k, which it does not give), drawn at random."""
    error_rounds: int = Field(default=2, ge=0)
    """Rounds of error extrapolation at most (the paper: 2)."""
    per_error: int = Field(default=1, ge=1)
    """New texts wanted for each error."""
    cap: int | None = Field(default=50, ge=1)
    """Errors of one class that a round takes up at most. None: all."""
    order: Literal["hardest", "nearest", "drawn"] = "hardest"
    """Which errors come first where there are more than `cap`: those that the student is surest of, those it is least sure of, or as the
    examples were drawn."""
    mislabelled: float | None = Field(default=0.99, gt=0, le=1)
    """An error for which every student says the same other label, each with at least this confidence, is taken for a wrong label of the
    real example and left alone. None: none is."""
    tries: int = Field(default=3, ge=1)
    """Times that a text for an error is asked for, where what comes is dropped."""
    student: AnyStudentConfig = LinearStudentConfig(kind="logistic_regression")
    """The small model whose errors are looked for, trained anew in each round: a mapping, or the name of a bundled one."""
    students: int = Field(default=1, ge=1)
    """Students in each round, each by a seed of its own. An error is what most of them get wrong."""
    validation: int = Field(default=200, ge=1)
    """Real examples, drawn from data.train, in which errors are looked for. Their texts stand in prompts."""
    select: int = Field(default=200, ge=1)
    """Others, from data.dev where there is one and else from data.train, by which the rounds end and a student stops early."""
    right_from: float | None = Field(default=None, gt=0, le=1)
    """An answer of a student of questions counts as right from this F1 on. None: where it matches exactly."""
    gain: float | None = Field(default=0.0, ge=0)
    """The rounds end where a student's accuracy on `select` is not at least this much above that of the round before. None: never so."""
    faithful: bool = False
    """As the paper's code: errors are looked for in all of data.train, which also selects; every one is asked for once."""

    @property
    def judging(self) -> Judging:
        return Judging(None, None) if self.faithful else Judging(self.validation, self.select)

    def template_names(self) -> tuple[str, ...]:
        reasons = ("s3_reasons", "s3_because") if self.rationales else ()
        return ("li_context", "li_generate", "given", "cue", "another", "s3_like", "s3_question", "chat_text", *reasons)

    def words(self) -> str:
        reasons = f"{self.rationales} rationales a label, {self.rationales_shown} in a prompt" if self.rationales else "no rationales"
        where = "all of the training data" if self.faithful else f"{self.validation} real examples"
        return (
            f"S3 (Wang et al.): {reasons}; then {self.error_rounds} rounds of {self.per_error} more for each error of a student"
            f" ({self.student.kind}) in {where}"
        )

    def citation(self) -> str:
        return (
            "Ruida Wang, Wangchunshu Zhou, Mrinmaya Sachan. *Let's Synthesize Step by Step: Iterative Dataset Synthesis with Large Language"
            " Models by Extrapolating Errors from Small Models.* Findings of EMNLP 2023."
        )

    @model_validator(mode="after")
    def _shown_are_asked_for(self) -> S3Config:
        if self.rationales and self.rationales_shown > self.rationales:
            raise ValueError(
                f"rationales_shown: {self.rationales_shown} of {self.rationales} rationales: lower it, or ask for more with rationales"
            )
        return self

    @model_validator(mode="after")
    def _faithful_to_the_release(self) -> S3Config:
        if self.faithful:
            fixed = {**_FAITHFUL, "validation": None, "select": None}
            wrong = [name for name in sorted(self.model_fields_set & set(fixed)) if getattr(self, name) != fixed[name]]
            if wrong:
                raise ValueError(f"faithful: true fixes {', '.join(wrong)}: leave it out, or set faithful: false")
            for name, value in _FAITHFUL.items():
                object.__setattr__(self, name, value)
        return self


CONFIG = S3Config
