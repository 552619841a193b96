"""Collect all tests as on a machine with a GPU, and print which are left out there and why, as the table of docs/testing.md.

    python -m tests.support.gpu_skips

Nothing runs, and no GPU is needed: torch is made to say that there is one before anything is collected.
"""

from __future__ import annotations

import os
import sys
from collections import Counter

import pytest
import torch

HEADER = "| tests | how many | why they are left out |\n| --- | --- | --- |"


class LeftOut:
    """A plugin of pytest."""

    def __init__(self) -> None:
        self.tests: Counter[tuple[str, str]] = Counter()  # by file and reason

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        from tests.support.gpu import LEFT_OUT

        for item in session.items:
            for mark in item.iter_markers("skipif"):
                reason = str(mark.kwargs["reason"])
                if mark.args[0] and reason.startswith(LEFT_OUT):
                    self.tests[item.nodeid.partition("::")[0], reason.removeprefix(LEFT_OUT)] += 1

    def table(self) -> str:
        rows = (f"| `{name}` | {count} | {reason} |" for (name, reason), count in sorted(self.tests.items()))
        return "\n".join([HEADER, *rows])


def main() -> int:
    import variegate.students.finetune  # noqa: F401  # Transformers' trainer looks for more of a GPU's libraries as it is imported

    torch.cuda.is_available = lambda: True
    left_out = LeftOut()
    shown = os.dup(1)
    os.dup2(2, 1)  # pytest's own words
    code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider"], plugins=[left_out])
    os.dup2(shown, 1)
    if code == 0:
        print(left_out.table())
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
