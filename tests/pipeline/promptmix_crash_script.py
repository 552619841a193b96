"""For test_promptmix: kill a run of promptmix just before each of its file operations, resume it, and compare.

Usage: promptmix_crash_script.py FOLDER
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.support.crash import attempt, kill_everywhere
from tests.support.quiz import make_quiz, quiz_engine
from variegate.pipeline.generate import generate


def main() -> None:
    folder = Path(sys.argv[1])

    def work(place: Path) -> None:
        generate(make_quiz(place, folder / "data", per_label=3), start=lambda _: quiz_engine(batch_dependent=True))

    def data(place: Path) -> bytes:
        return (place / "records.jsonl").read_bytes() + (place / "dropped.jsonl").read_bytes()

    make_quiz(folder / "whole", folder / "data")
    whole = folder / "whole"
    assert attempt(lambda: work(whole)) == 0
    found = kill_everywhere(
        lambda stop: folder / str(stop), work, lambda place: data(place) == data(whole) and not list(place.rglob("*.tmp")), every=4
    )
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
