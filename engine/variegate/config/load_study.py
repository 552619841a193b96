"""Study files to `StudyConfig`: its run, students, curations and models may be bundled names, paths, or stand in the file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from variegate.config.load import (
    apply_overrides,
    assignment,
    build_run,
    find_config,
    load_part_model,
    load_part_task,
    read_yaml,
    resolve_curation,
    validated,
)
from variegate.config.resources import bundled
from variegate.config.run import RunConfig
from variegate.config.stages import SECTIONS
from variegate.config.study import NO_CURATION, StudyConfig
from variegate.errors import ConfigError


def load_study(name: str, overrides: Iterable[str] = (), base: Path | None = None) -> StudyConfig:
    """A study by bundled name or path, after `overrides`: `a.b=c` of the study, `run.a.b=c` of its run, also where that is named.

    Raises ConfigError or UsageError.
    """
    path = find_config("study", name, base or Path())
    where, folder = str(path), path.parent
    given = list(overrides)
    of_run = [each.removeprefix("run.") for each in given if each.startswith("run.")]
    value = apply_overrides(read_yaml(path), [each for each in given if not each.startswith("run.")])
    value = {"name": path.stem, "output": f"runs/studies/{path.stem}", **value}
    for part in ("student", "oracle"):
        if isinstance(value.get(part), str):
            value[part] = read_yaml(find_config("student", value[part], folder))
    if isinstance(value.get("axes"), dict):
        value["axes"] = _resolve_axes(value["axes"], folder)
    value["curations"] = _curations(value, folder, where)
    if "run" in value:
        value["run"] = _run(value["run"], value.get("set"), of_run, folder, where, str(value["output"]))
    return validated(StudyConfig, value, where)


def _run(value: Any, fields: Any, overrides: list[str], folder: Path, where: str, output: str) -> RunConfig:
    path = None
    if isinstance(value, str):
        path = find_config("run", value, folder)
        value = {name: each for name, each in read_yaml(path).items() if name not in SECTIONS}  # a study says these itself
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: run: expected a bundled run's name, a path, or the run itself, got {value!r}")
    if not isinstance(fields, dict | None):
        raise ConfigError(f"{where}: set: expected fields and their values, e.g. {{target.per_label: 8}}, got {fields!r}")
    return build_run(
        value,
        folder if path is None else path.parent,
        [*(assignment(str(field), each) for field, each in (fields or {}).items()), *overrides],
        where=f"{where}: run" if path is None else f"{path} (the run of {where})",
        output=output,
    )


def _curations(value: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Those of the file, and bundled ones that the axis names."""
    given = value.get("curations") or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{where}: curations: expected names and what each one is, got {given!r}")
    axes = value.get("axes")
    asked = (axes.get("curation") if isinstance(axes, dict) else None) or []
    known = bundled("curations")
    here = {
        name: name for name in (asked if isinstance(asked, list) else []) if name in known and name not in given and name != NO_CURATION
    }
    found = {}
    for name, each in {**given, **here}.items():
        if isinstance(each, str):
            path = find_config("curation", each, folder)
            found[name] = resolve_curation(read_yaml(path), path.parent)
        else:
            found[name] = resolve_curation(each, folder) if isinstance(each, dict) else each
    return found


def _resolve_axes(axes: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The tasks and models that options of own axes name, read in: cells are built without the file."""
    parts = {"task": load_part_task, "model": load_part_model}

    def resolved(fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: parts[name](each, folder) if name in parts else each for name, each in fields.items()}

    return {
        axis: {name: resolved(fields) for name, fields in options.items()} if isinstance(options, dict) else options
        for axis, options in axes.items()
    }
