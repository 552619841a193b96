"""For test_crash: work of known file operations, killed at each. Usage: crash_script.py FOLDER"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from tests.support.crash import attempt, kill_everywhere
from variegate.store.files import write_atomic


def good(place: Path) -> None:
    """mkdir, create, write, fsync, replace, fsync of the folder."""
    place.mkdir(exist_ok=True)
    write_atomic(place / "file", b"0123456789")


def careless(place: Path) -> None:
    """mkdir, create, two writes: half done, it is taken for done."""
    place.mkdir(exist_ok=True)
    if not (place / "file").exists():
        with (place / "file").open("w", buffering=1) as file:
            file.write("01234\n")
            file.write("56789\n")


def torn(place: Path) -> None:
    os.write(os.open(place, os.O_CREAT | os.O_WRONLY), b"0123456789")


def main() -> None:
    folder = Path(sys.argv[1])
    out = {}
    for work, content in ((good, "0123456789"), (careless, "01234\n56789\n")):

        def place(stop: int, work: object = work) -> Path:
            return folder / f"{work.__name__}-{stop}"  # type: ignore[attr-defined]

        def right(place: Path, content: str = content) -> bool:
            return (place / "file").read_text() == content

        out[work.__name__] = asdict(kill_everywhere(place, work, right))
    out["torn"] = [attempt(lambda: torn(folder / "torn"), 2, torn=True), (folder / "torn").read_text()]
    out["late"] = attempt(lambda: torn(folder / "late"), 3)
    out["fails"] = attempt(lambda: torn(folder / "none" / "late"), 3)
    out["before it is there"] = [attempt(lambda: torn(folder / "created"), 1), (folder / "created").exists()]
    print(json.dumps(out))


if __name__ == "__main__":
    main()
