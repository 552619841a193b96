"""For test_generate: kill a run just before each of its renames, replaces and fsyncs, resume it, and compare.

Usage: crash_script.py FOLDER VARIANT. A process of its own: it forks, which a process with threads should not.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

from variegate.pipeline.generate import generate

KILLED = 9


def run_in_child(config: Any, backend: Any, stop: int | None) -> int:
    """Exit code of the run; KILLED where it ended at file operation number `stop`, from 1."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        count = 0

        def dying(function: Any) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal count
                count += 1
                if count == stop:
                    os._exit(KILLED)
                return function(*args, **kwargs)

            return call

        if stop is not None:
            for name in ("rename", "replace", "fsync"):
                setattr(os, name, dying(getattr(os, name)))
        generate(config, start=lambda _: backend)
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def main() -> None:
    folder, variant = Path(sys.argv[1]), sys.argv[2]
    tools = runpy.run_path(str(Path(__file__).with_name("conftest.py")))

    def go(name: str, stop: int | None = None) -> int:
        config = tools["make_config"](folder / name, 6, **tools["VARIANTS"][variant])
        return run_in_child(config, tools["ScriptedBackend"](), stop)

    def data(name: str) -> bytes:
        return (folder / name / "records.jsonl").read_bytes() + (folder / name / "dropped.jsonl").read_bytes()

    assert go("whole") == 0
    different, stop = [], 1
    while go(f"{stop}", stop) == KILLED:
        if go(f"{stop}") != 0 or data(f"{stop}") != data("whole") or list((folder / f"{stop}").rglob("*.tmp")):
            different.append(stop)
        stop += 1
    print(json.dumps({"killed": stop - 1, "different": different}))


if __name__ == "__main__":
    main()
