"""A field whose `kind` says which model it is, out of a registry: task kinds and strategies, built in or installed.

Errors name fields without a tag between, as those of any other field; the JSON Schema names the built-in ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Annotated, Any, Union

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError, core_schema

from variegate.errors import UsageError
from variegate.registry import Registry

_installed: ContextVar[bool] = ContextVar("_installed", default=False)


@contextmanager
def with_installed() -> Iterator[None]:
    """JSON Schemas made inside hold what packages add too; outside they hold what is built in, the same on every machine."""
    token = _installed.set(True)
    try:
        yield
    finally:
        _installed.reset(token)


@dataclass(frozen=True)
class Tagged:
    """Beside a field's base class: `task: Annotated[SerializeAsAny[TaskConfig], Tagged(KINDS, lambda kind: kind.config)]`.

    model_of: a registry's member -> its pydantic model, which derives from that class and has a field `kind`.
    """

    registry: Registry[Any]
    model_of: Callable[[Any], type[BaseModel]]

    def models(self, value: Any) -> list[type[BaseModel]]:
        """What `value` can be: the one that its `kind` names, or all that are built in."""
        kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
        if isinstance(kind, str) and kind in self.registry.names():
            return [self.model_of(self.registry.find(kind))]
        return [self.model_of(member) for member in self.registry.builtin().values()]

    def validate(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict):
            raise ValueError(f"expected a mapping with `kind`, one of: {', '.join(self.registry.names())}")
        try:
            model = self.model_of(self.registry.find(value["kind"] if isinstance(value.get("kind"), str) else repr(value.get("kind"))))
        except UsageError as error:
            said = str(error) if "kind" in value else f"name one of: {', '.join(self.registry.names())}"
            wrong = PydanticCustomError("unknown_kind", "{said}", {"said": said})
            place = InitErrorDetails(type=wrong, loc=("kind",), input=value.get("kind"))
            raise ValidationError.from_exception_data(self.registry.what, [place]) from error
        return model.model_validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.validate, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        names = self.registry.names() if _installed.get() else list(self.registry.builtin())
        models = [self.model_of(self.registry.find(name)) for name in names]
        union: Any = Annotated[Union[tuple(models)], Field(discriminator="kind")] if len(models) > 1 else models[0]  # noqa: UP007
        return handler(TypeAdapter(union).core_schema)
