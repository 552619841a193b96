"""kill -9 at a file operation: run work in a child that ends at its n-th one, let it go on, compare.

For scripts of their own (`processes.run_script`): it forks, which a process with threads should not.
An operation is a call that changes the disk: see OPERATIONS; `create` is the opening of a file that is not there yet. A written file
counts once for each time that its buffer goes to the system, not once for each `write` of Python's.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

KILLED = -signal.SIGKILL
OPERATIONS = ("create", "rename", "replace", "link", "fsync", "write", "unlink", "remove", "mkdir", "rmdir", "truncate", "ftruncate")


class Counter:
    """Counts operations of all threads; kills this process just before number `stop` (from 1; None: never).

    torn: where the operation is a write to a file, half of it is written first.
    """

    def __init__(self, stop: int | None, *, torn: bool = False) -> None:
        self.stop, self.torn, self.count = stop, torn, 0
        self._lock = threading.Lock()

    def one(self, half: Callable[[], object] | None = None) -> None:
        with self._lock:
            self.count += 1
            if self.count == self.stop:
                if half and self.torn:
                    half()
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self, operations: Collection[str] = OPERATIONS) -> None:
        """Watch this process from now on."""
        for name in {*operations} - {"create", "write"}:
            setattr(os, name, self._watched(getattr(os, name)))
        self._watch_files({*operations})

    def _watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.one()
            return function(*arguments, **options)

        return call

    def _watch_files(self, operations: Collection[str]) -> None:
        import _io
        import builtins

        counter, opened, open_low, write = self, io.open, os.open, os.write

        class Watched(io.FileIO):
            def write(self, data: Any) -> int:
                if "write" in operations:
                    counter.one(lambda: super(Watched, self).write(memoryview(data)[: len(data) // 2]))
                return super().write(data)

        def create(file: Any) -> None:
            if "create" in operations and not isinstance(file, int) and not os.path.lexists(file):
                counter.one()

        def open_watched(
            file: Any,
            mode: str = "r",
            buffering: int = -1,
            encoding: str | None = None,
            errors: str | None = None,
            newline: str | None = None,
            closefd: bool = True,
            opener: Any = None,
        ) -> Any:
            if not set(mode) & set("wax+"):
                return opened(file, mode, buffering, encoding, errors, newline, closefd, opener)
            if opener is None:
                create(file)
            raw = Watched(file, mode.replace("b", "").replace("t", ""), closefd, opener)
            if buffering == 0:
                return raw
            size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
            binary = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
            if "b" in mode:
                return binary
            text = io.TextIOWrapper(binary, encoding, errors, newline, line_buffering=buffering == 1)
            text.mode = mode
            return text

        def open_low_watched(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT:
                create(path)
            return open_low(path, flags, *arguments, **options)

        def write_watched(descriptor: int, data: Any) -> int:
            if "write" in operations:
                self.one(lambda: write(descriptor, memoryview(data)[: len(data) // 2]))
            return write(descriptor, data)

        os.open, os.write = open_low_watched, write_watched
        for module in (builtins, io, _io):
            module.open = open_watched  # type: ignore[attr-defined]


def attempt(work: Callable[[], object], stop: int | None = None, *, operations: Collection[str] = OPERATIONS, torn: bool = False) -> int:
    """Exit code of `work` in a child: KILLED where it was killed at file operation number `stop`, 0 where it came to its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if stop is not None:
            Counter(stop, torn=torn).install(operations)
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


@dataclass
class Kills:
    """killed: at how many operations. different: the numbers of those after which it did not end as it should."""

    killed: int = 0
    different: list[int] = field(default_factory=list)


def kill_everywhere(
    place: Callable[[int], Path],
    work: Callable[[Path], object],
    right: Callable[[Path], bool],
    *,
    half: Callable[[Path], bool] = lambda _: True,
    operations: Collection[str] = OPERATIONS,
    torn: bool = False,
    every: int = 1,
) -> Kills:
    """Kill `work` at its first file operation, its second, ..., each in a place of its own, and let it go on without.

    half: asked after the kill. right: asked when it has gone on to its end. every: of so many operations one is killed at, unless the
    environment sets ALL_KILLS (`make test-kills`).
    """
    found, stop = Kills(), 1
    while True:
        here = place(stop)
        code = attempt(lambda here=here: work(here), stop, operations=operations, torn=torn)  # type: ignore[misc]
        if code != KILLED:
            assert code == 0, f"it failed before file operation {stop}"
            return found
        found.killed += 1
        good = half(here)
        ended = attempt(lambda here=here: work(here)) == 0  # type: ignore[misc]
        if not (good and ended and right(here)):
            found.different.append(stop)
        stop += 1 if os.environ.get("ALL_KILLS") else every
