"""Where prepared models lie, and which of them are there."""

from __future__ import annotations

import shutil
from pathlib import Path

from variegate.config.resources import models_folder
from variegate.errors import UsageError
from variegate.prepared.catalogue import PACKAGED, Packaged
from variegate.prepared.convert import Say, convert, is_whole


def prepare(packaged: Packaged, say: Say, *, again: bool = False) -> Path:
    """The folder of a model that travels in a package, made where it is not there whole. Raises as `convert`."""
    folder = models_folder() / packaged.name
    if not again and is_whole(folder):
        return folder
    source = packaged.source()
    if source is None:
        raise UsageError(f"model {packaged.name!r}: its package is not installed: {packaged.install}")
    if folder.is_dir():
        say(f"{folder} is made anew" if again else f"{folder} is not whole: it is made anew")
        shutil.rmtree(folder)
    convert(source, folder, say, sha256=packaged.sha256)
    return folder


def prepare_file(source: Path, folder: Path | None, say: Say) -> Path:
    """A user's own GGUF file, into `folder` or the cache under the file's name. Raises as `convert`; UsageError where it is there."""
    if not source.is_file():
        raise UsageError(f"{source}: no such file: expected a GGUF file, or one of: {', '.join(PACKAGED)}")
    place = folder or models_folder() / source.stem
    if place.exists():
        raise UsageError(f"{place}: is there already: name another folder with -o, or delete it")
    convert(source, place, say)
    return place


def at_first_use(path: Path, say: Say) -> None:
    """Prepare the model whose folder in the cache `path` is, if it is one and is not there whole."""
    packaged = PACKAGED.get(path.name) if path.parent == models_folder() else None
    if packaged is not None and not is_whole(path):
        say(f"model {packaged.name}: prepared once for this machine, in {path} (540 MB, about half a minute)")
        prepare(packaged, say)
