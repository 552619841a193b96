"""Every error Variegate raises on purpose. An error says what, where, what was expected and the next step.

Knows nothing of the command line; `cli` turns `exit_code` into the process's status.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class VariegateError(Exception):
    """A failure with a clear cause. The command line prints it without a traceback and exits with 1."""

    exit_code = 1


class UsageError(VariegateError):
    """The caller's input is wrong (a config, a path, an option): exit code 2."""

    exit_code = 2


class ConfigError(UsageError):
    """A task, model or run file is wrong. The message names the file and the field."""


class ShortfallError(VariegateError):
    """A run finished with fewer kept records than its target: exit code 3, nothing is lost."""

    exit_code = 3


class BackendError(VariegateError):
    """The inference engine is absent, of an untested version, or could not start or run."""


class StoreError(VariegateError):
    """The run folder cannot be read or written: locked, read-only, disk full, or damaged."""


class Interrupted(VariegateError):  # noqa: N818
    """The user stopped a run (Ctrl-C). Finished rounds are on disk: exit code 130."""

    exit_code = 130


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a sentence on an unknown name: `; did you mean 'temperature'?`, or a full stop when nothing is near."""
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]!r}?" if found else "."


def some_of(names: Sequence[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
