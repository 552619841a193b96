"""A field whose `kind` says which model it is, out of a registry: task kinds and strategies, built in or installed.

Errors name fields without a tag between, as those of any other field; the JSON Schema names the built-in ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, GetJsonSchemaHandler, SerializeAsAny
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from variegate.errors import UsageError
from variegate.registry import Registry


@dataclass(frozen=True)
class Tagged:
    """model_of: a registry's member -> its pydantic model, which has a field `kind`."""

    registry: Registry[Any]
    model_of: Callable[[Any], type[BaseModel]]

    def find(self, kind: str) -> type[BaseModel]:
        """Raises UsageError that names those there are."""
        return self.model_of(self.registry.find(kind))

    def builtin(self) -> list[type[BaseModel]]:
        return [self.model_of(member) for member in self.registry.builtin().values()]

    def validate(self, value: Any) -> Any:
        if isinstance(value, BaseModel):
            return value
        if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
            raise ValueError(f"expected a mapping with `kind`, one of: {', '.join(self.registry.names())}")
        try:
            model = self.find(value["kind"])
        except UsageError as error:
            raise ValueError(str(error)) from error
        return model.model_validate(value)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"oneOf": [handler(model.__pydantic_core_schema__) for model in self.builtin()]}


def tagged(base: Any, registry: Registry[Any], model_of: Callable[[Any], type[BaseModel]]) -> Any:
    """The type of such a field. base: what all of the models derive from."""
    by_kind = Tagged(registry, model_of)
    return Annotated[base, SerializeAsAny(), BeforeValidator(by_kind.validate), by_kind]  # type: ignore[type-arg]
