"""What pydantic found wrong with a value, in the words of the file it stands in: field, problem, what was found, the nearest name.

Walks classes and value side by side, so that a field whose class is chosen by `kind` is known by its own names.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from variegate.config.tagged import Tagged
from variegate.errors import nearest


def explain(error: ValidationError, model: Any, value: Any, where: str) -> str:
    """One line per problem. model: what `value` was validated as: a class, or any annotation of one."""
    lines = []
    for each in error.errors():
        path = tuple(each["loc"])
        parts, names = _walk(model, value, path)
        field = ".".join(str(part) for part in parts) or "(top level)"
        if each["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key {field!r}{nearest(str(path[-1]), names)} Known here: {', '.join(names)}")
        elif each["type"] == "missing":
            lines.append(f"{where}: {field} is missing: add it")
        else:
            found = each.get("input")
            told = isinstance(found, Mapping | list | BaseModel) or each["type"] == "unknown_kind"
            lines.append(f"{where}: {field}: {each['msg'].removeprefix('Value error, ')}{'' if told else f' (got {found!r})'}")
    return "\n".join(lines)


def _walk(annotation: Any, value: Any, path: tuple[Any, ...]) -> tuple[list[Any], list[str]]:
    """(the parts of `path` that are fields, keys or places and not the tag of a union; the names known beside the last of them)"""
    shown: list[Any] = []
    known: list[str] = []
    for part in path:
        models = _models(annotation, value)
        tagged = [model for model in models if len(models) > 1 and part in _tags(model)]
        if tagged:
            annotation = tagged[0]
            continue
        shown.append(part)
        known = sorted({name for model in models for name in model.model_fields})
        fields = [model.model_fields[part] for model in models if part in model.model_fields]
        annotation = fields[0].rebuild_annotation() if fields else _inside(annotation)
        value = _step(value, part)
    return shown, known


def _models(annotation: Any, value: Any) -> list[type[BaseModel]]:
    """The classes that `value` can be of, where `annotation` stands."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) is Annotated:
        for mark in annotation.__metadata__:
            if isinstance(mark, Tagged):
                return mark.models(value)
        return _models(get_args(annotation)[0], value)
    if get_origin(annotation) in (Union, UnionType):
        return [model for argument in get_args(annotation) for model in _models(argument, value)]
    return []


def _inside(annotation: Any) -> Any:
    """What a list's places or a mapping's keys lead to; None where it is neither."""
    if get_origin(annotation) is Annotated:
        return _inside(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next((found for argument in get_args(annotation) if (found := _inside(argument)) is not None), None)
    return get_args(annotation)[-1] if get_origin(annotation) in (list, dict) else None


def _step(value: Any, part: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, list) and isinstance(part, int):
        return value[part] if part < len(value) else None
    return getattr(value, str(part), None)


def _tags(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()
