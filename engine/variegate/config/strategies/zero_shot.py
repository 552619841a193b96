"""Settings of `zero_shot`, in Chung's or Li's form."""

from __future__ import annotations

from typing import ClassVar, Literal

from variegate.config.strategies.forms import FormConfig


class ZeroShotConfig(FormConfig):
    name: ClassVar[str] = "zero_shot"
    default_history: ClassVar[int] = 4

    kind: Literal["zero_shot"]
    form: Literal["chung", "li"] = "li"
    """`chung`: an instruction, the label phrase, an open quotation. `li`: a context prompt, a generation prompt with
    style, label and word limit, and a diversity prompt that carries the last outputs (4, unless `history` says otherwise)."""

    def template_names(self) -> tuple[str, ...]:
        return self.form_templates()

    def words(self) -> str:
        if self.form == "chung":
            return "zero-shot: an instruction, the label's phrase and an open quotation (Chung et al.)"
        return "zero-shot: context, generation and diversity prompts (Li et al.)"


CONFIG = ZeroShotConfig
