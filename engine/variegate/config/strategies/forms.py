"""The two papers' forms of a prompt, `chung` and `li`, which zero_shot and few_shot share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from variegate.config.strategies.base import StrategyConfig

CITATIONS = {
    "chung": "John Joon Young Chung, Ece Kamar, Saleema Amershi. *Increasing Diversity While Maintaining Accuracy: Text Data"
    " Generation with Large Language Models and Human Interventions.* ACL 2023.",
    "li": "Zhuoyan Li, Hangxiao Zhu, Zhuoran Lu, Ming Yin. *Synthetic Data Generation with Large Language Models for Text"
    " Classification: Potential and Limitations.* EMNLP 2023.",
}


class FormConfig(StrategyConfig):
    """`history` and `chats_per_label` belong to Li's form; None stands for their default there."""

    serves: ClassVar[tuple[str, ...]] = ("classification", "pair")
    default_history: ClassVar[int] = 0

    form: Literal["chung", "li"]
    completions_per_call: int = Field(default=20, ge=1)
    """Completions asked of one prompt (Chung et al.: 20)."""
    history: int | None = Field(default=None, ge=0)
    """Li's form: how many of a chat's last outputs its next prompt carries. 0 leaves the diversity prompt away."""
    chats_per_label: int | None = Field(default=None, ge=1)
    """Li's form with a history: chats that run side by side for each label, 20 where nothing is said. A block of requests is
    then at most one turn of every chat."""

    @model_validator(mode="after")
    def _filled_in(self) -> FormConfig:
        if self.form == "chung":
            self.refuse({"history": self.history, "chats_per_label": self.chats_per_label}, "belongs to form `li`, and the form is `chung`")
            return self
        if self.history is None:
            object.__setattr__(self, "history", self.default_history)
        if not self.history:
            self.refuse({"chats_per_label": self.chats_per_label}, "chats need a history, and `history` is 0")
        elif self.chats_per_label is None:
            object.__setattr__(self, "chats_per_label", 20)
        return self

    def form_templates(self) -> tuple[str, ...]:
        if self.form == "chung":
            return ("chung_block", "given", "li_context", "chung_chat", "chat_text")
        chats = ("li_history", "li_diversity", "chat_another") if self.history != 0 else ()
        return ("li_context", "li_generate", "given", "cue", "chat_text", *chats)

    def citation(self) -> str:
        return CITATIONS[self.form]
