"""A run's texts by what its strategy noted of them (a share, a partner): how many are kept, and what curation made of them.

Knows no strategy: a fact is shown where it is a number, a word or a truth, and has few values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from variegate.errors import VariegateError
from variegate.report.measured import words
from variegate.store.rows import KEPT, NOTE, StoredItem
from variegate.store.run_folder import RunFolder
from variegate.store.verdicts import curation_names, open_curation

MOST_VALUES = 12  # of a fact that is shown
_HELD = 100  # values of a fact, beyond which it is not counted on
Value = str | int | float | bool


@dataclass(slots=True)
class FactCounts:
    """name of a fact -> its value -> texts; None: it has too many values."""

    kept: dict[str, Counter[Value] | None] = field(default_factory=dict)
    dropped: dict[str, Counter[Value] | None] = field(default_factory=dict)

    def add(self, item: StoredItem) -> None:
        if item.outcome != NOTE:
            _count(self.kept if item.outcome == KEPT else self.dropped, item.origin)


def facts_section(folder: RunFolder, counts: FactCounts) -> list[dict[str, Any]]:
    """A table for each fact with two values to MOST_VALUES, for the template: its rows are a value, the texts that are kept and
    dropped, and of each curation how many it keeps and how many of those have another label."""
    shown = {name: kept for name, kept in counts.kept.items() if kept is not None and 2 <= len(kept) <= MOST_VALUES}
    curations = _curations(folder) if shown else {}
    tables = []
    for name, kept in shown.items():
        dropped = counts.dropped.get(name) or Counter()
        rows = []
        for value in sorted({*kept, *dropped}, key=lambda value: (isinstance(value, str), value)):
            of_curations = [_judged(counted, name, value) for counted in curations.values()]
            rows.append({"value": words(str(value)), "kept": kept[value], "dropped": dropped[value], "curations": of_curations})
        tables.append({"name": words(name), "curations": list(curations), "rows": rows})
    return tables


def _judged(counted: tuple[dict[str, Any], dict[str, Any]], name: str, value: Value) -> dict[str, Any]:
    kept, changed = ((each.get(name) or Counter())[value] for each in counted)
    return {"kept": kept, "changed": changed, "share": changed / kept if kept else None}


def _curations(folder: RunFolder) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """name -> facts of what the curation keeps, and of what has another label then. One that cannot be read is told of elsewhere."""
    found = {}
    for name in curation_names(folder):
        kept: dict[str, Any] = {}
        changed: dict[str, Any] = {}
        try:
            for row in open_curation(folder, name).rows():
                _count(kept, row["origin"])
                if row["label"] != row["given_label"]:
                    _count(changed, row["origin"])
        except VariegateError:
            continue
        found[words(name)] = (kept, changed)
    return found


def _count(counted: dict[str, Counter[Value] | None], origin: Mapping[str, Any]) -> None:
    for name, value in _simple(origin.get("facts", {}).items()):
        values = counted.setdefault(name, Counter())
        if values is not None:
            values[value] += 1
            if len(values) > _HELD:
                counted[name] = None


def _simple(facts: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Value]]:
    return ((name, value) for name, value in facts if isinstance(value, str | int | float))
