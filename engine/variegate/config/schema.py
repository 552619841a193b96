"""JSON Schema of the config files, for editors' completion and checks. `configs/schema/` holds it committed."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from variegate.config.model import ModelConfig
from variegate.config.run import RunConfig
from variegate.config.task import TaskConfig

_MODELS: dict[str, Any] = {"task": TaskConfig, "model": ModelConfig, "run": RunConfig}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of `task`, `model` or `run` files as users write them (a run's task and model may be names)."""
    schema = TypeAdapter(_MODELS[kind]).json_schema()
    schema.pop("title", None)  # the class name, which would replace ours
    if kind == "run":
        for name in ("task", "model"):
            full = schema["properties"][name]
            schema["properties"][name] = {"anyOf": [{"type": "string", "description": f"A bundled {name}'s name, or a path."}, full]}
        schema["required"] = [name for name in schema["required"] if name != "output"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Variegate {kind} file", **schema}
