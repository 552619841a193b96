"""What the settings of every strategy have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, model_validator

from variegate.closed import Closed
from variegate.errors import nearest
from variegate.kinds.task import TaskConfig


@dataclass(frozen=True, slots=True)
class Judging:
    """Real examples that a run's works are judged by while it goes on.

    validation: examples whose texts may stand in prompts. select: others, by which the run decides and its students stop.
    None: all of the task's train data, for both.
    """

    validation: int | None
    select: int | None


class StrategyConfig(Closed):
    """Derived classes state `name` (the tag in a run file), `serves` and, in `template_names`, the templates they fill in."""

    name: ClassVar[str]
    serves: ClassVar[tuple[str, ...]] = ("classification",)
    """Kinds of tasks."""
    works: ClassVar[bool] = False
    """Whether it asks for works beside requests. The engine then lives in a process of its own and rests meanwhile."""
    decoding: ClassVar[Mapping[str, Any]] = {}
    """Fields of a run's `decoding` that have another default with this strategy."""

    kind: str
    templates: dict[str, str] = Field(default_factory=dict)
    """Jinja2 texts in place of the built-in templates, by name (`variegate plan` shows the filled-in prompts)."""

    def num_seeds(self, num_labels: int) -> int:
        """Real training examples that a run of a task with so many labels draws before it begins, as evenly over them as possible."""
        return 0

    @property
    def judging(self) -> Judging | None:
        """The real examples that its works are judged by; None for none."""
        return None

    def check_task(self, task: TaskConfig) -> None:
        """Raise ValueError where the strategy cannot serve this task, though it serves its kind."""

    def template_names(self) -> tuple[str, ...]:
        """The templates that these settings make use of: only they may be overridden."""
        raise NotImplementedError(f"{type(self).__name__}.template_names: every strategy names its templates")

    def words(self) -> str:
        """What the strategy does, in a line for the report and the data set card."""
        raise NotImplementedError(f"{type(self).__name__}.words: every strategy says what it does")

    def citation(self) -> str | None:
        """The paper, for the data set card; None where there is none."""
        return None

    @model_validator(mode="after")
    def _only_its_templates(self) -> StrategyConfig:
        known = self.template_names()
        for name in self.templates:
            if name not in known:
                raise ValueError(
                    f"templates.{name}: {self.kind} with these settings has no such template{nearest(name, known)} It uses: {', '.join(known)}"
                )
        return self

    def refuse(self, unused: Mapping[str, Any], why: str) -> None:
        """Raise ValueError for the first of `unused` (option -> its value) that is set: it would do nothing."""
        for name, value in unused.items():
            if value is not None:
                raise ValueError(f"{name}: {why}: leave it out")
