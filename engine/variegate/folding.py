"""When two texts count as the same: the one rule for duplicates, leakage and lexical measures. Knows nothing else."""

from __future__ import annotations

import unicodedata


def fold(text: str) -> str:
    """The text as compared for equality: NFKC, case folded, white space collapsed."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
