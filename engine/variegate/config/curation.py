"""How generated records are judged: a list of stages, each of which adds a verdict on every record still kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from variegate.closed import Closed
from variegate.config.model import ModelConfig
from variegate.config.student import LinearStudentConfig, StudentConfig
from variegate.errors import nearest

# `oracle`: a student trained on the task's real train split (CurationConfig.oracle). `inspected`: what `variegate inspect`
# stored in the run folder. Anything else: a file of labels (JSONL or CSV with `label` and `id` or `text`).
LabelSource = str


class DuplicatesStage(Closed):
    """Drop copies, and texts that also stand in held-out data."""

    kind: Literal["duplicates"]
    exact: bool = True
    """Equal after Unicode, case and white-space folding."""
    near: float | None = Field(default=0.9, gt=0, le=1)
    """Also from this similarity on. None: off."""
    near_by: Literal["minhash", "embedding"] = "minhash"
    """minhash: Jaccard similarity of word trigrams. embedding: cosine."""
    against: list[str] = Field(default_factory=list)
    """Held-out data whose texts must not stand in the set: `train`, `dev`, `test` (the task's own) or files."""


_QUESTION = ("classify", "chat_answer")  # templates of a relabelling question


class RelabelStage(Closed):
    """Ask a language model which label a text has (PromptMix step 2), by scoring the candidates' strings or by generation."""

    kind: Literal["relabel"]
    mode: Literal["score", "generate"] = "score"
    model: ModelConfig | None = None
    """None: the model that generated."""
    nearest_classes: int | None = Field(default=5, ge=2)
    """Candidates for a text: the classes whose mean embedding (title and description, real examples) is nearest (PromptMix: 5). None: all."""
    class_block: bool | Literal["all"] = True
    """List the candidates with their descriptions in the prompt. all: every label of the task, in one block for all texts, whatever
    their candidates: a longer prompt, whose beginning is read once (false: no block)."""
    scoring: Literal["branching", "whole"] | None = None
    """whole: the probability of all tokens of a label (PromptMix): it sees what the model would rather have gone on with, and is
    mostly the more accurate. branching: at each token where the candidates part, the probabilities among them: the faster, about one request a
    text. null: whole, but branching where whole takes longer than writing the label: with a calibration, a margin or
    `class_block: all`."""
    length_normalised: bool = False
    """Divide a label's log-probability by its number of tokens. Only with `scoring: whole`."""
    calibration: Literal["none", "temperature", "contextual"] = "none"
    """temperature: fitted on real labelled examples. contextual: divided by the probabilities for a text without content
    (Zhao et al. 2021); needs no labels."""
    margin: float = Field(default=0.0, ge=0, le=1)
    """Least difference in probability between the best label and the second."""
    below_margin: Literal["keep_label", "drop"] = "keep_label"
    chunk: int = Field(default=1024, ge=1)
    """Texts judged between two writes to disk."""
    templates: dict[str, str] = Field(default_factory=dict)
    """Jinja2 texts in place of the built-in templates of the question: `classify`, and `chat_answer` for chat models."""

    @property
    def scores(self) -> Literal["branching", "whole"]:
        """What `scoring` comes to."""
        if self.scoring is not None:
            return self.scoring
        return "whole" if self.margin == 0 and self.calibration == "none" and self.class_block != "all" else "branching"

    @model_validator(mode="after")
    def _consistent(self) -> RelabelStage:
        for name in self.templates:
            if name not in _QUESTION:
                raise ValueError(f"templates.{name}: no template of this stage{nearest(name, _QUESTION)} It uses: {', '.join(_QUESTION)}")
        if self.length_normalised and self.scores != "whole":
            raise ValueError("length_normalised: true needs scoring: whole: `branching` counts only tokens where candidates part")
        if self.mode == "generate":
            unused = {"scoring": self.scoring is not None, "calibration": self.calibration != "none", "margin": self.margin > 0}
            given = [name for name, changed in unused.items() if changed]
            if given:
                raise ValueError(f"{', '.join(given)}: mode: generate has no probabilities: use mode: score, or leave it out")
        return self


class LabelReplacementStage(Closed):
    """Chung et al.'s label replacement: labels from an oracle or from a proxy trained on a few inspected items. It drops nothing: a text
    that was judged out of scope stays, with a label."""

    kind: Literal["label_replacement"]
    labels: LabelSource = "inspected"
    inspected: int | Literal["all"] = Field(default=180)
    """Items whose label is taken from `labels` (Chung et al.: 90, 180, 270), drawn by the seed; of `inspected` or a file at most.
    all: every label there is; a proxy then judges only the items without one."""
    weight: float = Field(default=0.3, ge=0, le=1)
    """w in S = w * given + (1 - w) * proxy."""

    @model_validator(mode="after")
    def _count(self) -> LabelReplacementStage:
        if isinstance(self.inspected, int) and self.inspected < 2:
            raise ValueError(f"inspected: {self.inspected}: expected `all` or at least 2")
        return self


class ScopeStage(Closed):
    """Drop texts outside the task (Chung et al.'s out-of-scope filtering)."""

    kind: Literal["scope"]
    labels: LabelSource = "inspected"
    """Judgements of in and out of scope. From `oracle` they need a task with data.out_of_scope_label."""
    inspected: int = Field(default=360, ge=2)
    """Items judged (Chung et al.: 360); at most, where they come from a file or `inspected`."""
    threshold: float = Field(default=0.5, gt=0, lt=1)
    """Drop from this probability of being out of scope on."""


class DenoiseStage(Closed):
    """MSP's denoising: keep what is near to its seed and carries rare attributes (here: labels)."""

    kind: Literal["denoise"]
    keep: float = Field(default=0.8, gt=0, le=1)
    """Share of the records that stays (MSP keeps about four fifths of what it generates)."""
    weight: float = Field(default=0.5, ge=0, le=1)
    """Of the frequency term; 1 - weight is that of the distance to the seed."""
    scale: Literal["z", "rank"] = "z"
    """How the two terms come on one scale."""
    choose: Literal["top", "sample"] = "top"
    """top: the least noisy. sample: without replacement, with weights 1 / frequency times closeness."""


class AuditStage(Closed):
    """Label issues by confident learning (cleanlab, the `audit` extra), on cross-validated probabilities."""

    kind: Literal["audit"]
    drop: bool = False
    """Drop the issues; otherwise they are only named."""
    folds: int = Field(default=5, ge=2)


StageConfig = Annotated[
    DuplicatesStage | RelabelStage | LabelReplacementStage | ScopeStage | DenoiseStage | AuditStage, Field(discriminator="kind")
]


class CurationConfig(Closed):
    stages: list[StageConfig] = Field(min_length=1)
    oracle: StudentConfig = LinearStudentConfig(kind="logistic_regression")
    """The student that plays the oracle, where a stage names it."""
    encoder: str = "all-MiniLM-L6-v2"
    """For every stage that needs embeddings."""
    seed: int = Field(default=0, ge=0)
