"""Settings of `promptmix`: groups of classes, mixtures of two of them, several texts an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import AfterValidator, Field, model_validator

from variegate.config.strategies.base import StrategyConfig
from variegate.kinds.task import TaskConfig

SHOTS = 2


class Variant(NamedTuple):
    """What a prompt holds. grouped: several classes, not the asked one alone. pairs: a category and a text, again and again."""

    grouped: bool
    described: bool
    shown: bool  # real examples
    mixed: bool
    pairs: bool = False


VARIANTS = {
    "mix": Variant(grouped=True, described=True, shown=True, mixed=True),
    "mix_descriptions": Variant(grouped=True, described=True, shown=False, mixed=True),
    "descriptions": Variant(grouped=True, described=True, shown=False, mixed=False),
    "examples": Variant(grouped=True, described=False, shown=True, mixed=False),
    "pairs": Variant(grouped=True, described=False, shown=True, mixed=False, pairs=True),
    "one_class": Variant(grouped=False, described=True, shown=True, mixed=False),
    "one_class_examples": Variant(grouped=False, described=False, shown=True, mixed=False),
}


def _whole_percent(alpha: float) -> float:
    if abs(alpha * 100 - round(alpha * 100)) > 1e-9:
        raise ValueError(f"{alpha}: not a whole percentage: a prompt says whole ones, such as 0.85")
    return round(alpha * 100) / 100


class PromptMixConfig(StrategyConfig):
    name: ClassVar[str] = "promptmix"
    decoding: ClassVar[Mapping[str, Any]] = {"temperature": 1.0, "max_tokens": 256}

    kind: Literal["promptmix"]
    variant: Literal["mix", "mix_descriptions", "descriptions", "examples", "pairs", "one_class", "one_class_examples"] = "mix"
    """What a prompt holds. `mix` is the paper's method: a group of classes with descriptions and examples, and a request for texts
    that mix two of them. The others leave something of it away: the examples (`mix_descriptions`, its zero-shot form), examples
    and mixing (`descriptions`), descriptions and mixing (`examples`; `pairs`, as a bare sequence of category and text), the other
    classes (`one_class`), those and the description (`one_class_examples`)."""
    group_size: int = Field(default=4, ge=2)
    """Classes of a group, which stand in one prompt. Every cycle draws new groups, with each class in one of them; a class that
    would be left alone joins the last group."""
    shots: int | None = Field(default=None, ge=0)
    """Real examples shown of each class. None: 2 where the variant shows any. 0 with `mix`: the zero-shot form."""
    alphas: list[Annotated[float, Field(ge=0.5, le=1), AfterValidator(_whole_percent)]] | None = Field(default=None, min_length=1)
    """Shares of the asked class, taken in turn. None: drawn, 0.5 + 0.5 Beta(5, 2), rounded to 0.05."""
    requests_per_cycle: int = Field(default=10, ge=1)
    """Requests made of a class before it gets another group and partner."""
    utterances: int = Field(default=3, ge=1)
    """Texts asked for in one answer; all that are read in it are kept."""
    faithful: bool = False
    """As the paper's code does, keep one text of an answer, drawn at random."""

    @property
    def parts(self) -> Variant:
        return VARIANTS[self.variant]

    @property
    def num_shown(self) -> int:
        """Real examples of each class in a prompt."""
        if not self.parts.shown:
            return 0
        return SHOTS if self.shots is None else self.shots

    def num_seeds(self, num_labels: int) -> int:
        return self.num_shown * num_labels

    def check_task(self, task: TaskConfig) -> None:
        if len(task.labels) < 2:
            raise ValueError(
                f"strategy promptmix mixes two classes, and task {task.name!r} has one label, {', '.join(task.labels)}: add another, or use"
                " zero_shot or few_shot"
            )

    def template_names(self) -> tuple[str, ...]:
        return ("li_context", "promptmix_classes", "promptmix_ask")

    def words(self) -> str:
        how = {
            "mix": "mixtures of two classes, in groups of {group} with descriptions{examples}",
            "mix_descriptions": "mixtures of two classes, in groups of {group} with descriptions",
            "descriptions": "no mixing: groups of {group} classes with descriptions",
            "examples": "no mixing: groups of {group} classes{examples}",
            "pairs": "no mixing: groups of {group} classes as pairs of category and text{examples}",
            "one_class": "no mixing: one class, its description{examples}",
            "one_class_examples": "no mixing: one class{examples}",
        }[self.variant]
        shown = f" and {self.num_shown} real examples each" if self.num_shown else ""
        kept = "one drawn at random is kept" if self.faithful else "all are kept"
        return f"PromptMix (Sahu et al.): {how.format(group=self.group_size, examples=shown)}; {self.utterances} texts an answer, {kept}"

    def citation(self) -> str:
        return (
            "Gaurav Sahu, Olga Vechtomova, Dzmitry Bahdanau, Issam H. Laradji. *PromptMix: A Class Boundary Augmentation Method for Large"
            " Language Model Distillation.* EMNLP 2023."
        )

    @model_validator(mode="after")
    def _nothing_without_effect(self) -> PromptMixConfig:
        parts = self.parts
        if not parts.shown:
            self.refuse({"shots": self.shots or None}, f"the variant `{self.variant}` shows no examples")
        elif self.num_shown == 0 and not parts.described:
            raise ValueError(
                f"shots: 0 leaves the variant `{self.variant}` without a word on its classes: show examples, or choose another variant"
            )
        if not parts.mixed:
            self.refuse({"alphas": self.alphas}, f"the variant `{self.variant}` mixes nothing")
        if self.faithful and self.utterances == 1:
            raise ValueError("faithful: true keeps one text of an answer, and utterances: 1 asks for no more: leave one of them out")
        return self


CONFIG = PromptMixConfig
