"""JSON that other commands left in a run folder: the object in a file, or why it is left out. Knows nothing of what it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson


def read_object(path: Path, again: str) -> tuple[dict[str, Any] | None, str | None]:
    """(object, None); (None, why it is left out), where the file cannot be used; (None, None) where there is none.

    again: the sentence that says how the file comes about.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None, None
    except OSError as error:
        return None, f"{path.name} cannot be read ({error.strerror}). {again}"
    except orjson.JSONDecodeError as error:
        return None, f"{path.name} is damaged ({error}). {again}"
    if not isinstance(data, dict):
        return None, f"{path.name} holds no object. {again}"
    return data, None
