"""A part of a run's records, by what stands in them: `alpha<0.8`, `partner=number`. Knows rows as mappings."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from variegate.errors import UsageError, nearest

_OPERATORS = {"<=": operator.le, ">=": operator.ge, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "=": operator.eq}
_IN_NAMES = {"<=": "to", ">=": "from", "!=": "not", "<": "below", ">": "above", "=": "is"}
_FORM = re.compile(r"\s*([^\s<>=!]+)\s*(<=|>=|!=|<|>|=)\s*(.+?)\s*")


@dataclass(frozen=True, slots=True)
class Condition:
    """A field of a record, or of what its strategy noted of it. Numbers are compared as numbers, all else as text."""

    field: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Raises UsageError."""
        found = _FORM.fullmatch(text)
        if found is None:
            raise UsageError(f"--where {text!r}: expected FIELD=VALUE, or one of {', '.join(_OPERATORS)} for the =, such as 'alpha<0.8'")
        return cls(*found.groups())

    def __str__(self) -> str:
        return f"{self.field}{self.sign}{self.value}"

    @property
    def name(self) -> str:
        """For names of folders: `alpha-below-0.8`."""
        return re.sub(r"[^A-Za-z0-9._-]+", "_", f"{self.field}-{_IN_NAMES[self.sign]}-{self.value}")

    def holds(self, row: Mapping[str, Any], where: str) -> bool:
        """Raises UsageError where the row has no such field, or the two cannot be compared. where: for messages."""
        if self.field not in row:
            raise UsageError(f"--where {self}: {where}: no field {self.field!r}{nearest(self.field, row)} Fields here: {', '.join(row)}")
        mine, given = row[self.field], self.value
        if isinstance(mine, int | float) and not isinstance(mine, bool):
            try:
                return bool(_OPERATORS[self.sign](mine, float(given)))
            except ValueError as error:
                raise UsageError(f"--where {self}: {where}: {self.field} is a number there, {mine}: give a number") from error
        if self.sign not in ("=", "!="):
            raise UsageError(f"--where {self}: {where}: {self.field} is no number there but {mine!r}: only = and != apply")
        return bool(_OPERATORS[self.sign](str(mine), given))


def in_words(source: str, conditions: Sequence[Condition]) -> str:
    """The source's name with what was asked of its records."""
    return f"{source}, where {' and '.join(map(str, conditions))}" if conditions else source
