"""What an engine and its processes print: off the terminal, and there to be quoted when one of them dies.

Knows file descriptors; knows no engine beyond how vLLM begins a line of its log.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_MOST_LINES = 8  # quoted
_MOST_BYTES = 1 << 18  # read back, from the end
_LOOK_EVERY_S = 0.2
_LOG_PREFIX = re.compile(r"^(\([^)]*pid=\d+\) *)?((ERROR|CRITICAL) [\d: -]+\[[^]]*\] ?)?")
_NO_ERROR = re.compile(r"^(\([^)]*pid=\d+\) *)?(DEBUG|INFO|WARNING) [\d-]+ [\d:]+ \[")
_ERROR = re.compile(r"^[\w.]*(Error|Exception)\b|^(terminate called|Fatal Python error|what\(\):|!{3})")


def shown() -> bool:
    """Whether the user asks to see what engines print."""
    return os.environ.get("VARIEGATE_ENGINE_LOG") == "1"


class EngineOutput:
    """What goes to descriptors 1 and 2 while they are `hidden`, from Python and C++, lies in a temporary file.

    Processes that are started in the meantime keep writing there until they end. Errors of this process come as exceptions;
    what else is hidden is warnings on NUMA binding, Triton and the like.
    """

    def __init__(self) -> None:
        self._file = None if shown() else tempfile.TemporaryFile()  # noqa: SIM115  # it lives as long as the engine does

    @contextmanager
    def hidden(self) -> Iterator[None]:
        if self._file is None:
            yield
            return
        sys.stdout.flush()
        sys.stderr.flush()
        kept = [(stream, os.dup(stream)) for stream in (1, 2)]
        try:
            for stream, _ in kept:
                os.dup2(self._file.fileno(), stream)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for stream, copy in kept:
                os.dup2(copy, stream)
                os.close(copy)

    @contextmanager
    def read_by(self, on_line: Callable[[str], None]) -> Iterator[None]:
        """Give `on_line` what is written meanwhile, line by line and soon after, on a thread that has ended when the block has."""
        if self._file is None:
            yield
            return
        file, done = self._file.fileno(), threading.Event()
        start = os.fstat(file).st_size

        def read() -> None:
            place, rest, ended = start, b"", False
            while not ended:
                ended = done.wait(_LOOK_EVERY_S)
                found = os.pread(file, _MOST_BYTES, place)
                place += len(found)
                *lines, rest = (rest + found).split(b"\n")
                for line in lines:
                    on_line(line.decode(errors="replace"))

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield
        finally:
            done.set()
            reader.join()

    def quoted(self) -> str:
        """A paragraph with the errors that were printed, oldest first, each once; with the last lines where none looks like an
        error; "" where nothing was printed."""
        if self._file is None:
            return ""
        size = os.fstat(self._file.fileno()).st_size
        text = os.pread(self._file.fileno(), _MOST_BYTES, max(0, size - _MOST_BYTES)).decode(errors="replace")  # its offset is the writers'
        lines = [_LOG_PREFIX.sub("", line).rstrip() for line in text.splitlines()]
        lines = [line for line in lines if line.strip() and not _NO_ERROR.match(line)]
        errors = list(dict.fromkeys(line for line in lines if _ERROR.match(line.strip())))
        found = (errors or lines)[-_MOST_LINES:]
        if not found:
            return ""
        return "\n".join(["\nIts processes printed (all of it: VARIEGATE_ENGINE_LOG=1):", *(f"  {line.strip()}" for line in found)])

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
