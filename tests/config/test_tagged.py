"""A field whose `kind` chooses its model, on two models of this file."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from variegate.config.base import Closed
from variegate.config.load import validated
from variegate.config.tagged import tagged
from variegate.errors import ConfigError
from variegate.registry import Registry


class Shape(Closed):
    kind: str


class Circle(Shape):
    kind: Literal["circle"]
    radius: float = 1.0


class Square(Shape):
    kind: Literal["square"]
    side: float = 1.0


class Shapes(Registry[Any]):
    """A registry whose room is this file."""

    def names(self) -> list[str]:
        return ["circle", "square"]

    def builtin(self) -> dict[str, Any]:
        return {"circle": Circle, "square": Square}

    def find(self, name: str) -> Any:
        return self.builtin().get(name) or super().find(name)


AnyShape = tagged(Shape, Shapes("shape", "variegate.kinds", "SHAPE", "variegate.test_shapes"), lambda model: model)


class Drawing(Closed):
    shape: AnyShape  # type: ignore[valid-type]
    others: dict[str, AnyShape] = Field(default_factory=dict)  # type: ignore[valid-type]


def test_the_kind_chooses_the_model_and_all_its_fields_are_dumped() -> None:
    drawing = Drawing.model_validate({"shape": {"kind": "circle", "radius": 2}, "others": {"a": {"kind": "square"}}})
    assert drawing.shape == Circle(kind="circle", radius=2)
    assert drawing.model_dump() == {"shape": {"kind": "circle", "radius": 2.0}, "others": {"a": {"kind": "square", "side": 1.0}}}
    assert Drawing.model_validate(drawing.model_dump()) == drawing


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ({"kind": "circle", "radios": 2}, "unknown key 'shape.radios'; did you mean 'radius'? Known here: kind, radius"),
        ({"kind": "circle", "radius": "wide"}, "shape.radius: Input should be a valid number"),
        ({"radius": 2}, "shape: expected a mapping with `kind`, one of: circle, square"),
        (3, "shape: expected a mapping with `kind`, one of: circle, square"),
    ],
)
def test_errors_name_the_field_without_a_tag(shape: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        validated(Drawing, {"shape": shape}, "x.yaml")
    assert f"x.yaml: {said}" in str(caught.value)
    with pytest.raises(ConfigError, match=r"unknown key .others\.b\.syde'; did you mean 'side'"):
        validated(Drawing, {"shape": {"kind": "circle"}, "others": {"b": {"kind": "square", "syde": 1}}}, "x.yaml")


def test_the_schema_names_the_models() -> None:
    shape = TypeAdapter(Drawing).json_schema()["properties"]["shape"]
    assert [part["properties"]["kind"]["const"] for part in shape["oneOf"]] == ["circle", "square"]


def test_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(ValidationError, match="no shape 'cirle'; did you mean 'circle'"):
        Drawing.model_validate({"shape": {"kind": "cirle"}})
