"""For test_curate: kill a curation just before each of its file operations, run it again, and compare.

Usage: crash_script.py FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import variegate.curation.copies  # noqa: F401  # so that no child has to
from tests.support.crash import attempt, kill_everywhere
from tests.support.curable import write_curable_run
from variegate.config.curation import CurationConfig
from variegate.pipeline.curation.curate import curate
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify


def config(labels: Path, seed: int) -> CurationConfig:
    stages = [{"kind": "label_replacement", "labels": str(labels), "inspected": "all"}, {"kind": "duplicates", "near": None}]
    return CurationConfig.model_validate({"stages": stages, "seed": seed})


def data(folder: Path) -> dict[str, bytes]:
    place = folder / "curations" / "c"
    return {str(path.relative_to(place)): path.read_bytes() for path in [*sorted(place.glob("*/rows.jsonl")), place / "curated.jsonl"]}


def main() -> None:
    folder = Path(sys.argv[1])
    run = write_curable_run(folder / "run", per_label=4)
    labels = folder / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": id, "label": label}) + "\n" for id, label in run.truth.items()))
    begun, whole, broken = run.folder.path, folder / "whole", folder / "broken"

    def work(place: Path) -> None:
        curate(RunFolder(place), config(labels, 1), "c")

    def fresh(_: int) -> Path:
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(begun, broken)
        return broken

    def sound(place: Path) -> bool:
        return verify(RunFolder(place)).ok

    assert attempt(lambda: curate(RunFolder(begun), config(labels, 0), "c")) == 0  # so that there is something to set aside
    shutil.copytree(begun, whole)
    assert attempt(lambda: work(whole)) == 0
    found = kill_everywhere(
        fresh, work, lambda place: data(place) == data(whole) and sound(place) and not list(place.rglob("*.tmp")), half=sound, every=3
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
