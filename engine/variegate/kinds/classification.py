"""One text, one label."""

from __future__ import annotations

from variegate.kinds import Fields
from variegate.records import Target


class Classification:
    name = "classification"
    columns = {"text": "string", "label": "label"}  # noqa: RUF012  # a constant of the protocol
    written = "text"
    students = ("finetuned", "linear")
    scores = ("accuracy", "macro_f1")

    def target(self, fields: Fields) -> Target:
        return Target((fields["label"],))

    def assemble(self, target: Target, text: str) -> Fields | str:
        return {"text": text, "label": target.labels[0]}

    def equal(self, fields: Fields) -> str:
        return fields["text"]

    def embed(self, fields: Fields) -> str:
        return fields["text"]

    def texts(self, fields: Fields) -> tuple[str, ...]:
        return (fields["text"],)

    def show(self, fields: Fields) -> str:
        return fields["text"]

    def gold(self, fields: Fields) -> str:
        return fields["label"]


KIND = Classification()
