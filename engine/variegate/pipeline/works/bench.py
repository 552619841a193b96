"""Where a run's works are done: once, while the engine rests; what is done stands on the run's shelf, under the hash of all that it
follows from. Knows no work by name.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

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
        engine = sum(map(_peak_of, _descendants(os.getpid()))) or None  # none runs, or it runs in this process
        self._free()
        start = time.monotonic()
        rows, facts = DOERS.find(work.task).do(self.desk, work.args)
        self.folder.retire_manifest()
        memory = {"here": _peak_of(os.getpid()) or None, "engine": engine, "device": _device_peak()}
        return rows, {**facts, "task": work.task, "seconds": round(time.monotonic() - start, 3), "memory": memory}


# Peaks in bytes: of this process so far, of those of the engine before it rested, and of what this process held on a GPU. A process that
# was started by another one counts that one's memory in `getrusage`; what Linux says in /proc does not.


def _peak_of(process: int) -> int:
    """0 where nothing is known."""
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _descendants(process: int) -> list[int]:
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended just now
            continue
        parents[int(path.parent.name)] = int(fields[1])
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found[1:]


def _device_peak() -> int | None:
    import torch

    return torch.cuda.max_memory_reserved() if torch.cuda.is_available() else None
