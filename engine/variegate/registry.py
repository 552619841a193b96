"""What exists of an open set, by name: the modules of one of our rooms, and what installed packages add through entry points.

A room's member is a module with a constant of an agreed name (`KIND`, say) whose `name` is the module's; a module without
it is a helper. A package adds members as entry points that name a module of the same form. Knows nothing of what a member does.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from pkgutil import iter_modules
from types import ModuleType
from typing import Any, Generic, TypeVar

from variegate.errors import UsageError, VariegateError, nearest

Member = TypeVar("Member")


@dataclass(frozen=True)
class Registry(Generic[Member]):
    """what: one member in words, for messages: "task kind". room: a package of ours. constant: what a member's module calls it.
    group: of the entry points through which others add members."""

    what: str
    room: str
    constant: str
    group: str
    _found: dict[str, Member] = field(default_factory=dict, repr=False, compare=False)

    def names(self) -> list[str]:
        """Built-in ones and installed ones, sorted. Loads no plug-in."""
        return sorted({*self.builtin(), *self._plugins()})

    def builtin(self) -> dict[str, Member]:
        """name -> member, sorted; never a plug-in, so that what is written from it is the same on every machine."""
        return {name: self.find(name) for name in sorted(self._modules()) if self._is_builtin(name)}

    def find(self, name: str) -> Member:
        """Raises UsageError where there is none of this name, VariegateError where a plug-in cannot be loaded."""
        if name not in self._found:
            self._found[name] = self._load(name)
        return self._found[name]

    def _load(self, name: str) -> Member:
        plugins, builtin = self._plugins().get(name, ()), self._is_builtin(name)
        places = [*([f"{self.room}.{name} (built in)"] if builtin else []), *(_place(each) for each in plugins)]
        if len(places) > 1:
            raise VariegateError(
                f"{self.what} {name!r} is there {len(places)} times: {', '.join(places)}: remove all but one of these packages"
            )
        if builtin:
            return self._member(self._module(name), name)
        if not plugins:
            known = self.names()
            raise UsageError(f"no {self.what} {name!r}{nearest(name, known)} Known: {', '.join(known)}")
        try:
            loaded = plugins[0].load()
        except Exception as error:  # code of others: whatever it raises, the message names whose it is
            raise VariegateError(
                f"{self.what} {name!r} of {_place(plugins[0])} cannot be loaded: {type(error).__name__}: {error}: mend or remove that package"
            ) from error
        return self._member(loaded, name, f" of {_place(plugins[0])}")

    def _modules(self) -> set[str]:
        return {each.name for each in iter_modules(importlib.import_module(self.room).__path__)}

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self.room}.{name}")

    def _is_builtin(self, name: str) -> bool:
        return name in self._modules() and hasattr(self._module(name), self.constant)

    def _member(self, loaded: Any, name: str, place: str = "") -> Member:
        if not isinstance(loaded, ModuleType) or not hasattr(loaded, self.constant):
            raise VariegateError(
                f"{self.what} {name!r}{place}: expected an entry point that names a module with {self.constant}, got {loaded!r}"
            )
        member = getattr(loaded, self.constant)
        if getattr(member, "name", None) != name:
            raise VariegateError(
                f"{self.what} {name!r}{place}: its {self.constant}.name is {getattr(member, 'name', None)!r}: the two must be the same"
            )
        return member

    def _plugins(self) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
        return _entry_points(self.group, tuple(sys.path))


@lru_cache(maxsize=16)
def _entry_points(group: str, path: tuple[str, ...]) -> dict[str, tuple[importlib.metadata.EntryPoint, ...]]:
    """path: sys.path, on which the answer depends."""
    found: dict[str, tuple[importlib.metadata.EntryPoint, ...]] = {}
    for each in sorted(importlib.metadata.entry_points(group=group), key=lambda each: (each.name, each.value)):
        if each.value not in [other.value for other in found.get(each.name, ())]:  # one package seen by two paths
            found[each.name] = (*found.get(each.name, ()), each)
    return found


def _place(entry: importlib.metadata.EntryPoint) -> str:
    return f"{entry.value} (package {entry.dist.name if entry.dist else 'unknown'})"
