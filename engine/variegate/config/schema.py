"""JSON Schema of the config files, for editors' completion and checks. `configs/schema/` holds it committed."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from pydantic import TypeAdapter

from variegate.config.curation import CurationConfig
from variegate.config.model import ModelConfig
from variegate.config.run import AnyTask
from variegate.config.stages import RunFile
from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.config.student import AnyStudentConfig
from variegate.config.study import StudyConfig
from variegate.config.tagged import with_installed

_MODELS: dict[str, Any] = {
    "task": AnyTask,
    "model": ModelConfig,
    "run": RunFile,
    "student": AnyStudentConfig,
    "curation": CurationConfig,
    "study": StudyConfig,
}
KINDS = tuple(_MODELS)


def json_schema(kind: str, *, installed: bool = False) -> dict[str, Any]:
    """The schema of files of a kind (see KINDS) as users write them: a run's task, model, curation and student, a curation's oracle
    and models, a study's run, students and curations may be names.

    installed: with what packages add, so that the schema holds on this machine. Without, it is the same on every machine.
    """
    with with_installed() if installed else nullcontext():
        schema = TypeAdapter(_MODELS[kind]).json_schema()
    schema.pop("title", None)  # the class name, which would replace ours
    if kind == "run":
        _allow_names_in_run(schema)
        _allow_names_in_strategies(schema["$defs"])
        _allow_names_in_stages(schema)
    if kind == "curation":
        _allow_names_in_curation(schema, schema["$defs"])
    if kind == "study":
        _allow_names_in_study(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"Variegate {kind} file", **schema}


def _or_name(kind: str, full: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "string", "description": f"A bundled {kind}'s name, or a path."}, full]}


def _allow_names_in_run(schema: dict[str, Any]) -> None:
    for name in ("task", "model"):
        schema["properties"][name] = _or_name(name, schema["properties"][name])
    schema["required"] = [name for name in schema["required"] if name != "output"]


def _allow_names_in_strategies(parts: dict[str, Any]) -> None:
    for config in STRATEGY_CONFIGS.builtin().values():
        properties = parts[config.__name__]["properties"]
        if "student" in properties:
            properties["student"] = _or_name("student", properties["student"])


def _allow_names_in_stages(schema: dict[str, Any]) -> None:
    _allow_names_in_curation(schema["$defs"]["CurateConfig"], schema["$defs"])
    schema["properties"]["curate"]["anyOf"].insert(0, {"type": "string", "description": "A bundled curation's name, or a path."})
    train = schema["$defs"]["TrainConfig"]["properties"]
    train["student"] = _or_name("student", train["student"])


def _allow_names_in_curation(schema: dict[str, Any], parts: dict[str, Any]) -> None:
    schema["properties"]["oracle"] = _or_name("student", schema["properties"]["oracle"])
    model = parts["RelabelStage"]["properties"]["model"]
    model["anyOf"].insert(0, {"type": "string", "description": "A bundled model's name, or a path."})


def _allow_names_in_study(schema: dict[str, Any]) -> None:
    parts, properties = schema["$defs"], schema["properties"]
    _allow_names_in_run(parts["RunConfig"])
    _allow_names_in_strategies(parts)
    _allow_names_in_curation(parts["CurationConfig"], parts)
    for name, kind in (("run", "run"), ("oracle", "student")):
        properties[name] = _or_name(kind, properties[name])
    properties["student"]["anyOf"].insert(0, {"type": "string", "description": "A bundled student's name, or a path."})
    (pattern, full), *_ = properties["curations"]["patternProperties"].items()
    properties["curations"]["patternProperties"][pattern] = _or_name("curation", full)
    schema["required"] = [name for name in schema["required"] if name not in ("name", "output")]
