"""For test_run: a whole run, killed just before something appears in one of its places, then let go on, in turn for every place.

Usage: crash_script.py FOLDER
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import torch

import variegate.embeddings
import variegate.pipeline.measure
import variegate.students.evaluate
import variegate.students.linear  # noqa: F401  # so that no child has to
from tests.support.crash import KILLED, attempt
from tests.support.whole_run import make_run, write_encoder, write_run_file
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify

PLACES = (
    "stages.yaml",
    "rounds/000000",
    "manifest.json",
    "checked/000-duplicates",
    "checked/observations/000001",
    "checked/001-relabel",
    "checked/curation.json",
    "stages/measure/checked",
    "checked/measures.json",
    "students/linear_svc-checked/seed-0",
    "students/linear_svc-checked/seed-1",
    "linear_svc-checked/hashes.json",
    "stages/evaluate/linear_svc-checked/examples",
    "linear_svc-checked/predictions.jsonl",
    "linear_svc-checked/scores.json",
)


def kill_before(place: str) -> None:
    """This process, at the first rename to a path that ends so."""
    for name in ("rename", "replace"):
        function = getattr(os, name)

        def call(old: object, new: object, *, function: object = function, **options: object) -> None:
            if f"{new}".endswith(place):
                os.kill(os.getpid(), signal.SIGKILL)
            function(old, new, **options)  # type: ignore[operator]

        setattr(os, name, call)


def data(folder: Path) -> list[bytes]:
    names = ("records.jsonl", "dropped.jsonl", "curations/checked/curated.jsonl", "students/linear_svc-checked/predictions.jsonl")
    weights = sorted((folder / "students").rglob("*.safetensors"))
    return [*((folder / name).read_bytes() for name in names), *(path.read_bytes() for path in weights)]


def main() -> None:
    folder = Path(sys.argv[1])
    os.environ["VARIEGATE_CACHE"] = str(folder / "vectors")
    torch.set_num_threads(1)
    encoder = write_encoder(folder / "bert")
    files = {place: write_run_file(folder / f"{number}", encoder) for number, place in enumerate(("", *PLACES))}

    def work(place: str) -> None:
        make_run(files[place])

    def killed(place: str) -> None:
        kill_before(place)
        work(place)

    assert attempt(lambda: work("")) == 0
    whole, different = data(files[""].parent / "run"), []
    for place in PLACES:
        assert attempt(lambda place=place: killed(place)) == KILLED, place  # type: ignore[misc]
        run = files[place].parent / "run"
        ended = attempt(lambda place=place: work(place)) == 0  # type: ignore[misc]
        if not ended or data(run) != whole or not verify(RunFolder(run)).ok or list(run.rglob("*.tmp")):
            different.append(place)
    print(json.dumps({"killed": len(PLACES), "different": different}))


if __name__ == "__main__":
    main()
