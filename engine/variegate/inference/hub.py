"""Models named by a hub id: whether this machine has them, and whether the hub can be reached, before anybody waits for it."""

from __future__ import annotations

import os
import socket
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from variegate.config.resources import cached_from_hub
from variegate.errors import UsageError

_SECONDS = 3.0  # for a connection


def hub_snapshot(name: str, revision: str | None) -> Path | None:
    """The folder of a hub model in the local cache."""
    found = cached_from_hub(name, "config.json", revision)
    return None if found is None else found.parent


def check_hub_id(model: str, name: str, revision: str | None) -> None:
    """Where the hub cannot be reached, take what is on this machine, and refuse at once what is not.

    model: what the user calls it. Raises UsageError.
    """
    if reaches_hub():
        return
    if hub_snapshot(name, revision) is None:
        raise UsageError(
            f"model {model!r}: hub id {name} is not on this machine, and the hub cannot be reached from here: fetch it where there is a"
            " network, and give its folder with --set model.path=FOLDER"
        )
    _stay_offline()


@lru_cache(maxsize=1)
def reaches_hub() -> bool:
    """Whether a connection to the hub opens. Asked once a process; behind a proxy it is taken for granted."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    place = urlsplit(constants.ENDPOINT)
    try:
        socket.create_connection((place.hostname, place.port or (80 if place.scheme == "http" else 443)), timeout=_SECONDS).close()
    except OSError:
        return False
    return True


def _stay_offline() -> None:
    """Else each file that is looked for waits through the library's retries."""
    from huggingface_hub import constants

    constants.HF_HUB_OFFLINE = True
    os.environ["HF_HUB_OFFLINE"] = "1"  # for processes that are started
