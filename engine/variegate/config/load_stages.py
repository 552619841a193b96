"""Run files with what becomes of the records: `StagesConfig`, whose curation and student may be bundled names, paths, or stand in the file.

What a file leaves out is filled in here, as the task allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from variegate.config.load import apply_overrides, build_run, find_config, read_yaml, resolve_curation, validated
from variegate.config.run import RunConfig
from variegate.config.stages import SECTIONS, RunFile, StagesConfig
from variegate.config.student import STUDENT_KINDS
from variegate.errors import ConfigError, nearest
from variegate.kinds import kind_of
from variegate.kinds.task import TaskConfig

STAGES_FILE = "stages.yaml"  # in a run folder, beside run.yaml
DEFAULT_CURATION = "default"
_DEFAULT_STUDENT = "logistic_regression"


def load_run_file(path: Path, overrides: Iterable[str] = ()) -> tuple[RunConfig, StagesConfig]:
    """A run file, or the two files of a run folder, after `overrides`: `a.b=c`, also of a stage: `train.student=minilm`.

    Raises ConfigError or UsageError.
    """
    value = read_yaml(path)
    beside = path.with_name(STAGES_FILE)
    if path.name == "run.yaml" and beside.is_file():
        value = {**read_yaml(beside), **value}
    given = list(overrides)
    of_stages = [each for each in given if each.partition("=")[0].split(".")[0] in SECTIONS]
    for key in value:
        if key not in RunFile.model_fields:
            known = sorted(RunFile.model_fields)
            raise ConfigError(f"{path}: unknown key {key!r}{nearest(str(key), known)} Known here: {', '.join(known)}")
    plain = {name: each for name, each in value.items() if name not in SECTIONS}
    run = build_run(plain, path.parent, [each for each in given if each not in of_stages], where=str(path), output=f"runs/{path.stem}")
    stages = {name: value[name] for name in SECTIONS if name in value}
    return run, _build_stages(stages, of_stages, run.task, path.parent, str(path))


def _build_stages(value: dict[str, Any], overrides: list[str], task: TaskConfig, base: Path, where: str) -> StagesConfig:
    inside = [each for each in overrides if _is_inside_a_named_part(each)]  # of what a name stands for: they wait until it is read
    value = apply_overrides(value, [each for each in overrides if each not in inside])
    value = {**_defaults(task), **value}
    curate, train, measure = value["curate"], value["train"], value["measure"]
    if isinstance(curate, str):
        path = find_config("curation", curate, base)
        curate, base_of_curation = {"name": path.stem, **read_yaml(path)}, path.parent
    else:
        base_of_curation = base
    value["curate"] = resolve_curation(curate, base_of_curation) if isinstance(curate, dict) else curate
    if isinstance(train, dict):
        value["train"] = _resolve_train({"student": {"kind": _default_student(task) or _DEFAULT_STUDENT}, **train}, base)
    if isinstance(measure, dict):
        value["measure"] = {"reference": _default_reference(task), **measure}
        value["measure"]["reference"] = _found(value["measure"]["reference"], base)
    if inside:
        value = apply_overrides(value, inside)
        if isinstance(value["curate"], dict):
            value["curate"] = resolve_curation(value["curate"], Path())
    return validated(StagesConfig, value, where)


def _is_inside_a_named_part(assignment: str) -> bool:
    keys = assignment.partition("=")[0].split(".")
    return len(keys) > 1 and (keys[0] == "curate" or keys[:2] == ["train", "student"]) and keys != ["train", "student"]


def _resolve_train(value: dict[str, Any], base: Path) -> dict[str, Any]:
    student = value["student"]
    if isinstance(student, str):
        path = find_config("student", student, base)
        return {"name": path.stem, **value, "student": read_yaml(path)}
    if isinstance(student, dict) and isinstance(student.get("kind"), str):
        return {"name": student["kind"], **value}
    return value


def _found(reference: Any, base: Path) -> Any:
    """The file beside the run file, or in the working directory, as an absolute path; else the name as it stands."""
    places = [folder / Path(reference).expanduser() for folder in (base, Path())] if isinstance(reference, str) else []
    return next((str(place.resolve()) for place in places if place.exists()), reference)


# -- what a file leaves out ------------------------------------------------------------------------------------------


def _defaults(task: TaskConfig) -> dict[str, Any]:
    student = _default_student(task)
    train = None if student is None else {"student": {"kind": student}}
    return {"curate": _default_curation(task), "measure": {}, "train": train, "evaluate": {}}


def _default_student(task: TaskConfig) -> str | None:
    """The first that the kind's records can teach; None where it has none of ours."""
    wanted = kind_of(task).students
    ours = [each for each in (_DEFAULT_STUDENT, *wanted) if each in wanted and each in STUDENT_KINDS]
    return ours[0] if ours else None


def _default_curation(task: TaskConfig) -> dict[str, Any] | None:
    """No copies, and nothing of the data that a student is judged by: it asks no model, and changes no label. None without labels."""
    if not kind_of(task).labelled:
        return None
    against = [split for split in ("dev", "test") if is_on_disk(task, split)]
    return {"name": DEFAULT_CURATION, "stages": [{"kind": "duplicates", "against": against}]}


def _default_reference(task: TaskConfig) -> str | None:
    return next((split for split in ("train", "dev") if is_on_disk(task, split)), None)


def is_on_disk(task: TaskConfig, split: str) -> bool:
    """Whether the task names a file for `train`, `dev` or `test` that is there."""
    named = getattr(task.data, split) if task.data else None
    return named is not None and Path(named).is_file()
