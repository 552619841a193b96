"""For test_compare: a small study, killed just before something appears in each of the given places in turn, and a whole one.

Usage: crash_script.py FOLDER PLACE...
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import variegate.embeddings
import variegate.students.evaluate
import variegate.students.linear  # noqa: F401  # so that no child has to
from tests.support import chatter
from tests.support.crash import attempt
from variegate.pipeline.comparison.compare import compare


def attempt_until(place: str, work: Callable[[], object]) -> int:
    """As `attempt`, killed just before the first rename into a path that holds `place`: something unfinished is left there."""

    def watched() -> None:
        for name in ("rename", "replace"):
            setattr(os, name, watch(getattr(os, name)))
        work()

    def watch(function: Callable[..., None]) -> Callable[..., None]:
        def call(old: object, new: object, **options: object) -> None:
            if place in f"{new}":
                os.kill(os.getpid(), signal.SIGKILL)
            function(old, new, **options)

        return call

    return attempt(watched)


def main() -> None:
    folder, places = Path(sys.argv[1]), sys.argv[2:]
    os.environ["VARIEGATE_CACHE"] = str(folder / "vectors")

    def work(name: str) -> None:
        study = chatter.make_study(folder / name, axes={"temperature": [0.3], "curation": ["none", "lr"]})
        compare(study, start=lambda _: chatter.wordy_engine())

    whole = attempt(lambda: work("whole"))
    killed, left = [], []
    for place in places:
        killed.append(attempt_until(f"/{place}/", lambda: work("broken")))
        left.append(sum(f"/{place}/" in str(path) for path in (folder / "broken").rglob(".*.tmp")))
    print(json.dumps({"whole": whole, "killed": killed, "left": left, "broken": attempt(lambda: work("broken"))}))


if __name__ == "__main__":
    main()
