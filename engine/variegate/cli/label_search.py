"""Labels under keys: which key stands for which label, and which labels are near to what was typed. Pure; knows no terminal."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

COMMANDS = {"u": "undo", "s": "skip", "o": "out of scope", "?": "help", "q": "quit"}
_KEYS = "".join(key for key in "123456789abcdefghijklmnopqrstuvwxyz" if key not in COMMANDS)


def assign_keys(titles: Mapping[str, str]) -> dict[str, str]:
    """Key -> label, in the labels' order; empty where there are more labels than keys (31).

    titles: label -> its title. A label whose name or title is itself a key has that key, so that `1` never means another
    label than the one called 1.
    """
    if len(titles) > len(_KEYS):
        return {}
    own: dict[str, str] = {}
    for label, title in titles.items():
        for name in (label, title.casefold()):
            if name in _KEYS and len(name) == 1 and label not in own.values():
                own.setdefault(name, label)
    free = iter(key for key in _KEYS if key not in own)
    key_of = {label: key for key, label in own.items()}
    return {key_of.get(label) or next(free): label for label in titles}


def search(typed: str, titles: Mapping[str, str]) -> list[str]:
    """Labels that fit what was typed, the nearest first; all of them, in order, when nothing was.

    A label fits when its title or name begins with the typed text, when its words begin with the typed words in their order,
    when it holds the text anywhere, or when it holds the letters in their order: ranked in this order, then by how early and
    how tightly they stand there. Where none fits, those that are spelt alike (a slip of the finger).
    """
    wanted = _plain(typed)
    if not wanted:
        return list(titles)
    ranked = []
    for place, (label, title) in enumerate(titles.items()):
        ranks = [rank for name in dict.fromkeys((_plain(title), _plain(label))) if (rank := _rank(wanted, name)) is not None]
        if ranks:
            ranked.append((min(ranks), place, label))
    if ranked:
        return [label for _, _, label in sorted(ranked)]
    by_name = {_plain(name): label for label, title in titles.items() for name in (title, label)}
    near = difflib.get_close_matches(wanted, by_name, n=5, cutoff=0.6)
    return list(dict.fromkeys(by_name[name] for name in near))


def named(typed: str, titles: Mapping[str, str]) -> str | None:
    """The label whose name or title is exactly what was typed, else the only one that is when case is let go."""
    for same in (str, str.casefold):
        found = {label for label, title in titles.items() if same(typed) in (same(label), same(title))}
        if typed in found:
            return typed
        if len(found) == 1:
            return found.pop()
    return None


def _plain(name: str) -> str:
    """Case and the signs between words do not matter."""
    return " ".join("".join(char if char.isalnum() else " " for char in name.casefold()).split())


def _rank(wanted: str, name: str) -> tuple[int, int, int] | None:
    """Low is near: (kind of fit, where it begins, how far it spreads)."""
    if name == wanted:
        return (0, 0, 0)
    if name.startswith(wanted):
        return (1, 0, len(name))
    words, start = name.split(), 0
    for part in wanted.split():
        start = next((place + 1 for place in range(start, len(words)) if words[place].startswith(part)), 0)
        if not start:
            break
    else:
        return (2, start, len(name))
    if (place := name.find(wanted)) >= 0:
        return (3, place, len(name))
    letters, places, place = wanted.replace(" ", ""), [], -1
    for letter in letters:
        place = name.find(letter, place + 1)
        if place < 0:
            return None
        places.append(place)
    return (4, places[-1] - places[0], len(name))
