"""For test_curate: kill a curation just before each of its renames, replaces and fsyncs, run it again, and compare.

Usage: crash_script.py FOLDER. A process of its own: it forks, which a process with threads should not.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import variegate.curation.copies  # noqa: F401  # so that no child has to
from variegate.config.curation import CurationConfig
from variegate.pipeline.curation.curate import curate
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify

KILLED = 9


def config(labels: Path, seed: int) -> CurationConfig:
    stages = [{"kind": "label_replacement", "labels": str(labels), "inspected": "all"}, {"kind": "duplicates", "near": None}]
    return CurationConfig.model_validate({"stages": stages, "seed": seed})


def run_in_child(folder: Path, settings: CurationConfig, stop: int | None) -> int:
    """Exit code of the curation; KILLED where it ended at file operation number `stop`, from 1."""
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
        curate(RunFolder(folder), settings, "c")
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def data(folder: Path) -> dict[str, bytes]:
    place = folder / "curations" / "c"
    return {str(path.relative_to(place)): path.read_bytes() for path in [*sorted(place.glob("*/verdicts.jsonl")), place / "curated.jsonl"]}


def main() -> None:
    folder = Path(sys.argv[1])
    tools = runpy.run_path(str(Path(__file__).parents[2] / "conftest.py"))
    run = tools["write_curable_run"](folder / "run", per_label=4)
    labels = folder / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": id, "label": label}) + "\n" for id, label in run.truth.items()))
    assert run_in_child(run.folder.path, config(labels, 0), None) == 0  # so that there is something to set aside
    shutil.copytree(run.folder.path, folder / "whole")
    assert run_in_child(folder / "whole", config(labels, 1), None) == 0
    different, stop = [], 1
    while True:
        place = folder / "broken"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(run.folder.path, place)
        if run_in_child(place, config(labels, 1), stop) != KILLED:
            break
        half = verify(RunFolder(place)).ok
        resumed = run_in_child(place, config(labels, 1), None) == 0 and data(place) == data(folder / "whole")
        if not half or not resumed or not verify(RunFolder(place)).ok or list(place.rglob("*.tmp")):
            different.append(stop)
        stop += 1
    print(json.dumps({"killed": stop - 1, "different": different}))


if __name__ == "__main__":
    main()
