"""What a part finds, on disk as soon as it is found."""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Notebook:
    """cpu: whether the small twin is wanted."""

    def __init__(self, path: Path | None, *, cpu: bool) -> None:
        self.cpu = cpu
        self.failed = False
        self._path, self._found = path, dict[str, Any]()

    def note(self, name: str, value: Any) -> None:
        self._found[name] = value
        print(f"{name}: {json.dumps(value)}", flush=True)
        if self._path is not None:
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._found))
            temporary.replace(self._path)

    def attempt(self, name: str, measure: Callable[[], Any]) -> None:
        """Note what `measure` returns and the seconds it took, or how it failed; the part goes on either way."""
        start = time.perf_counter()
        try:
            value = measure()
        except ImportError as error:
            value = {"unmeasured": str(error)}
        except Exception as error:  # noqa: BLE001  # whatever breaks on a machine never tried is a finding
            self.failed = True
            traceback.print_exc()
            value = {"failed": f"{type(error).__name__}: {error}"[:500]}
        self.note(name, {"seconds": round(time.perf_counter() - start, 2), "found": value})


def run(measure: Callable[[Notebook, argparse.Namespace], None], *options: tuple[str, dict[str, Any]]) -> None:
    """A part's command line. Exit code 1 when an attempt failed.

    options: (name, keywords) of further arguments.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path)
    parser.add_argument("--cpu", action="store_true")
    for name, keywords in options:
        parser.add_argument(name, **keywords)
    arguments = parser.parse_args()
    notebook = Notebook(arguments.results, cpu=arguments.cpu)
    measure(notebook, arguments)
    sys.exit(int(notebook.failed))
