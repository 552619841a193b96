"""For test_run_folder: a run's rounds set aside, killed at each rename. Usage: set_aside_script.py FOLDER"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.support.crash import kill_everywhere
from tests.support.rows import make_row, write_run
from variegate.errors import StoreError
from variegate.store.run_folder import RunFolder

ROUNDS = 5


def main() -> None:
    folder = Path(sys.argv[1])

    def place(stop: int) -> Path:
        return write_run(folder / str(stop), [[make_row(slot=number)] for number in range(ROUNDS)]).path

    def gapless(place: Path) -> bool:
        """What stays counts from 0 without a gap, and every round is somewhere."""
        try:
            staying = RunFolder(place).rounds()
        except StoreError:  # one in between is missing
            return False
        aside = ["/".join(path.parts[-2:]) for path in place.glob("set-aside/*/rounds/*")]
        return sorted(staying + aside) == [f"rounds/{number:06d}" for number in range(ROUNDS)]

    def ended(place: Path) -> bool:
        return gapless(place) and RunFolder(place).rounds() == ["rounds/000000"]

    def aside(place: Path) -> None:
        RunFolder(place).set_rounds_aside(1)

    print(json.dumps(asdict(kill_everywhere(place, aside, ended, half=gapless, operations=("rename", "replace")))))


if __name__ == "__main__":
    main()
