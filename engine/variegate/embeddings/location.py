"""Where the cache of vectors is, and what an operating-system error there means. Knows nothing of what is in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from variegate.errors import StoreError

_INSTEAD = "set VARIEGATE_CACHE to another folder, or encode without a cache"
_HINTS = {
    errno.ENOSPC: f"the disk is full: free some space (what was encoded so far is kept), or {_INSTEAD}",
    errno.EDQUOT: f"the disk quota is used up: free some space (what was encoded so far is kept), or {_INSTEAD}",
    errno.EROFS: f"the file system is read-only: {_INSTEAD}",
    errno.EACCES: f"no permission to write there: {_INSTEAD}",
    errno.EPERM: f"not permitted: {_INSTEAD}",
    errno.EEXIST: f"a file stands where a folder is needed: {_INSTEAD}",
    errno.ENOTDIR: f"a part of this path is a file: {_INSTEAD}",
}


def default_cache() -> Path:
    """$VARIEGATE_CACHE, else variegate/embeddings in the user's cache folder."""
    if chosen := os.environ.get("VARIEGATE_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "variegate" / "embeddings"


@contextmanager
def cache_errors(path: Path) -> Iterator[None]:
    """Turn an operating-system error on a file of the cache into one that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"embedding cache {path}: {_HINTS.get(error.errno or 0, f'{error}: {_INSTEAD}')}") from error
