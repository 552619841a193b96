"""What a record says in words: one text, or the several of a pair. One type for what is read, embedded, compared and shown.

Knows neither records nor kinds.
"""

from __future__ import annotations

from collections.abc import Sequence

from variegate.folding import fold

Text = str | tuple[str, ...]  # several: two or more, in their order

BETWEEN = "\0"  # a word of its own between the texts that `comparable` joins: folding leaves it, and no text holds it


def text_of(texts: Sequence[str]) -> Text:
    """One text as itself, several as a tuple."""
    return texts[0] if len(texts) == 1 else tuple(texts)


def parts_of(text: Text) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else text


def as_one(text: Text) -> str:
    """For an encoder of single texts, and to count words: several texts one after the other, a line each."""
    return text if isinstance(text, str) else "\n".join(text)


def comparable(text: Text) -> str:
    """Equal after folding where all of the texts are, each with its counterpart: ("a b", "c") is not ("a", "b c")."""
    return text if isinstance(text, str) else f" {BETWEEN} ".join(text)


def folded(text: Text) -> str:
    """Two texts count as the same where this is equal."""
    return fold(comparable(text))


def shown(text: Text, names: Sequence[str] = ()) -> str:
    """For people: several texts a line each, by name. names: of the texts, in their order; without, only the lines."""
    if isinstance(text, str) or not names:
        return as_one(text)
    return "\n".join(f"{name}: {part}" for name, part in zip(names, text, strict=True))
