"""Model output made safe to look at: what a terminal or a page would obey instead of showing is made visible.

Knows characters; knows nothing of HTML or of terminals' markup.
"""

from __future__ import annotations

import unicodedata


def visible(text: str) -> str:
    """`text` with control characters as their pictures (U+2400 block) and direction marks as U+FFFD; line ends and tabs stay.

    An escape sequence in a model's text cannot then move the cursor or recolour the terminal, nor a direction override
    turn the rest of a line around.
    """
    return "".join(_shown(character) for character in text.replace("\r\n", "\n")) if not text.isprintable() else text


def _shown(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\n\t" or category not in ("Cc", "Cf", "Cs"):
        return character
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if category == "Cf" and unicodedata.bidirectional(character) == "BN":  # joiners of emoji and of Indic scripts
        return character
    return "\u2421" if code == 0x7F else "\ufffd"
