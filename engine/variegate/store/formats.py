"""The format of a folder: stated in it before anything else is written, and checked before anything else is read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import orjson

from variegate import __version__
from variegate.errors import UsageError
from variegate.store.files import write_atomic

FORMAT = 2
FORMAT_FILE = "format.json"


def state_format(folder: Path) -> None:
    """Write FORMAT_FILE into a folder that holds none: before its first round, vote or cell."""
    path = folder / FORMAT_FILE
    if not path.is_file():
        write_atomic(path, orjson.dumps({"format": FORMAT, "variegate": __version__}) + b"\n")


def check_format(folder: Path, marks: Iterable[str]) -> None:
    """Refuse a folder of another format in one line that names it. Raises UsageError.

    marks: files and folders that only work of ours leaves there: where one stands without FORMAT_FILE, the folder is of format 1,
    which stated none. A folder with neither is new.
    """
    path = folder / FORMAT_FILE
    if path.is_file():
        try:
            stated = orjson.loads(path.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            raise UsageError(
                f"{path}: cannot be read ({error}): it states the folder's format. Restore it, or choose another folder"
            ) from error
        found = stated.get("format") if isinstance(stated, dict) else None
    elif any((folder / "rounds").glob("*/entry.json")):
        return  # it was lost: rounds of format 1 had no such file, and every entry is checked by its own hashes
    elif any((folder / name).exists() for name in marks):
        found = 1
    else:
        return
    if found != FORMAT:
        data = " Its records.jsonl stays readable as data." if (folder / "records.jsonl").is_file() else ""
        raise UsageError(
            f"{folder}: is of format {found}, and Variegate {__version__} works on format {FORMAT}: choose another folder, or use the version that"
            f" made it.{data}"
        )
