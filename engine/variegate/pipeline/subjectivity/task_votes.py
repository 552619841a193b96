"""Votes on pairs of tasks, "which is more objective", from a file. Knows rows; knows nothing of how tasks are ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from variegate.errors import UsageError
from variegate.pipeline.tables import fields_here, name_in, rows_of


@dataclass(frozen=True, slots=True)
class TaskVotes:
    votes: tuple[tuple[str, str], ...]  # (winner, loser)
    judges: tuple[str, ...] | None  # who gave each; None where the file does not say
    tasks: tuple[str, ...]  # all that were asked about, also those without a vote
    source: Mapping[str, Any]  # JSON-able


def read_task_votes(path: Path) -> TaskVotes:
    """Rows with `winner` (the more objective task) and `loser`, and who voted in `judge` where that is known.

    Raises UsageError, naming file and line, for a row without them, a task against itself, and where one task alone is named.
    """
    votes: list[tuple[str, str]] = []
    judges: list[str] = []
    judged = False
    for where, row in rows_of(path):
        names = [name_in(row, field, where) for field in ("winner", "loser")]
        if not all(names):
            raise UsageError(
                f"{where}: expected task names in `winner` (the more objective one) and `loser`. Fields here: {fields_here(row)}"
            )
        if names[0] == names[1]:
            raise UsageError(f"{where}: compares {names[0]!r} with itself: delete the row, or correct a name")
        judge = name_in(row, "judge", where)
        if votes and judged != bool(judge):
            raise UsageError(
                f"{where}: {'names' if judge else 'names no'} `judge`, unlike the rows before it: name one in all rows, or in none"
            )
        judged = bool(judge)
        votes.append((names[0], names[1]))
        judges.append(judge)
    source = {"kind": "file", "name": str(path), "judges": len(set(judges)) if judged else None}
    return TaskVotes(tuple(votes), tuple(judges) if judged else None, tuple(sorted({name for vote in votes for name in vote})), source)
