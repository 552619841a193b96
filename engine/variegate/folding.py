"""When two texts count as the same: the one rule for duplicates, leakage and lexical measures. Knows nothing else."""

from __future__ import annotations

import unicodedata

_JOINERS = "\u200c\u200d"  # between letters they change what is read; emoji are made with them


class _Unseen(dict[int, int | None]):
    """For `str.translate`: characters that no reader sees go (byte order marks, zero-width spaces, soft hyphens)."""

    def __missing__(self, code: int) -> int | None:
        self[code] = None if unicodedata.category(chr(code)) == "Cf" and chr(code) not in _JOINERS else code
        return self[code]


_UNSEEN = _Unseen()


def fold(text: str) -> str:
    """The text as compared for equality: NFKC, case folded, white space collapsed, without characters that no reader sees."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join((folded if folded.isascii() else folded.translate(_UNSEEN)).split())
