"""For test_s3: kill a run of S3, its works among it, just before each of its file operations, resume it, and compare.

Usage: s3_crash_script.py FOLDER. Half of a write counts too.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.support import remarks
from tests.support.crash import attempt, kill_everywhere
from variegate.pipeline.generate import generate

OPERATIONS = ("rename", "replace", "rmdir")  # what makes a thing appear or go; a work is put as a round is


def main() -> None:
    folder = Path(sys.argv[1])
    data = remarks.write_data(folder / "data")

    def work(place: Path) -> None:
        parts = {"strategy": {"error_rounds": 1, "cap": 3, "rationales": 3}, "rounds": {"shard": 4}}
        config = remarks.make_config(place, 4, data=data, **parts)
        generate(config, start=lambda _: remarks.engine(batch_dependent=True))

    def data_of(place: Path) -> list[bytes]:
        works = [path.read_bytes() for path in sorted((place / "works").glob("*/rows.jsonl"))]
        return [(place / "records.jsonl").read_bytes(), (place / "dropped.jsonl").read_bytes(), *works]

    whole = folder / "whole"
    assert attempt(lambda: work(whole)) == 0
    found = kill_everywhere(
        lambda stop: folder / str(stop),
        work,
        lambda place: data_of(place) == data_of(whole) and not list(place.rglob("*.tmp")),
        operations=OPERATIONS,
        every=3,
    )
    print(json.dumps({**asdict(found), "works": len(list((whole / "works").iterdir()))}))


if __name__ == "__main__":
    main()
