"""A field whose class is chosen by `kind`: pydantic's own union by `discriminator` is what it must agree with."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SerializeAsAny, TypeAdapter, ValidationError

from variegate.closed import Closed
from variegate.config.load import validated
from variegate.config.tagged import Tagged, with_installed
from variegate.errors import ConfigError
from variegate.registry import Registry


class Inner(Closed):
    phrase: str


class Base(Closed):
    kind: str


class Round(Base):
    kind: Literal["round"]
    radius: float
    parts: dict[str, Inner] = Field(default_factory=dict)


class Square(Base):
    kind: Literal["square"]
    side: int = 1


class Plugged(Base):
    kind: Literal["plugged"]


@pytest.fixture
def shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry[Any]:
    """A room with `round` and `square`, and a package that adds `plugged`."""
    (tmp_path / "shapes_room").mkdir()
    (tmp_path / "shapes_room" / "__init__.py").touch()
    source = "from types import SimpleNamespace\nSHAPE = SimpleNamespace(name={!r})\n"
    for name in ("round", "square"):
        (tmp_path / "shapes_room" / f"{name}.py").write_text(source.format(name))
    (tmp_path / "shapes_more.py").write_text(source.format("plugged"))
    (tmp_path / "shapes_more-1.dist-info").mkdir()
    (tmp_path / "shapes_more-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: shapes-more\nVersion: 1\n")
    (tmp_path / "shapes_more-1.dist-info" / "entry_points.txt").write_text("[variegate.test_shapes]\nplugged = shapes_more\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry(what="shape", room="shapes_room", constant="SHAPE", group="variegate.test_shapes")
    for name in [name for name in sys.modules if name.startswith("shapes_")]:
        del sys.modules[name]


@pytest.fixture
def by_kind(shapes: Registry[Any]) -> Any:
    classes: dict[str, type[Base]] = {"round": Round, "square": Square, "plugged": Plugged}
    return Annotated[Base, SerializeAsAny(), Tagged(shapes, lambda shape: classes[shape.name])]


UNION = Annotated[Round | Square, Field(discriminator="kind")]


@pytest.mark.parametrize(
    "value",
    [
        {"kind": "round", "radius": 2, "parts": {"a": {"phrase": "p"}}},
        {"kind": "square"},
        {"kind": "round"},
        {"kind": "round", "radius": "x", "side": 3, "parts": {"a": {"phrase": 1}, "b": {}}},
        {"kind": "square", "side": 1.5},
    ],
)
def test_as_a_union_but_for_the_tag_in_the_path(by_kind: Any, value: dict[str, Any]) -> None:
    class Mine(Closed):
        shape: by_kind

    class Theirs(Closed):
        shape: UNION

    try:
        expected = Theirs.model_validate({"shape": value})
    except ValidationError as error:
        with pytest.raises(ValidationError) as caught:
            Mine.model_validate({"shape": value})
        without_tag = [(each["type"], (each["loc"][0], *each["loc"][2:])) for each in error.errors()]
        assert [(each["type"], each["loc"]) for each in caught.value.errors()] == without_tag
        return
    found = Mine.model_validate({"shape": value})
    assert found.model_dump(mode="json") == expected.model_dump(mode="json")
    assert Mine.model_validate(found.model_dump()) == found
    assert Mine(shape=found.shape).shape is found.shape


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"kind": "round", "radios": 2}, "unknown key 'shape.radios'; did you mean 'radius'? Known here: kind, parts, radius"),
        ({"kind": "round", "radius": "wide"}, "shape.radius: Input should be a valid number"),
        ({"kind": "rond", "radius": 2}, "shape.kind: no shape 'rond'; did you mean 'round'? Known: plugged, round, square"),
        ({"radius": 2}, "shape.kind: name one of: plugged, round, square"),
        ({"kind": 3}, "shape.kind: no shape '3'. Known: plugged, round, square"),
        (3, "shape: expected a mapping with `kind`, one of: plugged, round, square"),
        (Inner(phrase="x"), "shape: Input should be a valid dictionary or instance of Base"),
    ],
)
def test_errors_name_the_field_without_a_tag(by_kind: Any, value: Any, said: str) -> None:
    class Drawing(Closed):
        shape: by_kind
        others: dict[str, by_kind] = Field(default_factory=dict)

    with pytest.raises(ConfigError) as caught:
        validated(Drawing, {"shape": value}, "x.yaml")
    assert f"x.yaml: {said}" in str(caught.value)
    with pytest.raises(ConfigError, match=r"unknown key .others\.b\.syde'; did you mean 'side'"):
        validated(Drawing, {"shape": {"kind": "square"}, "others": {"b": {"kind": "square", "syde": 1}}}, "x.yaml")


def test_the_schema_is_that_of_the_union_and_holds_plugins_when_asked(by_kind: Any) -> None:
    found, expected = TypeAdapter(by_kind).json_schema(), TypeAdapter(UNION).json_schema()
    assert found == expected
    with with_installed():
        more = TypeAdapter(by_kind).json_schema()
    assert set(more["$defs"]) == {*expected["$defs"], "Plugged"}
    assert TypeAdapter(by_kind).json_schema() == expected


def test_the_models_for_a_value(shapes: Registry[Any]) -> None:
    mark = Tagged(shapes, lambda shape: {"round": Round, "square": Square}[shape.name])
    assert mark.models({"kind": "round"}) == [Round]
    assert mark.models(SimpleNamespace(kind="square")) == [Square]
    assert mark.models({"kind": "rond"}) == mark.models(3) == [Round, Square]
