"""How prompts are made. Two families so far: `zero_shot` and `few_shot`, each in Chung's or Li's form."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from variegate.closed import Closed


class _PromptConfig(Closed):
    templates: dict[str, str] = Field(default_factory=dict)
    """Jinja2 texts in place of the built-in templates, by name (`variegate plan` shows the filled-in prompts)."""
    completions_per_call: int = Field(default=20, ge=1)
    """Completions asked of one prompt (Chung et al.: 20)."""


class ZeroShotConfig(_PromptConfig):
    kind: Literal["zero_shot"]
    form: Literal["chung", "li"] = "li"
    """`chung`: an instruction, the label phrase, an open quotation. `li`: a context prompt, a generation prompt with
    style, label and word limit, and a diversity prompt that carries the last outputs."""
    history: int = Field(default=4, ge=0)
    """Li's form: how many of a chat's last outputs its next prompt carries. 0 leaves the diversity prompt away."""
    chats_per_label: int = Field(default=20, ge=1)
    """Li's form with a history: chats that run side by side for each label. A round is then one turn of every chat,
    whatever `rounds` says."""


class FewShotConfig(_PromptConfig):
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
    history: int = Field(default=0, ge=0)
    """Li's form: last outputs carried by the diversity prompt."""
    chats_per_label: int = Field(default=20, ge=1)
    """As in zero_shot."""

    @model_validator(mode="after")
    def _source_of_examples(self) -> FewShotConfig:
        if self.seed_pool == 0 and not self.grow_pool:
            raise ValueError(
                "seed_pool: 0 with grow_pool: false leaves no examples: set seed_pool above 0, grow_pool: true, or use zero_shot"
            )
        return self


StrategyConfig = Annotated[ZeroShotConfig | FewShotConfig, Field(discriminator="kind")]
