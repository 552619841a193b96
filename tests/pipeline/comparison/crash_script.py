"""For test_compare: a small study, killed at the given file operations one after the other, and a whole one.

Usage: crash_script.py FOLDER STOP...
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import variegate.embeddings
import variegate.students.evaluate
import variegate.students.linear  # noqa: F401  # so that no child has to
from tests.support import chatter
from tests.support.crash import attempt
from variegate.pipeline.comparison.compare import compare

STAYS = ("rename", "replace", "fsync")  # after the others too little has happened to count


def main() -> None:
    folder, stops = Path(sys.argv[1]), [int(stop) for stop in sys.argv[2:]]
    os.environ["VARIEGATE_CACHE"] = str(folder / "vectors")

    def work(name: str) -> None:
        study = chatter.make_study(folder / name, axes={"temperature": [0.3], "curation": ["none", "lr"]})
        compare(study, start=lambda _: chatter.wordy_engine())

    whole = attempt(lambda: work("whole"))
    killed = [attempt(lambda: work("broken"), stop, operations=STAYS) for stop in stops]
    left = len(list((folder / "broken").rglob(".*.tmp")))
    print(json.dumps({"whole": whole, "killed": killed, "left": left, "broken": attempt(lambda: work("broken"))}))


if __name__ == "__main__":
    main()
