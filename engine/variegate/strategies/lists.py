"""The texts of an answer that was asked for as a list: by numbers, by "Example 1:", by bullets, or one a line.

Finds where each begins and ends; what a chat model wrote around a list (an introduction, remarks behind it or between its texts) is
none of it. Knows nothing of what stands around a single text (`chat_answers`), nor of what makes one refused.
Every pattern looks at one line: reading an answer takes time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from variegate.strategies.chat_answers import one_of, without_markdown

_WORDS = ("example", "item", "option", "variant", "variation", "number", "no.")
_COUNTED = r"(?:\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)"
_AFTER = r"(?: ?\([^()\n]{0,80}\))? ?"  # "Example 1 (80% location):"
_NUMBER = re.compile(r"[(\[]?\d{1,2}(?:[.):\]]{1,2}| ?[-–—] )(?!\d)\s*")
_HEADING = re.compile(r"#{1,6} |[-*•] (?=\d|example|question)", re.IGNORECASE)
_BULLET = re.compile(r"[-*•·–—+](?:\s+|(?=[\"“«‘']))")
_OPENING = re.compile(
    r"(?:sure|certainly|of course|absolutely|okay|ok|alright|great)\b[^\n]{0,30}[!,.:]|(?:here|below|these|the following|following)\b[^\n]{0,200}:\s*$",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"\(?(?:i hope|let me know|feel free|note ?:|notes ?:|note that|please note|explanation ?:|rationale ?:|(?:each|all|both) of (?:these|the)\b|these (?:\w+ ){1,3}(?:are|all|mix|cover)\b"
    r"|would you like|do you want me|is there anything)|[-*_=]{3,}\s*$|<?/?(?:end|eos)\b",
    re.IGNORECASE,
)
_INLINE = re.compile(r"(?:^|(?<=\s))[(]?(\d{1,2})[.)]\s+")


@dataclass(frozen=True, slots=True)
class Listed:
    """texts: each with what stands around it but its marker; of several lines, where it goes on. open: the last one comes to the
    answer's very end, so that a cut-off answer has cut it off."""

    texts: tuple[str, ...]
    open: bool = False


class Lists:
    """names: what a text may be called (`chat_answers.names_of`), as in "Question 2:"."""

    def __init__(self, names: Sequence[str]) -> None:
        self._named = re.compile(
            rf"(?:{one_of((*names, 'text', 'sentence', *_WORDS))})s? ?#?{_COUNTED}\b{_AFTER}(?:[:.)]|[-–—] )\s*", re.IGNORECASE
        )

    def find(self, answer: str, *, number: int) -> Listed:
        """The texts of an answer that was asked for `number` of them. Without marks it is a list where it has so many lines; where one
        text was asked for, it is that text."""
        answer = without_markdown(answer)
        lines = [line.strip() for line in answer.split("\n")]
        marks = [self._numbered(line) for line in lines]
        if not any(marks):
            marks = [_end(_BULLET.match(line)) for line in lines]
        if sum(map(bool, marks)) <= 1 and (inline := _in_one_line(answer)):
            return Listed(tuple(inline), open=True)
        if any(marks):
            return _marked(lines, marks)
        texts = _unmarked(lines)
        if number == 1:
            return Listed((answer,), open=True) if texts else Listed(())
        if len(texts) != number:  # prose has lines too
            return Listed(())
        return Listed(tuple(text for _, text in texts), open=texts[-1][0] == _last(lines))

    def _numbered(self, line: str) -> int:
        """Where the text begins behind a number, or a name with one; 0 where the line has none."""
        start = _end(_HEADING.match(line))
        return _end(_NUMBER.match(line, start) or self._named.match(line, start))


def _end(found: re.Match[str] | None) -> int:
    return found.end() if found else 0


def _last(lines: Sequence[str]) -> int:
    """Of the lines that hold something."""
    return max((place for place, line in enumerate(lines) if line), default=-1)


def _marked(lines: Sequence[str], marks: Sequence[int]) -> Listed:
    """A text goes from its mark to the next blank line; behind a mark that stands alone, it is what follows next."""
    texts: list[list[str]] = []
    ends = going = 0
    for place, (line, mark) in enumerate(zip(lines, marks, strict=True)):
        if mark:
            texts.append([line[mark:]])
            going, ends = True, place
        elif going and line and not _BULLET.match(line) and not _CLOSING.match(line):
            texts[-1].append(line)
            ends = place
        else:
            going = going and not any(each.strip("*_ ") for each in texts[-1])
    return Listed(tuple("\n".join(each).strip() for each in texts), open=ends == _last(lines))


def _unmarked(lines: Sequence[str]) -> list[tuple[int, str]]:
    """(place, line) of what stands between an introduction and the remarks behind."""
    found = [(place, line) for place, line in enumerate(lines) if line]
    if found and (_OPENING.match(found[0][1]) or (found[0][1].endswith(":") and len(found) > 1)):
        del found[0]
    end = next((place for place, (_, line) in enumerate(found) if _CLOSING.match(line)), len(found))
    return found[:end]


def _in_one_line(answer: str) -> list[str]:
    """The texts of "1. ... 2. ... 3. ..." without line ends; [] where its numbers do not count on from 1."""
    line = " ".join(answer.split())
    found = list(_INLINE.finditer(line))
    if "\n" in answer.strip() or len(found) < 2 or [int(each.group(1)) for each in found] != list(range(1, len(found) + 1)):
        return []
    return [line[first.end() : second.start()].strip() for first, second in pairwise(found)] + [line[found[-1].end() :].strip()]
