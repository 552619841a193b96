"""For test_compare: run a small study and end at file operation number STOP (from 1; 0: never), without any clean-up.

Usage: crash_script.py FOLDER STOP
"""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Any

KILLED = 9


def main() -> None:
    folder, stop = Path(sys.argv[1]), int(sys.argv[2])
    os.environ["VARIEGATE_CACHE"] = str(folder.parent / "vectors")
    from variegate.pipeline.comparison.compare import compare

    parts = runpy.run_path(str(Path(__file__).with_name("study_parts.py")))
    study = parts["make_study"](folder, axes={"temperature": [0.3], "curation": ["none", "lr"]})
    count = 0

    def dying(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == stop:
                os._exit(KILLED)
            return function(*args, **kwargs)

        return call

    for name in ("rename", "replace", "fsync"):
        setattr(os, name, dying(getattr(os, name)))
    compare(study, start=lambda _: parts["WordyBackend"]())
    sys.stderr.write(f"{count} file operations\n")


if __name__ == "__main__":
    main()
