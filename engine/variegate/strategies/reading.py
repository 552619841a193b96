"""An answer as text, or the name of why there is none in it. Knows nothing of duplicates.

What a model of plain text wrote stands as it is; around what a chat model wrote stands its talk (`chat_answers`, `refusals`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from variegate.config import TaskConfig
from variegate.records import Completion, Message, Piece, Request
from variegate.strategies.chat_answers import Peeler, Taken, names_of, without_quotes
from variegate.strategies.lists import Lists
from variegate.strategies.refusals import Refusals

_QUOTES = {'"': '"', "“": "”", "«": "»", "'": "'"}
_SHORTEST = 4  # words of a sentence of the instruction that count as its echo
_SERVING = ("reply", "response", "answer")  # text types that may offer help


class Reader:
    """Reads the answers to one task's requests."""

    def __init__(self, task: TaskConfig, *, chat: bool, keep_unfinished: bool) -> None:
        self._keep_unfinished = keep_unfinished
        self._peeler, self._refusals = None, None
        names = names_of(task.text_type)
        self._lists = Lists(names)
        if chat:
            labels = tuple(word for name, label in task.labels.items() for word in (name, label.title, label.phrase) if word)
            phrases = [label.phrase for label in task.labels.values()]
            self._peeler, self._refusals = Peeler(names, labels), Refusals(names, phrases, serves=names[-1] in _SERVING)

    def one_text(self, request: Request, completion: Completion) -> Piece:
        """The whole answer as one text; refused as "unfinished", "empty" or "echo", of a chat model also by a name of `refusals`."""
        said = self._said(completion)
        if said is None:
            return Piece(completion.text, "thinking")
        taken = self._taken(said)
        reason = self._reason_of(taken, request, open_end=completion.finish_reason == "length")
        return Piece(completion.text, reason) if reason else Piece(taken.text)

    def lines(self, request: Request, completion: Completion, names: Sequence[str]) -> Piece:
        """An answer of several named lines, as `NAME: ...` a line each, whatever stands around them. The prompt of a plain-text model ends
        with the first name. Refused as "part_missing" where a line lacks, else as `one_text` has it."""
        said = without_thoughts(completion.text) if self._refusals is not None else f"{names[0]}: {completion.text}"
        if said is None:
            return Piece(completion.text, "thinking")
        starts = [re.search(rf"(?i)(?:^|\s)[*_#>-]{{0,4}} ?{name}[*_]{{0,2}} ?:[*_]{{0,2}}\s", f"{said} ") for name in names]
        if not said.strip() or any(start is None for start in starts):
            return Piece(completion.text, "part_missing" if any(char.isalnum() for char in completion.text) else "empty")
        ends = [*(start.start() for start in starts[1:] if start), None]
        parts = [said[start.end() : end].strip() for start, end in zip(starts, ends, strict=True) if start]
        *before, last = parts
        line, newline, _ = last.partition("\n")
        parts = [strip_quotes(" ".join(part.replace("**", "").split())) for part in (*before, line)]
        text = "\n".join(f"{name}: {part}" for name, part in zip(names, parts, strict=True))
        if not all(any(char.isalnum() for char in part) for part in parts):
            return Piece(completion.text, "part_missing")
        if completion.finish_reason == "length" and not newline and not self._keep_unfinished:
            return Piece(completion.text, "unfinished")
        reason = "echo" if echoes(parts[0], request) else self._refusals.reason(parts[0]) if self._refusals is not None else ""
        return Piece(completion.text, reason) if reason else Piece(text)

    def texts(
        self,
        request: Request,
        completion: Completion,
        *,
        number: int,
        cue: str = "",
        clean: Callable[[str], str] = str,
        most_words: int | None = None,
    ) -> list[Piece]:
        """All texts of an answer that was asked for `number` of them (`lists`); those refused by the names of `one_text`, or as "too_long".

        An answer without a list is one piece, refused as "no_list" where `one_text` has no better name.
        cue: the end of the prompt that the answer goes on from. clean: takes off what stands around a text of this prompt alone.
        """
        said = self._said(completion)
        if said is None:
            return [Piece(completion.text, "thinking")]
        listed = self._lists.find(cue + said, number=number)
        if not listed.texts:
            reason = self._reason_of(self._taken(said), request, open_end=False)
            return [Piece(completion.text, reason or "no_list")]
        pieces = []
        for place, raw in enumerate(listed.texts, 1):
            if self._peeler is not None:
                taken = self._peeler.peel(clean(raw))
            else:
                taken = Taken(without_quotes(" ".join(clean(raw.partition("\n")[0]).split())), cut="\n" in raw)
            taken = Taken(clean(taken.text), taken.cut)
            cut = listed.open and place == len(listed.texts) and completion.finish_reason == "length"
            reason = self._reason_of(taken, request, open_end=cut)
            if not reason and most_words is not None and len(taken.text.split()) > most_words:
                reason = "too_long"
            pieces.append(Piece(raw, reason) if reason else Piece(taken.text))
        return pieces

    def _said(self, completion: Completion) -> str | None:
        """None where a chat model came to no end of thinking."""
        return completion.text if self._peeler is None else without_thoughts(completion.text)

    def _taken(self, said: str) -> Taken:
        return Taken(strip_quotes(" ".join(said.split())), cut=False) if self._peeler is None else self._peeler.peel(said)

    def _reason_of(self, taken: Taken, request: Request, *, open_end: bool) -> str:
        """open_end: max_tokens was reached in the text, or in what was cut off behind it."""
        reason = self._reason(taken.text, request)
        if open_end and not taken.cut and not self._keep_unfinished:
            return reason if self._refusals is not None and reason else "unfinished"
        return reason

    def _reason(self, text: str, request: Request) -> str:
        if not any(char.isalnum() for char in text):
            return "empty"
        if echoes(text, request):
            return "echo"
        return self._refusals.reason(text) if self._refusals is not None else ""


def without_thoughts(answer: str) -> str | None:
    """What a reasoning model says behind its `<think>` part; None where it came to no end of thinking."""
    _, end, said = answer.rpartition("</think>")
    return None if not end and said.lstrip().startswith("<think>") else said


def strip_quotes(text: str) -> str:
    """Remove one pair of quotation marks around the whole text."""
    if len(text) >= 2 and text[0] in _QUOTES and text[-1] == _QUOTES[text[0]] and _QUOTES[text[0]] not in text[1:-1]:
        return text[1:-1].strip()
    return text


def echoes(text: str, request: Request) -> bool:
    """Whether the text holds a whole sentence of what was asked (of four words or more, in a line that carries no example)."""
    folded = text.casefold()
    return any(sentence in folded for message in request.messages if message.role != "assistant" for sentence in _sentences(message))


def _sentences(message: Message) -> list[str]:
    lines = [line for line in message.content.splitlines() if not line.startswith("- ")]
    found = (each.strip().casefold() for line in lines for each in re.split(r"(?<=[.!?]) ", line) if '"' not in each)
    return [each for each in found if len(each.split()) >= _SHORTEST]
