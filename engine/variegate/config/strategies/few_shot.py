"""Settings of `few_shot`, in Chung's or Li's form."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from variegate.config.strategies.forms import FormConfig


class FewShotConfig(FormConfig):
    name: ClassVar[str] = "few_shot"

    kind: Literal["few_shot"]
    form: Literal["chung", "li"] = "chung"
    """`chung`: one complete block per example. `li`: a list of examples, to be imitated but not edited."""
    seed_pool: int = Field(default=18, ge=0)
    """Real training examples in the pool at the start, balanced over the labels (Chung et al.: 18, or 0 for none)."""
    grow_pool: bool = True
    """Generated records enter the pool at each barrier."""
    num_examples: int | None = Field(default=None, ge=1)
    """Examples in a prompt. None: one for every label (Chung et al.), as far as the pool has one."""
    own_label_only: bool = False
    """Take the examples from the asked label alone."""

    def num_seeds(self, num_labels: int) -> int:
        return self.seed_pool

    def template_names(self) -> tuple[str, ...]:
        return self.form_templates() if self.form == "chung" else (*self.form_templates(), "li_examples")

    def words(self) -> str:
        how = "one block per example, drawn at random from the pool (Chung et al.)"
        if self.form == "li":
            how = "a list of examples to imitate but not to edit (Li et al.)"
        pool = "generated texts join the pool" if self.grow_pool else "the pool stays as it is"
        return f"few-shot: {how}; {self.seed_pool} real examples at the start, {pool}"

    @model_validator(mode="after")
    def _source_of_examples(self) -> FewShotConfig:
        if self.seed_pool == 0 and not self.grow_pool:
            raise ValueError(
                "seed_pool: 0 with grow_pool: false leaves no examples: set seed_pool above 0, grow_pool: true, or use zero_shot"
            )
        return self


CONFIG = FewShotConfig
