"""Paths as they stand in the file: a label or a key that is called like a kind is no tag of a union."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from variegate.closed import Closed
from variegate.config.curation import CurationConfig
from variegate.config.explain import explain
from variegate.config.run import AnyTask
from variegate.config.student import StudentConfig

LABEL = {"phrase": "p", "description": "d"}
TASK = {"kind": "classification", "name": "n", "text_type": "t", "context": "c", "labels": {"relabel": LABEL}}


class Long(Closed):
    kind: Literal["long", "longer"]
    metres: float = 1


class Heavy(Closed):
    kind: Literal["heavy"]
    kilos: float = 1


class Holder(Closed):
    things: dict[str, Annotated[Long | Heavy, Field(discriminator="kind")]] = Field(default_factory=dict)
    one: Annotated[Long | Heavy, Field(discriminator="kind")] | None = None


def said(model: Any, value: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(model).validate_python(value)
    return explain(caught.value, model, value, "f")


@pytest.mark.parametrize(
    ("model", "value", "expected"),
    [
        (AnyTask, {**TASK, "labels": {"relabel": {**LABEL, "phrasse": "x"}}}, "unknown key 'labels.relabel.phrasse'; did you mean"),
        (AnyTask, {**TASK, "labels": {"finetune": {"phrase": "p"}}}, "labels.finetune.description is missing: add it"),
        (
            AnyTask,
            {**TASK, "contxt": "x"},
            "unknown key 'contxt'; did you mean 'context'? Known here: context, data, kind, labels, licence",
        ),
        (AnyTask, {**TASK, "data": {"text_feld": "x"}}, "unknown key 'data.text_feld'; did you mean 'text_field'?"),
        (AnyTask, {**TASK, "kind": "clasification"}, "kind: no task kind 'clasification'; did you mean 'classification'? Known: "),
        (AnyTask, {name: TASK[name] for name in TASK if name != "kind"}, "kind: name one of: classification"),
        (Holder, {"things": {"heavy": {"kind": "long", "kilos": 2}}}, "unknown key 'things.heavy.kilos'. Known here: kind, metres"),
        (Holder, {"things": {"x": {"kind": "longer", "metres": "y"}}}, "things.x.metres: Input should be a valid number"),
        (Holder, {"one": {"kind": "heavy", "kilo": 1}}, "unknown key 'one.kilo'; did you mean 'kilos'? Known here: kilos, kind"),
        (StudentConfig, {"kind": "finetune", "epoch": 1}, "unknown key 'epoch'; did you mean 'epochs'?"),
        (CurationConfig, {"stages": [{"kind": "duplicates"}, {"kind": "relabel", "marge": 1}]}, "unknown key 'stages.1.marge'; did you"),
        (CurationConfig, {"stages": []}, "stages: List should have at least 1 item"),
        (CurationConfig, [], "(top level): Input should be a valid dictionary"),
    ],
)
def test_one_line_a_problem(model: Any, value: Any, expected: str) -> None:
    line = said(model, value)
    assert line.startswith(f"f: {expected}")
    assert "\n" not in line
