"""A completion to a text, or the reason why there is none. Knows nothing of duplicates."""

from __future__ import annotations

from variegate.records import Completion, Request

_QUOTES = {'"': '"', "“": "”", "«": "»", "'": "'"}


def parse(request: Request, completion: Completion, *, keep_unfinished: bool) -> tuple[str, str | None]:
    """(text, None), or ("", reason): "prompt_too_long", "engine_error", "unfinished", "empty" or "echo"."""
    if completion.error is not None:
        return "", "prompt_too_long" if completion.error.startswith("prompt of") else "engine_error"
    if completion.finish_reason == "length" and not keep_unfinished:
        return "", "unfinished"
    if completion.finish_reason not in ("stop", "length"):
        return "", "engine_error"
    text = strip_quotes(" ".join(completion.text.split()))
    if not any(char.isalnum() for char in text):
        return "", "empty"
    if echoes(text, request):
        return "", "echo"
    return text, None


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
