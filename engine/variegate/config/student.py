"""Which small model is trained on a data set, and how."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from variegate.closed import Closed

EMBEDDED = "minilm"  # names the embedded all-MiniLM-L6-v2 as a student's base model


class LinearStudentConfig(Closed):
    """A linear classifier on frozen sentence embeddings: trained in seconds."""

    kind: Literal["logistic_regression", "linear_svc"]
    encoder: str = "all-MiniLM-L6-v2"
    """A sentence encoder: a name, a folder or a hub id (as `variegate measure --encoder`)."""
    pooling: Literal["mean", "cls"] | None = None
    """For a plain transformers model."""
    C: float = Field(default=10.0, gt=0)
    """Inverse strength of the L2 penalty. For unit vectors, logistic regression does well with 10 and the SVC with 1."""
    max_iter: int = Field(default=10_000, ge=1)


class FinetunedStudentConfig(Closed):
    """A sequence classifier, all of its weights fine-tuned."""

    kind: Literal["finetune"]
    model: str = EMBEDDED
    """A folder or hub id of an encoder (BERT, RoBERTa, DistilBERT, ...). `minilm` is the embedded all-MiniLM-L6-v2."""
    revision: str | None = None
    epochs: int = Field(default=5, ge=1)
    """At most; early stopping may end sooner."""
    learning_rate: float = Field(default=3e-5, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=32, ge=1)
    gradient_accumulation: int = Field(default=1, ge=1)
    max_tokens: int = Field(default=128, ge=2)
    """Texts are cut to this many tokens; the results say how many were."""
    warmup: float | None = Field(default=0.1, ge=0)
    """Below 1: the share of all steps; from 1 on: this many epochs. None, where warmup_steps says it."""
    warmup_steps: int | None = Field(default=None, ge=0)
    """The warm-up in steps, instead of `warmup`."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """Of the learning rate after the warm-up."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many epochs without a better score on the dev split, and keep the best weights. Needs a dev split. None: all
    epochs, and the last weights."""
    best_by: Literal["accuracy", "macro_f1", "loss"] = "accuracy"
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """auto: bfloat16 on a GPU that is fast in it, else float32."""
    optimizer: Literal["adamw", "adamw_8bit"] = "adamw"
    """adamw_8bit: bitsandbytes."""
    group_by_length: bool = True
    """Batches of texts of about one length, so that little is padded."""
    max_grad_norm: float = Field(default=1.0, gt=0)

    @model_validator(mode="before")
    @classmethod
    def _one_warmup(cls, value: Any) -> Any:
        """A warm-up in steps takes the place of the default one."""
        if isinstance(value, dict) and value.get("warmup_steps") is not None:
            return {"warmup": None, **value}
        return value

    @model_validator(mode="after")
    def _warmup(self) -> FinetunedStudentConfig:
        if (self.warmup is None) == (self.warmup_steps is None):
            raise ValueError("warmup and warmup_steps: expected one of them, and the other left out or null")
        if self.warmup is not None and 1 <= self.epochs < self.warmup:
            raise ValueError(f"warmup: {self.warmup:g} epochs of warm-up, and only {self.epochs} epochs: lower it, or raise epochs")
        return self


class SpanStudentConfig(Closed):
    """A model that finds the answer to a question in a context, all of its weights fine-tuned. Long contexts are read window by window."""

    kind: Literal["span_qa"]
    model: str = EMBEDDED
    """A folder or hub id of an encoder (BERT, RoBERTa, DistilBERT, ...). `minilm` is the embedded all-MiniLM-L6-v2."""
    revision: str | None = None
    epochs: int = Field(default=3, ge=1)
    learning_rate: float = Field(default=5e-5, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=16, ge=1)
    """Windows in a step."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of all steps; then the rate falls in a line to 0."""
    max_tokens: int = Field(default=384, ge=8)
    """Of a window, the question included."""
    stride: int = Field(default=128, ge=0)
    """Tokens that a window shares with the one before."""
    max_answer_tokens: int = Field(default=30, ge=1)
    """The longest answer that is given."""
    max_grad_norm: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _windows_move_on(self) -> SpanStudentConfig:
        if self.stride > self.max_tokens // 2:
            raise ValueError(f"stride: {self.stride} of {self.max_tokens} max_tokens: at most half of it, or windows hardly move on")
        return self


StudentConfig = Annotated[LinearStudentConfig | FinetunedStudentConfig, Field(discriminator="kind")]
"""Of texts with labels."""
AnyStudentConfig = Annotated[LinearStudentConfig | FinetunedStudentConfig | SpanStudentConfig, Field(discriminator="kind")]
STUDENT_KINDS = ("logistic_regression", "linear_svc", "finetune", "span_qa")
