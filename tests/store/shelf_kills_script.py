"""For test_shelf_kills: a pipeline's work on a shelf, killed at each file operation. Usage: shelf_kills_script.py FOLDER"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.support.crash import KILLED, OPERATIONS, attempt, kill_everywhere
from variegate.store.shelf import Shelf

# What was written before the work: (version, rounds). The last is the work.
HISTORIES = {"made": [("a", 3)], "changed": [("a", 3), ("b", 3)], "changed back and cut short": [("a", 3), ("b", 3), ("a", 2)]}
WATCHED = [each for each in OPERATIONS if each != "fsync"]


def rows_of(number: int, version: str) -> list[dict[str, Any]]:
    return [{"key": f"{version}{number}-{place}", "text": f"text {place} of {number} ☃"} for place in range(3)]


def replay(folder: Path, version: str, count: int = 3) -> None:
    """What a pipeline does: each round is found, brought back, or made; later ones go aside first; answers are spooled as they come.

    Round 0 is the same in all versions.
    """
    shelf = Shelf(folder, on_damage=fail)
    shelf.clear_unfinished()
    for number in range(count):
        own = version if number else "shared"
        name, key, wanted = f"rounds/{number:06d}", f"{own}{number}", rows_of(number, own)
        if shelf.get(name, key) is None:
            shelf.set_aside([each for each in shelf.names("rounds") if each >= name])
            found = shelf.rows_by_key(["parts", "rounds"], keep=bool).take(row["key"] for row in wanted)
            part = f"parts/of-{number}"
            if not found:
                shelf.put(part, "part", wanted[:2])
            shelf.made(name, key, lambda wanted=wanted, own=own: (iter(wanted), {"version": own}))
            shelf.drop([part])
    shelf.set_aside(shelf.names("rounds")[count:])


def fail(message: str) -> None:
    raise AssertionError(message)


def files(folder: Path, below: str = "") -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in (folder / below).rglob("*") if path.is_file()}


def hashes_of_entries(folder: Path) -> set[bytes]:
    """Of the rows of every entry, set-aside ones too; spooled parts may go."""
    return {hashlib.sha256(data).digest() for path, data in files(folder).items() if path.endswith("rows.jsonl") and "parts" not in path}


def whole(folder: Path) -> bool:
    return not list(Shelf(folder, on_damage=fail).check("rounds"))


def everywhere(folder: Path, history: list[tuple[str, int]]) -> dict[str, Any]:
    start, place, clean = folder / "start", folder / "work", folder / "clean"
    start.mkdir(parents=True)
    *before, (version, count) = history
    for earlier, number in before:
        replay(start, earlier, number)
    replay(clean, version, count)

    def again(_: int) -> Path:
        shutil.rmtree(place, ignore_errors=True)
        return Path(shutil.copytree(start, place))

    def kept(place: Path) -> bool:
        return hashes_of_entries(start) <= hashes_of_entries(place)

    return asdict(
        kill_everywhere(
            again,
            lambda place: replay(place, version, count),
            lambda place: files(place, "rounds") == files(clean, "rounds") and kept(place),
            half=lambda place: whole(place) and kept(place),
            operations=WATCHED,
        )
    )


def between_rows(folder: Path) -> dict[str, Any]:
    """Killed several times in a row, and while rows are written. different: the trials that did not end as they should."""
    draw, different = random.Random(7), []
    replay(folder / "clean", "b")
    for trial in range(20):
        work = folder / f"work-{trial}"
        replay(work, "a")
        codes = [attempt(lambda work=work: replay(work, "b"), draw.randrange(1, 50), operations=WATCHED) for _ in range(3)]
        good = {*codes} <= {KILLED, 0} and whole(work)
        replay(work, "b")
        good = good and files(work, "rounds") == files(folder / "clean", "rounds")

        def dying() -> Iterator[dict[str, Any]]:
            for number in range(draw.randrange(1, 5000)):
                yield {"key": str(number), "text": "x" * 100}
            os.kill(os.getpid(), signal.SIGKILL)

        died = attempt(lambda work=work, dying=dying: Shelf(work).put("rounds/000003", "b3", dying())) == KILLED
        if not (good and died and whole(work) and Shelf(work, on_damage=fail).get("rounds/000003") is None):
            different.append(trial)
    return {"killed": 20, "different": different}


def main() -> None:
    folder = Path(sys.argv[1])
    os.fsync = lambda _: None  # a killed process leaves what it wrote with the system; syncing is tested in `test_shelf`
    found = {name: everywhere(folder / name, history) for name, history in HISTORIES.items()}
    print(json.dumps({**found, "several times and between rows": between_rows(folder / "between")}))


if __name__ == "__main__":
    main()
