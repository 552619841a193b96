"""For test_generate: kill a run just before each of its file operations, resume it, and compare.

Usage: crash_script.py FOLDER VARIANT
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.support.crash import attempt, kill_everywhere
from tests.support.engine import FakeEngine
from tests.support.food import VARIANTS, make_config
from variegate.pipeline.generate import generate


def main() -> None:
    folder, variant = Path(sys.argv[1]), VARIANTS[sys.argv[2]]

    def work(place: Path) -> None:
        generate(make_config(place, 6, **variant), start=lambda _: FakeEngine(batch_dependent=True))

    def data(place: Path) -> bytes:
        return (place / "records.jsonl").read_bytes() + (place / "dropped.jsonl").read_bytes()

    whole = folder / "whole"
    assert attempt(lambda: work(whole)) == 0
    found = kill_everywhere(
        lambda stop: folder / str(stop), work, lambda place: data(place) == data(whole) and not list(place.rglob("*.tmp")), every=3
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
