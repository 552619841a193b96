"""What stands around the text in a chat model's answer, taken off by rules, each of one kind of thing that such models do.

Before it an introduction, a label or "Tweet:", list numbers, Markdown, quotation marks; behind it an explanation or another text.
Knows nothing of what makes a text refused (`refusals`), and nothing of models that take plain text.
Every pattern looks at a bounded piece: reading an answer takes time in proportion to its length.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_PAIRS = {'"': '"', "“": "”", "”": "”", "„": "“”", "«": "»", "'": "'", "‘": "’", "`": "`"}
_DOUBLE = '"“”„«»'
_GENERIC = ("text", "sentence", "response", "answer", "reply", "output", "example", "version", "question")
_INTRODUCES = r"(?:here(?:'s|’s| is| are)?|below is|this is|the following is|how about(?: this)?)\b"
_MOST_PREFIXES = 8


@dataclass(frozen=True, slots=True)
class Taken:
    """`text` on one line. cut: something that followed it was left away, so that the text itself came to its end."""

    text: str
    cut: bool


def names_of(text_type: str) -> tuple[str, ...]:
    """What a text may be called: `sentence from a movie review` itself, and `sentence`; `movie review`, and `review`."""
    head = re.split(r" (?:from|to|of|about|in|on|for|with|by|that|which) ", text_type, maxsplit=1)[0]
    return tuple(dict.fromkeys((text_type, head, head.split()[-1])))


def one_of(words: Sequence[str]) -> str:
    """A pattern; the longest first, so that `review` does not hide `review of a film`."""
    return "(?:" + "|".join(re.escape(word) for word in sorted(set(words), key=len, reverse=True)) + ")"


class Peeler:
    """names: of a text (`names_of`). labels: titles, names and phrases of the task's labels."""

    def __init__(self, names: Sequence[str], labels: Sequence[str]) -> None:
        name, label = one_of((*names, *_GENERIC)), one_of(labels)
        self._one_line = _ONE_LINE.get(names[-1])
        self._prefixes = [re.compile(pattern, re.IGNORECASE) for pattern in _prefixes(name, label)]
        self._lead = re.compile(  # before a quotation: what says what is quoted, perhaps behind a first sentence; or six words and a colon
            rf"(?:(?P<named>(?:[^:\"“\n.!?]{{1,60}}[.!] ?)?[^:\"“\n.!?]{{0,120}}\b(?:{name}|{label})\b[^:\"“\n.!?]{{0,120}}(?::|\b(?:is|be|reads)\b))"
            r"|[\w'’]+(?: [\w'’]+){0,5}:) ?(?=[\"“])",
            re.IGNORECASE,
        )
        self._line = re.compile(rf"\n ?(?={_remark(one_of(names), name)})", re.IGNORECASE)
        self._sentence = re.compile(rf"(?<=[.!?\"”]) (?=this {name} {_TELLS}\b)", re.IGNORECASE)
        self._closed = re.compile(  # a closing quotation mark with more behind it that is no part of the text
            rf"(?<=[.!?…])[\"”»](?= ?\n)|[\"”»](?= ?\(|\s{{1,3}}(?:this|the above|in this|these|note|does not match)\b|\n ?{_remark(name, name)})",
            re.IGNORECASE,
        )

    def peel(self, answer: str) -> Taken:
        text, listed = self._without_prefixes(without_markdown(answer))
        end = self._end(text, listed=listed)
        return Taken(without_quotes(" ".join(text[:end].split())), cut=end is not None)

    def _without_prefixes(self, text: str) -> tuple[str, str]:
        """What is left behind the introduction, and what it is announced as: "list", "quotation", or ""."""
        announced = ""
        for _ in range(_MOST_PREFIXES):
            found = next((match for rule in self._prefixes if (match := rule.match(text))), None)
            if found is None and (lead := self._lead.match(text)) and self._is_quotation(text[lead.end() :], named=bool(lead["named"])):
                found = lead
            if found is None:
                break
            text = text[found.end() :].lstrip()
            if found.group()[0] in "-*•1":
                announced = "list"
            elif text[:1] in _OPENING and (found.groupdict().get("named") or _ANNOUNCES.match(found.group())):
                announced = announced or "quotation"
        return text, announced

    def _is_quotation(self, text: str, *, named: bool) -> bool:
        """Whether all of it is quoted, but for an explanation; or a whole sentence, where it is `named` a text."""
        return _wraps(text.rstrip()) or self._closed.search(text, 1) is not None or (named and _quoted_end(text) is not None)

    def _end(self, text: str, *, listed: str) -> int | None:
        """Where the text ends and something else follows; None where nothing does. listed: as what it was announced."""
        rules = [self._line, self._sentence, _BRACKETED, *([_ITEM] if listed == "list" else [])]
        if listed == "quotation" and (quoted := _quoted_end(text)) is not None and text[quoted:].strip():
            return quoted
        ends = [match.start() for rule in rules if (match := rule.search(text, 1))]
        line = text.find("\n")
        if self._one_line and line > 0 and self._one_line.search(text[:line]):
            ends.append(line)
        if text[:1] in _PAIRS and (closed := self._closed.search(text, 1)) and len(text[: closed.start()].split()) >= 3:
            ends.append(closed.end())
        return min(ends, default=None)


_ONE_LINE = {"question": re.compile(r"\?[ *\"”]{0,3}$"), "headline": re.compile(r"\w"), "title": re.compile(r"\w")}
"""Last word of a text type -> how its line ends where the text does: an answer follows, or another text."""
_OPENING = ('"', "“", "«")
_ANNOUNCES = re.compile(rf"{_INTRODUCES}", re.IGNORECASE)
_CLOSES = re.compile(r"(?<=[.!?…])[\"”»](?=\s|$)|[\"”»](?= ?(?:\n|[(\[]|$))")
_BRACKETED = re.compile(r"\n ?\([^()\n]{3,300}\) ?$")  # the last line, all of it in brackets: a remark
_TELLS = r"(?:covers|conveys|expresses|captures|aims|reflects|falls|belongs|ensures|requires|showcases|is (?:about|from|designed|intended|meant|an? (?:\w+ )?example))"
_ITEM = re.compile(r"\n ?(?:[-*•] |\d{1,2}[.)] )")


def _quoted_end(text: str) -> int | None:
    """Behind the mark that closes the quotation which `text` begins with, of three words at least."""
    for match in _CLOSES.finditer(text, 1):
        if len(text[: match.start()].split()) >= 3:
            return match.end()
    return None


def _prefixes(name: str, label: str) -> list[str]:
    """Patterns of what may stand before a text, one of each kind."""
    return [
        rf"[^\w\s\"“”'‘’«»(\[<#@*•>:.,;!?-]{{1,8}} ?(?=(?:{name}|{label}) ?:)",  # a picture before a label
        r"(?:#{1,6} |> |[-*•] |1[.)] )",  # Markdown's heading, quotation and lists
        r"(?:sure|certainly|of course|absolutely|okay|ok|alright)(?: thing)?[!,.]* *(?:\n+|(?=here\b|below\b|this is\b))",
        rf"(?:category|label|element|topic|class|style) ?: ?{label}[.\n]+",  # the request, repeated
        rf"(?:(?:the|a|my|your|new|possible|revised|final) )?(?:{name}|{label})(?: ?\([^()\n]{{1,40}}\))? ?:(?: ?\n*|$)",
        r"[QA] ?: ",
        rf"{_INTRODUCES}[^:\"“\n]{{0,120}}\b{name}\b[^:\"“\n]{{0,120}}:\s*",
        rf"{_INTRODUCES}[^:\"“\n]{{0,160}}: ?(?:\n+|(?=[\"“]))",
        rf"(?:the|a|my|your) (?:[^:\"“\n.!?]{{0,60}} )?{name}\b[^:\"“\n.!?]{{0,60}} (?:is|would be|could be): ",
        r"how about(?: this ?:|:| (?=[\"“]))",
        rf"[^:\"“\n.!?]{{0,120}}\b{name}\b[^:\"“\n.!?]{{0,120}}: ?\n+",
    ]


def _remark(own: str, name: str) -> str:
    """A pattern of how a line begins that is about the text before it, or is another. own: names of the text alone."""
    return (
        rf"(?:this {own} |(?:this|the above) {name} {_TELLS}|the above {name}|in this {name}\b|\(?note ?:|explanation ?:|rationale ?:"
        rf"|this is (?:just )?(?:an?|the|not an?) (?:[\w-]+ ){{0,5}}(?:{name}|request)\b|here (?:is|are) (?:an?|the|your|my|some) (?:[\w-]+ ){{0,3}}{name}s?[.:]"
        rf"|i hope this (?:{name} )?(?:helps|meets|works|is what)|let me know if (?:you|this)[^.\n]{{0,40}} (?:help|changes?|adjust|revis|another {name})"
        rf"|feel free to (?:ask|modify|adjust|edit|customi[sz]e)|to make (?:the|this|your|it) (?:{name} )?more\b|here(?:'s|’s| is) [^\n:]{{0,60}}\b{name}\b[^\n:.]{{0,60}}:"
        rf"|(?:(?:original|revised|new) )?(?:{name}|(?:correct )?answer|user|human|assistant|options|label|category|element) ?(?:\d ?)?:|[qa] ?: |---)"
    )


def without_markdown(answer: str) -> str:
    """Without emphasis and code fences, and without long runs of spaces and line ends."""
    return _without_emphasis(_squeezed(answer))


def _squeezed(text: str) -> str:
    """Runs of spaces as one, of line ends as two at most: no pattern meets a long run."""
    text = re.sub(r"[^\S\n]+", " ", text.replace("\r", "\n"))
    return re.sub(r"\n(?: ?\n)+", "\n\n", text).strip()


def _without_emphasis(text: str) -> str:
    """Without Markdown's bold, and its code fences."""
    text = re.sub(r"(?m)^```\w*\n?", "", text).strip()
    text = re.sub(r"(?m)^\*(?=[^\s*])([^*\n]{1,200} [^*\n]{1,200}?)(?<=[^\s*])\*(?![\w*])", r"\1", text)  # italics of several words
    return re.sub(r"(?<![\w*])(\*\*|__)(?=[^\s*_])([^*\n]{1,400}?)(?<=\S)\1(?![\w*])", r"\2", text)


def without_quotes(text: str) -> str:
    """Without quotation marks around the whole, or one left over at an end; `*` of italics too."""
    for _ in range(_MOST_PREFIXES):
        if not _wraps(text):
            break
        text = text[1:-1].strip()
    if len(text) > 1 and sum(text.count(mark) for mark in _DOUBLE) % 2 == 1:
        if text[0] in _DOUBLE and _inner(text[:-1]) != "closes":
            return text[1:].strip()
        if text[-1] in _DOUBLE:
            return text[:-1].strip()
    if text[:1] == "*" == text[-1:] and text.count("*") == 2:
        return text[1:-1].strip()
    return text


def _wraps(text: str) -> bool:
    """Whether the first and last character are a pair of quotation marks around all else: `"Go" and "stop"` has no such pair."""
    if len(text) < 2 or text[0] not in _PAIRS or text[-1] not in _PAIRS[text[0]]:
        return False
    inner = _inner(text[:-1])
    return inner == "" or (inner == "opens" and text[0] in _DOUBLE)


def _inner(text: str) -> str:
    """What the next quotation mark of the first one's kind does: "opens", "closes"; "" where there is none."""
    marks = text[0] + _PAIRS.get(text[0], "")
    place = min((found for mark in set(marks) if (found := text.find(mark, 1)) > 0), default=0)
    if not place:
        return ""
    return "opens" if text[place - 1].isspace() and not text[place + 1 : place + 2].isspace() else "closes"
