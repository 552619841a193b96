"""An answer as text, or the name of why there is none in it. Knows nothing of duplicates."""

from __future__ import annotations

from variegate.records import Completion, Piece, Request

_QUOTES = {'"': '"', "“": "”", "«": "»", "'": "'"}


def one_text(request: Request, completion: Completion, *, keep_unfinished: bool) -> Piece:
    """The whole answer as one text; refused as "unfinished", "empty" or "echo"."""
    text = strip_quotes(" ".join(completion.text.split()))
    if completion.finish_reason == "length" and not keep_unfinished:
        return Piece(completion.text, "unfinished")
    if not any(char.isalnum() for char in text):
        return Piece(completion.text, "empty")
    return Piece(completion.text, "echo") if echoes(text, request) else Piece(text)


def strip_quotes(text: str) -> str:
    """Remove one pair of quotation marks around the whole text."""
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == _QUOTES[text[0]] and _QUOTES[text[0]] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def echoes(text: str, request: Request) -> bool:
    """Whether the text holds a whole line of the last message's instruction (lines of four words or more that do not
    carry an example)."""
    folded = text.casefold()
    lines = request.messages[-1].content.splitlines()
    return any(
        len(line.split()) >= 4 and '"' not in line and not line.startswith("- ") and line.strip().casefold() in folded for line in lines
    )
