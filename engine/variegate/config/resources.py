"""Where the files that travel with Variegate lie: configs by name, embedded models, and the user's data folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def config_folder() -> Path:
    """`configs/`: inside an installed wheel, or at the top of a checkout."""
    installed = PACKAGE / "configs"
    return installed if installed.is_dir() else PACKAGE.parent.parent / "configs"


def asset(name: str) -> Path:
    return PACKAGE / "assets" / name


def models_folder() -> Path:
    """$VARIEGATE_MODELS, else variegate/models in the user's cache folder: where models are prepared."""
    if chosen := os.environ.get("VARIEGATE_MODELS"):
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "variegate" / "models"


def bundled(kind: str) -> dict[str, Path]:
    """name -> file of the tasks, models or runs that travel with Variegate."""
    return {path.stem: path for path in sorted((config_folder() / kind).glob("*.yaml"))}


def data_root() -> Path | None:
    """The folder of real data sets (VARIEGATE_DATA), where a task's relative data paths are looked for second."""
    named = os.environ.get("VARIEGATE_DATA")
    return Path(named) if named else None


def is_hub_id(name: str) -> bool:
    """Whether it reads as `owner/name`, and not as a path."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def cached_from_hub(name: str, file: str, revision: str | None) -> Path | None:
    """A file of a hub repository in this machine's cache."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return None
    found = try_to_load_from_cache(name, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def has_chat_template(place: str, revision: str | None = None) -> bool | None:
    """Whether the tokenizer in a folder, or of a hub id, has a chat template; None for a hub id that is not on this machine."""
    folder = Path(place).expanduser()
    if not folder.is_dir():
        found = cached_from_hub(place, "tokenizer_config.json", revision) if is_hub_id(place) else None
        if found is None:
            return None
        folder = found.parent
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(settings, dict) and bool(settings.get("chat_template"))
