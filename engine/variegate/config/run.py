"""One run: a task, a model, a strategy, how to decode, how much, and where to write."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, model_validator

from variegate.closed import Closed
from variegate.config.model import ModelConfig
from variegate.config.strategies import AnyStrategyConfig
from variegate.config.tagged import Tagged
from variegate.kinds import KINDS
from variegate.kinds.task import TaskConfig

# A task is of the class that its `kind` names.
AnyTask = Annotated[SerializeAsAny[TaskConfig], Tagged(KINDS, lambda kind: kind.config)]


class SuppressionConfig(Closed):
    """Logit suppression: tokens already produced often are made less likely (METHODS: Chung et al. 2023, section 3.1).

    bias_t = max(floor, scale * p_t), p_t = the token's share of all produced tokens of its group, in percent.
    """

    group: Literal["run", "label"] = "run"
    """One table for the whole run (as the paper reads), or one per label."""
    top_k: int | None = Field(default=100, ge=1)
    """Only this many most frequent tokens are suppressed (100 was an API's limit). None: all of them."""
    floor: float = Field(default=-7.5, le=0)
    scale: float = Field(default=-7.5, le=0)
    """Bias for each percent of share."""
    order: Literal["before_temperature", "after_temperature"] = "before_temperature"
    """Add the bias before logits are divided by the temperature (its effect is then bias / T), or after."""
    exempt: list[str] = Field(default_factory=list)
    """Further texts whose tokens are never suppressed."""
    exempt_terminators: bool = True
    """Never suppress stop strings, quotes, newlines and the end of sequence: they end an item."""
    min_tokens: int = Field(default=300, ge=0)
    """A table of fewer tokens counts as one of this many: some 20 texts, what the paper's first table knows. Without it the first
    text of a label would send each of its words to the floor, and the next texts off the subject."""
    faithful: bool = False
    """The paper's exact behaviour: one table, the 100 most frequent tokens, no token exempt."""

    @model_validator(mode="after")
    def _faithful(self) -> SuppressionConfig:
        paper = {
            "group": "run",
            "top_k": 100,
            "floor": -7.5,
            "scale": -7.5,
            "order": "before_temperature",
            "exempt": [],
            "exempt_terminators": False,
            "min_tokens": 0,
        }
        if self.faithful:
            wrong = [name for name in sorted(self.model_fields_set & set(paper)) if getattr(self, name) != paper[name]]
            if wrong:
                raise ValueError(f"faithful: true fixes {', '.join(wrong)}: leave it out, or set faithful: false")
            for name, value in paper.items():
                object.__setattr__(self, name, value)
        return self


class DecodingConfig(Closed):
    temperature: float = Field(default=1.0, ge=0)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    """0 is off."""
    min_p: float = Field(default=0.0, ge=0, le=1)
    frequency_penalty: float = Field(default=0.0, ge=-2, le=2)
    presence_penalty: float = Field(default=0.0, ge=-2, le=2)
    repetition_penalty: float = Field(default=1.0, gt=0)
    max_tokens: int = Field(default=100, ge=1)
    """Of an answer. promptmix, whose answers hold several texts: 256."""
    stop: list[str] | None = None
    """Strings that end a text. None: a double quote for plain-text prompts, nothing for chat models."""
    suppression: SuppressionConfig | None = None

    @model_validator(mode="after")
    def _one_order(self) -> DecodingConfig:
        if self.suppression is not None and self.repetition_penalty != 1.0:
            raise ValueError(
                "repetition_penalty and suppression do not commute, and vLLM's two model runners apply them in opposite orders: "
                "use frequency_penalty or presence_penalty, or leave one of the two out"
            )
        return self


class TargetConfig(Closed):
    per_label: int = Field(default=100, ge=1)
    """Kept records wanted of each label."""
    max_attempts: float = Field(default=3.0, ge=1)
    """Requests made for a label before the run gives up on it, as a multiple of `per_label`."""


class RoundsConfig(Closed):
    """How much is asked before what came back is fed in again: into the suppression table, the pool, the chats.

    A block is what is asked under one state. Where nothing is fed back there is one block.
    """

    first: int | None = Field(default=None, ge=1)
    """Requests of each label in its first block. None: 32 shared out over the labels, at least 1 and at most 20; where every
    call has a long prompt of its own (more than some 1,000 tokens), a whole call."""
    growth: float = Field(default=1.0, ge=0)
    """A later block has this many times the requests that were made before it (never fewer than the first)."""
    faithful: bool = False
    """Chung et al.'s beat: one call of one label at a time (`strategy.completions_per_call` texts), the labels in turn."""
    shard: int = Field(default=4096, ge=1)
    """Requests that an engine is given at once. A block is stored shard by shard, so that a kill loses one at most."""

    @model_validator(mode="after")
    def _one_beat(self) -> RoundsConfig:
        if self.faithful and (self.first is not None or self.growth != 1.0):
            raise ValueError("faithful: true fixes first and growth: leave them out, or set faithful: false")
        return self


class DuplicatesConfig(Closed):
    exact: bool = True
    """Drop a text equal to a kept one after Unicode, case and white-space folding."""
    near: float | None = Field(default=0.9, gt=0, le=1)
    """Drop a text whose word-trigram Jaccard similarity to a kept one is at least this; None keeps them."""
    against_train: bool = True
    """Also drop copies of the real examples that stand in the pool."""


class RunConfig(Closed):
    task: AnyTask
    model: ModelConfig
    strategy: AnyStrategyConfig
    decoding: DecodingConfig = DecodingConfig()
    target: TargetConfig = TargetConfig()
    rounds: RoundsConfig = RoundsConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
    keep_unfinished: bool = False
    """Keep texts that max_tokens cut off."""
    logprobs: bool = False
    """Store each text's log-probability under the model (before suppression and temperature)."""
    seed: int = Field(default=0, ge=0)
    output: str
    """The run folder, relative to the working directory."""

    @model_validator(mode="after")
    def _strategy_serves_the_task(self) -> RunConfig:
        if not {self.task.kind, *KINDS.find(self.task.kind).like} & set(self.strategy.serves):
            raise ValueError(
                f"strategy {self.strategy.kind} does not serve tasks of kind {self.task.kind!r}, but {', '.join(self.strategy.serves)}"
            )
        self.strategy.check_task(self.task)
        return self

    @model_validator(mode="after")
    def _strategys_decoding(self) -> RunConfig:
        """What the run file leaves open is as the strategy has it."""
        own = {name: value for name, value in self.strategy.decoding.items() if name not in self.decoding.model_fields_set}
        if own:
            object.__setattr__(self, "decoding", self.decoding.model_copy(update=own))
        return self

    @model_validator(mode="after")
    def _seeds_need_data(self) -> RunConfig:
        number = self.strategy.num_seeds(len(self.task.labels))
        if number and not (self.task.data and self.task.data.train):
            raise ValueError(
                f"strategy {self.strategy.kind} takes {number} real examples, but the task has no data.train: name a file there, or ask for "
                "no examples (few_shot: strategy.seed_pool: 0; promptmix: strategy.shots: 0)"
            )
        return self

    @model_validator(mode="after")
    def _works_need_data(self) -> RunConfig:
        if self.strategy.judging is not None:
            if not (self.task.data and self.task.data.train):
                raise ValueError(
                    f"strategy {self.strategy.kind} looks for the errors of a student in real examples, and the task has no data.train: name a"
                    " file there"
                )
            student = getattr(self.strategy, "student", None)
            fitting = KINDS.find(self.task.kind).students
            if student is not None and student.kind not in fitting:
                raise ValueError(
                    f"strategy.student: {student.kind} cannot learn task kind {self.task.kind!r}: choose one of {', '.join(fitting) or 'none'}"
                )
            if len(self.task.labels) == 1:
                raise ValueError(
                    f"strategy {self.strategy.kind} trains a student, and the task has one label, {next(iter(self.task.labels))!r}: a classifier"
                    " needs two at least"
                )
        return self

    @model_validator(mode="after")
    def _faithful_beat(self) -> RunConfig:
        """Faithful suppression learns from one call at a time: that is part of the paper's behaviour."""
        suppression = self.decoding.suppression
        if suppression is not None and suppression.faithful and not self.rounds.faithful:
            if self.rounds.first is not None or self.rounds.growth != 1.0:
                raise ValueError("decoding.suppression.faithful: true fixes rounds.first and rounds.growth: leave them out")
            object.__setattr__(self, "rounds", self.rounds.model_copy(update={"faithful": True}))
        return self
