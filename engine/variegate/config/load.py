"""YAML files to config models, with errors that name file, field, what was found, what was expected and what to do.

A run file names its task and model (a bundled name, a path) or holds them inline; `--set a.b=c` overrides single fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from variegate.config.curation import CurationConfig
from variegate.config.explain import explain
from variegate.config.model import ModelConfig
from variegate.config.resources import asset, bundled, data_root, is_hub_id, models_folder
from variegate.config.run import AnyTask, RunConfig
from variegate.config.stages import SECTIONS
from variegate.config.student import AnyStudentConfig
from variegate.errors import ConfigError, UsageError, nearest
from variegate.kinds.task import TaskConfig

_FOLDER_OF = {"task": "tasks", "model": "models", "run": "runs", "student": "students", "curation": "curations", "study": "studies"}


class _UniqueKeyLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key written twice, where YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def to_yaml(config: BaseModel) -> str:
    """A resolved configuration as YAML, which `load_run` and its kin read back."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(config.model_dump(mode="json"), Dumper=dumper, sort_keys=False, allow_unicode=True, width=120)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError with the line where it does not parse."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    try:
        value = yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values, got {type(value).__name__}")
    return value


def find_config(kind: str, name: str, base: Path) -> Path:
    """The file of a task, model or run given as a path (relative to `base`, then the working directory) or a bundled name."""
    for candidate in (base / name, Path(name)):
        if candidate.is_file():
            return candidate
    known = bundled(_FOLDER_OF[kind])
    if name in known:
        return known[name]
    raise ConfigError(
        f"{kind} {name!r}: no such file, and no bundled {kind} has this name{nearest(name, known)} Bundled: {', '.join(known) or 'none'}"
    )


def validated(model: Any, value: Any, where: str) -> Any:
    """`value` as a `model`. Raises ConfigError that names `where`."""
    try:
        return TypeAdapter(model).validate_python(value)
    except ValidationError as error:
        raise ConfigError(explain(error, model, value, where)) from error


def _resolve_task(value: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make the data paths of a task absolute: beside the task file, else under VARIEGATE_DATA, else as they stand."""
    data = value.get("data")
    if not isinstance(data, dict):
        return value
    data = dict(data)
    for split in ("train", "dev", "test"):
        if isinstance(data.get(split), str):
            roots = [base, *([root] if (root := data_root()) else [])]
            found = [path for root in roots if (path := root / Path(data[split]).expanduser()).is_file()]
            if found:
                data[split] = str(found[0].resolve())
    return {**value, "data": data}


def _resolve_model(value: dict[str, Any], base: Path) -> dict[str, Any]:
    """Make a local model folder absolute. `asset:NAME` is an embedded model, `prepared:NAME` one of the user's cache; what is no
    folder stays a hub id."""
    value = dict(value)
    for field in ("path", "tokenizer"):
        given = value.get(field)
        if isinstance(given, str):
            if given.startswith("asset:"):
                value[field] = str(asset(given.removeprefix("asset:")))
            elif given.startswith("prepared:"):
                value[field] = str(models_folder() / given.removeprefix("prepared:"))
            elif (base / Path(given).expanduser()).is_dir():
                value[field] = str((base / Path(given).expanduser()).resolve())
    return value


def load_task(name: str, base: Path | None = None) -> TaskConfig:
    """A task by bundled name or path. Raises ConfigError."""
    path = find_config("task", name, base or Path())
    return validated(AnyTask, _resolve_task(read_yaml(path), path.parent), str(path))


def load_model(name: str, overrides: Iterable[str] = (), base: Path | None = None) -> ModelConfig:
    """A model by bundled name, YAML path, model folder or hub id. Raises ConfigError or UsageError.

    overrides: `engine.backend=transformers`.
    """
    value, where = _model_value(name, base or Path())
    return validated(ModelConfig, apply_overrides(value, overrides), where)


def _model_value(name: str, base: Path) -> tuple[dict[str, Any], str]:
    for folder in (base / Path(name).expanduser(), Path(name).expanduser()):
        if folder.is_dir():
            return {"name": _name_of(folder.resolve()), "path": str(folder.resolve())}, f"model {name!r}"
    if is_hub_id(name) and not name.endswith((".yaml", ".yml")) and not (base / name).exists():
        return {"name": name.replace("/", "--"), "path": name}, f"model {name!r}"
    if "/" in name and not name.endswith((".yaml", ".yml")):
        raise ConfigError(
            f"model {name!r}: no such folder. Give a folder with config.json, a model YAML file, a hub id (owner/name), or a bundled name: {', '.join(bundled('models'))}"
        )
    path = find_config("model", name, base)
    return _resolve_model(read_yaml(path), path.parent), str(path)


def _name_of(folder: Path) -> str:
    """A model's name, made of its folder's: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._") or "model"


def apply_overrides(value: dict[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`a.b=c` assignments, values as YAML, onto a nested mapping; returns a new mapping."""
    for assignment in overrides:
        path, equals, text = assignment.partition("=")
        if not equals or not path:
            raise UsageError(f"--set {assignment!r}: expected KEY=VALUE, e.g. --set decoding.temperature=1.3")
        keys = path.split(".")
        try:
            new = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {assignment!r}: {text!r} is not a YAML value: {error}") from error
        value = _with(value, keys, new, assignment)
    return value


def assignment(field: str, value: Any) -> str:
    """`field=value` as `apply_overrides` takes it."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return f"{field}=" + text.rstrip().removesuffix("\n...")  # the end that YAML gives a plain scalar


def _with(value: Any, keys: list[str], new: Any, assignment: str) -> Any:
    if not keys:
        return new
    if value is None:
        value = {}
    if isinstance(value, list):
        place = _place_in(value, keys[0], assignment)
        return [_with(each, keys[1:], new, assignment) if index == place else each for index, each in enumerate(value)]
    if not isinstance(value, dict):
        raise UsageError(f"--set {assignment!r}: {keys[0]!r} cannot be set inside {value!r}")
    return {**value, keys[0]: _with(value.get(keys[0]), keys[1:], new, assignment)}


def _place_in(values: list[Any], key: str, assignment: str) -> int:
    """The place in a list that `key` names: a number from 0, or the `kind` that one of its mappings has."""
    kinds = [value.get("kind") if isinstance(value, dict) else None for value in values]
    if key.isdigit() and int(key) < len(values):
        return int(key)
    if kinds.count(key) == 1:
        return kinds.index(key)
    known = [str(kind) for kind in kinds if kind is not None]
    why = f"stands there {kinds.count(key)} times: give its place, from 0" if key in kinds else f"is not in the list{nearest(key, known)}"
    raise UsageError(f"--set {assignment!r}: {key!r} {why} In the list: 0 to {len(values) - 1}{' or ' if known else ''}{', '.join(known)}")


_STUDENT = ["strategy", "student"]  # where a strategy has one


def load_run(path: Path, overrides: Iterable[str] = ()) -> RunConfig:
    """A run file with its task and model resolved, after `overrides`, without what becomes of its records (`load_stages`).

    Raises ConfigError or UsageError.
    """
    value = {name: each for name, each in read_yaml(path).items() if name not in SECTIONS}
    return build_run(value, path.parent, overrides, where=str(path), output=f"runs/{path.stem}")


def build_run(value: dict[str, Any], base: Path, overrides: Iterable[str], *, where: str, output: str) -> RunConfig:
    """A run as its file holds it, made whole. base: where its names and paths start from. output: where it says none."""
    parts = {"task": load_part_task, "model": load_part_model}
    deferred: list[str] = []  # overrides below a task, model or student that is given by name wait until it is read
    for assignment in overrides:
        keys = assignment.partition("=")[0].split(".")
        if (keys[0] in parts and len(keys) > 1) or (keys[:2] == _STUDENT and len(keys) > 2):
            deferred.append(assignment)
        else:
            value = apply_overrides(value, [assignment])
    value = dict(value)
    for name, load_part in parts.items():
        if name in value:
            value[name] = load_part(value[name], base)
    strategy = value.get("strategy")
    if isinstance(strategy, dict) and isinstance(strategy.get("student"), str):
        value["strategy"] = {**strategy, "student": read_yaml(find_config("student", strategy["student"], base))}
    value = apply_overrides(value, deferred)
    if deferred:  # paths on the command line are relative to the working directory; those resolved already are absolute
        for name, resolve in (("task", _resolve_task), ("model", _resolve_model)):
            if isinstance(value.get(name), dict):
                value[name] = resolve(value[name], Path())
    value.setdefault("output", output)
    if isinstance(value["output"], str):
        value["output"] = str(Path(value["output"]).expanduser())
    return validated(RunConfig, value, where)


def load_part_task(value: Any, base: Path) -> Any:
    if isinstance(value, str):
        path = find_config("task", value, base)
        task = _resolve_task(read_yaml(path), path.parent)
        validated(AnyTask, task, str(path))  # so that an error names the task's own file
        return task
    return _resolve_task(value, base) if isinstance(value, dict) else value


def load_part_model(value: Any, base: Path) -> Any:
    if isinstance(value, str):
        model, where = _model_value(value, base)
        validated(ModelConfig, model, where)
        return model
    return _resolve_model(value, base) if isinstance(value, dict) else value


def load_student(name: str, overrides: Iterable[str] = (), base: Path | None = None) -> AnyStudentConfig:
    """A student by bundled name (`chung`, `promptmix`, `logistic_regression`, ...) or path. Raises ConfigError or UsageError."""
    path = find_config("student", name, base or Path())
    return validated(AnyStudentConfig, apply_overrides(read_yaml(path), overrides), str(path))


def load_curation(name: str, overrides: Iterable[str] = (), base: Path | None = None) -> CurationConfig:
    """A curation by bundled name or path; its students and models may be names too. Raises ConfigError or UsageError.

    overrides: `oracle.C=1`, `stages.0.margin=0.1` or, by kind, `stages.relabel.margin=0.1`.
    """
    path = find_config("curation", name, base or Path())
    deferred = [each for each in overrides if _is_inside_a_named_part(each)]
    first = [each for each in overrides if each not in deferred]
    value = resolve_curation(apply_overrides(read_yaml(path), first), path.parent)
    if deferred:  # now that what is named has been read
        value.setdefault("oracle", {"kind": CurationConfig.model_fields["oracle"].default.kind})
        value = resolve_curation(apply_overrides(value, deferred), Path())
    return validated(CurationConfig, value, str(path))


def _is_inside_a_named_part(assignment: str) -> bool:
    """Whether it sets a field of an oracle or of a model, which the file may give by name."""
    keys = assignment.partition("=")[0].split(".")
    return (keys[0] == "oracle" and len(keys) > 1) or (keys[0] == "stages" and "model" in keys[2:-1])


def resolve_curation(value: dict[str, Any], base: Path) -> dict[str, Any]:
    """A curation with the students and models that it names read in, and its data files beside its own file found."""
    value = dict(value)
    if isinstance(value.get("oracle"), str):
        value["oracle"] = read_yaml(find_config("student", value["oracle"], base))
    if isinstance(value.get("stages"), list):
        value["stages"] = [_resolve_stage(stage, base) if isinstance(stage, dict) else stage for stage in value["stages"]]
    return value


def _resolve_stage(stage: dict[str, Any], base: Path) -> dict[str, Any]:
    def found(name: Any) -> Any:
        """The file beside the curation's own, or in the working directory, as an absolute path; else the name as it stands."""
        places = [folder / name for folder in (base, Path())] if isinstance(name, str) else []
        return next((str(place.resolve()) for place in places if place.is_file()), name)

    stage = dict(stage)
    if "model" in stage:
        stage["model"] = load_part_model(stage["model"], base)
    if "labels" in stage:
        stage["labels"] = found(stage["labels"])
    if isinstance(stage.get("against"), list):
        stage["against"] = [found(each) for each in stage["against"]]
    return stage
