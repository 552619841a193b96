"""What every task file holds, whatever its kind: name, text type, labels, real data. A kind's own class adds to it.

Knows nothing of records.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from variegate.closed import Closed, Name, Text

# Columns that every record has, as generated, curated or exported: no kind may call a text of its own so.
RESERVED = frozenset(
    ("id", "label", "origin", "extra", "given_label", "confidence", "reasons", "strategy", "form", "model", "suppression", "bias", "round",
     "block", "slot", "seed", "parents", "alpha", "temperature", "finish_reason", "num_prompt_tokens", "num_tokens", "logprob", "facts")
)  # fmt: skip


class LabelConfig(Closed):
    phrase: Text
    """What the text covers, as a short phrase (Chung et al.'s element): `expressing joy`."""
    description: Text
    """One sentence that tells this label from its neighbours."""
    title: str = ""
    """The label as written in prompts; the label's name with spaces for underscores when empty."""


class DataConfig(Closed):
    """Real data, as JSONL or CSV. Relative paths are tried beside the task file, then under VARIEGATE_DATA."""

    train: str | None = None
    dev: str | None = None
    test: str | None = None
    label_field: str = "label"
    out_of_scope_label: str | None = None
    """A label in the data that is not one of the task's: its rows are out of scope."""
    overlap: Literal["error", "leave_out"] = "error"
    """A training text that also stands in dev or test is never used as an example in prompts: drawing it is an error that names
    it, or such texts are left out of the draw (many public data sets hold a few)."""


class TaskConfig(Closed):
    kind: str
    name: Name
    text_type: Text
    """What a model writes: a singular noun phrase without article: `movie review`."""
    context: Text
    """One sentence that puts the model into the domain (Li et al.'s context prompt)."""
    labels: dict[Text, LabelConfig] = Field(min_length=1)
    style: str | None = None
    """How the texts should be written, as a short phrase."""
    word_limit: int | None = Field(default=None, ge=1)
    """The longest text asked for, in words."""
    data: DataConfig | None = None
    source: str | None = None
    licence: str | None = None

    @field_validator("labels")
    @classmethod
    def _labels(cls, labels: dict[str, LabelConfig]) -> dict[str, LabelConfig]:
        filled = {
            name: label if label.title else label.model_copy(update={"title": name.replace("_", " ").strip()})
            for name, label in labels.items()
        }
        titles: dict[str, str] = {}
        for name, label in filled.items():
            if label.title in titles:
                raise ValueError(
                    f"labels {titles[label.title]!r} and {name!r} have one title, {label.title!r}: give one of them another `title`"
                )
            titles[label.title] = name
        return dict(sorted(filled.items()))  # sorted: a label's position never depends on the file's order

    @model_validator(mode="after")
    def _out_of_scope(self) -> Any:
        if self.data and self.data.out_of_scope_label in self.labels:
            raise ValueError(f"data.out_of_scope_label {self.data.out_of_scope_label!r} is also one of the labels")
        return self
