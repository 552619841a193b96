"""What an existing run folder means for a run that is about to start: go on, reuse, set aside, or refuse."""

from __future__ import annotations

from typing import Any, Literal

import orjson
import yaml

from variegate.config import RunConfig
from variegate.config.load import to_yaml
from variegate.errors import UsageError
from variegate.seeding import digest
from variegate.store.files import write_atomic
from variegate.store.formats import check_format, state_format
from variegate.store.run_folder import ABOUT, RunFolder

ResumeMode = Literal["auto", "never", "always"]


def config_digest(config: RunConfig) -> str:
    """Hash of the settings that are not their defaults, without the output folder, which does not change the data: a setting that
    is added later changes no hash that is stored."""
    return digest(config.model_dump(mode="json", exclude_defaults=True, exclude={"output"}), length=64)


def changed_fields(old: Any, new: Any, path: str = "") -> list[str]:
    """`decoding.temperature: 1.0 -> 1.3` for every field that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for name in sorted({*old, *new}):
            lines += changed_fields(old.get(name), new.get(name), f"{path}.{name}" if path else name)
        return lines
    if old == new:
        return []

    def short(value: Any) -> str:
        text = repr(value)
        return text if len(text) <= 60 else text[:57] + "..."

    return [f"{path}: {short(old)} -> {short(new)}"]


def changes_since(folder: RunFolder, config: RunConfig) -> tuple[Any, list[str]]:
    """(what the folder's run.yaml holds, None where there is none; the fields that differ now). Raises ValueError where it is damaged."""
    path = folder.path / "run.yaml"
    if not path.is_file():
        return None, []
    try:
        stored = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    new = config.model_dump(mode="json")
    return stored, [line for line in changed_fields(stored, new) if not line.startswith("output:")] if isinstance(stored, dict) else []


def prepare(folder: RunFolder, config: RunConfig, mode: ResumeMode) -> list[str]:
    """Make the folder ready for `config`; returns what changed since the run it held (empty: nothing, or no run yet).

    always: the folder must hold a run of this very configuration. never: rounds that are there are set aside, unread.
    auto: the run goes on, and after a change every row whose key is unchanged is reused.
    Raises UsageError.
    """
    path = folder.path / "run.yaml"
    stored = None
    changes: list[str] = []
    try:
        stored, changes = changes_since(folder, config)
    except ValueError as error:
        if mode == "always":
            raise UsageError(f"{path}: damaged: leave --resume out, and it is written anew; rounds that fit stay") from error
        folder.shelf.tell(f"{path}: was damaged: it is written anew; rounds that fit stay")
    if mode == "always" and stored is None:
        raise UsageError(f"{folder.path}: --resume always, but there is no run here: leave --resume out to start one")
    if mode == "always" and changes:
        raise UsageError(
            f"{folder.path}: --resume always, but the configuration changed:\n  "
            + "\n  ".join(changes)
            + "\nUse --resume auto to reuse what is unchanged, or another folder with -o"
        )
    check_format(folder.path, ("run.yaml", "rounds"))
    state_format(folder.path)
    folder.shelf.clear_unfinished()
    folder.set_strays_aside()
    if mode == "never":
        folder.set_rounds_aside(0, reuse=False)
        folder.set_works_aside(reuse=False)
        changes = []
    if stored is None or changes or mode == "never":
        folder.retire_manifest()
        folder.write_config(to_yaml(config))
    about = orjson.dumps({"words": config.strategy.words(), "citation": config.strategy.citation()}, option=orjson.OPT_INDENT_2)
    path = folder.path / ABOUT
    if not path.is_file() or path.read_bytes() != about:
        write_atomic(path, about)
    return changes
