"""Where a run's works are done: once, while the engine rests; what is done stands on the run's shelf, under the hash of all that it
follows from. Knows no work by name.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

from variegate.pipeline.works import DOERS, Desk
from variegate.records import Work
from variegate.seeding import digest
from variegate.store.entry import Entry
from variegate.store.run_folder import WORKS, RunFolder
from variegate.store.shelf import Made


def work_name(work: Work) -> str:
    return f"{WORKS}/{work.name}"


class Bench:
    """free: makes the engine rest."""

    def __init__(self, folder: RunFolder, desk: Desk, free: Callable[[], None]) -> None:
        self.folder, self.desk, self._free = folder, desk, free

    def key(self, work: Work) -> str:
        depends = DOERS.find(work.task).depends_on(self.desk, work.args)
        return digest({"task": work.task, "args": dict(work.args), "on": depends}, length=32)

    def find(self, work: Work) -> Entry | None:
        """What came of it, where it is done."""
        return self.folder.shelf.get(work_name(work), self.key(work))

    def do(self, work: Work) -> Entry:
        """What came of it; done now, where it is not. Raises what the doer raises, and StoreError."""
        return self.folder.shelf.made(work_name(work), self.key(work), lambda: self._made(work))

    def _made(self, work: Work) -> Made:
        self._free()
        start = time.monotonic()
        rows, facts = DOERS.find(work.task).do(self.desk, work.args)
        self.folder.retire_manifest()
        return rows, {**facts, "task": work.task, "seconds": round(time.monotonic() - start, 3), "memory": memory()}


def memory() -> dict[str, Any]:
    """Peaks in bytes: of this process, of the largest one that it started and that ended (an engine's), and of this process on a GPU."""
    here, ended = (resource.getrusage(who).ru_maxrss * 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {"here": here, "engine": ended, "device": _device_peak()}


def _device_peak() -> int | None:
    import torch

    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
