"""Why what a chat model answered is no text of what was asked for, by name. Knows nothing of how an answer is cut to its text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from variegate.strategies.chat_answers import one_of

START = 400  # characters in which a model shows that it speaks as itself
_I = re.IGNORECASE
_I_AM = r"(?:I['’]m|I am)"
_WE_ARE = r"(?:I['’]m|I am|we['’]re|we are)"
_CANNOT = rf"(?:I (?:cannot|can['’]t|can not|won['’]t|(?:do not|don['’]t) have the (?:ability|capability|capacity) to)|{_I_AM} (?:unable to|not able to|not sure how to))"
_SELF = r"(?:AI|A\.I\.|language model|chat ?bot|(?:virtual|digital|voice|helpful) assistant|SmolLM)"
_BLANK = (
    "your|insert|name|date|company|bank|customer|user|username|item|product|service|city|link|number|recipient|sender|account|amount"
    "|phone|email|address|title|place|state|country|rate|card"
)

_MODEL = re.compile(
    rf"\bas an? (?:[\w-]+ ){{0,3}}{_SELF}\b|\b{_I_AM} (?:an? |your |the |just )?(?:[\w'-]+ ){{0,3}}{_SELF}\b"
    r"|\bmy name is SmolLM|^SmolLM\b|^you(?: are|['’]re) an? (?:(?:[\w-]+ ){0,2}assistant\b|AI\b|person who\b)",
    _I,
)
_SERVANT = re.compile(
    r"^(?:(?:hello|hi|hey|welcome|sure|yes|of course|good \w+)\b[^.!?]{0,40}[.!?,] ?)?"
    rf"(?:{_WE_ARE} (?:always )?(?:here|ready|happy|glad|available|pleased) to (?:help|assist)"
    r"|I(?:['’]d| would) be (?:happy|glad|delighted) to (?:help|assist|provide)"
    r"|(?:what|how) (?:can|may|could) I (?:help|assist|do for) |what(?:['’]s| is) your (?:question|query))"
    rf"|\bhow (?:can|may|could) I (?:help|assist) you\b|(?:^|[.!?,] ){_WE_ARE} here to (?:assist\b|help you\b)",
    _I,
)
_PLACEHOLDER = re.compile(rf"\[(?:[^\[\]\n]{{0,40}}[ _'’-])?(?:{_BLANK})s?(?:[ _'’-][^\[\]\n]{{0,60}})?\](?!\()", _I)


class Refusals:
    """names: of a text (`chat_answers.names_of`). phrases: of the labels. serves: whether "How can I help you?" may be a text of the task."""

    def __init__(self, names: Sequence[str], phrases: Sequence[str], *, serves: bool) -> None:
        name, phrase = one_of(names), one_of(phrases)
        wanted = (
            r"(?:an?|any|the|this|that|your|such|more|another|it|you)\b[^.!?]{0,60}"
            rf"\b(?:{name}|request(?:ed)?|instructions?|question|content|information|response|answer)s?\b"
        )
        self._refusal = re.compile(
            rf"^(?:[^.!?]{{0,60}}\b(?:sorry|apologi[sz]e|apologies|unfortunately)\b[^.!?]{{0,60}}[.!?]? ?)?\b{_CANNOT} "
            rf"(?:(?:help|assist|fulfill?|comply)\b|(?:provide|write|generate|create|answer|complete|produce|edit|rewrite)\b {wanted})",
            _I,
        )
        self._meta = re.compile(
            rf"^(?:this is )?(?:an?|the|your|one) (?:[\w-]+ ){{0,2}}?{name} (?:(?:about|that|which|covering|requiring|for the category|is about)\b|{_IS_ABOUT})"
            rf"|^(?:[^.!?]{{1,40}}, )?this {name} {_IS_ABOUT}|^I hope this {name}\b|^the [\w-]+ you (?:requested|asked for|mentioned|provided)\b"
            rf"|\b(?:sentiment|tone|emotion) (?:in|of) (?:the|this) {name}\b|\bit(?:['’]s| is) an? (?:[\w-]+ ){{0,3}}(?:piece|{name}) (?:designed|intended|meant) to\b"
            rf"|(?:^|[.!?] )(?:I will|I['’]ll|let me|I['’]d|I would|I can|I have to) (?:need to )?(?:\w+ )?(?:rewrite|rephrase|create|provide|generate)\b[^.!?]{{0,80}}\b{name}s?\b"
            rf"|\b(?:revised|rewritten|rephrased|original) {name}\b|\bmore divers(?:e|ity)\b[^.!?]{{0,40}}\b(?:version|{name})\b"
            rf"|\bwithout (?:an |any )?introduction\b|\bno introduction\b|\bword limit\b|\bfor the category [\"“]|\belement\b.{{0,20}}\b{phrase}",
            _I,
        )
        self._instruction = re.compile(
            rf"^(?:please )?(?:write|provide|create|generate|share|give) (?:me )?(?:an?|another|one|some|your|more) (?:[\w-]+ ){{0,3}}?{name}\b",
            _I,
        )
        self._bare = re.compile(rf"[\W_]{{0,9}}{phrase}[.\"” ]{{0,9}}\Z", _I)
        self._serves = serves

    def reason(self, text: str) -> str:
        """What is wrong with a text, by name; "" for nothing. text: cut out of its answer, on one line."""
        start = text[:START]
        if _MODEL.search(start):
            return "persona"
        if self._refusal.search(start):
            return "refusal"
        if _PLACEHOLDER.search(text):
            return "placeholder"
        if not self._serves and _SERVANT.search(start):
            return "persona"
        if self._meta.search(start):
            return "meta"
        return "echo" if self._instruction.search(start) or self._bare.match(text) else ""


_IS_ABOUT = r"(?:covers|conveys|expresses|captures|falls under|belongs to|is (?:from|designed|intended|meant|an? (?:\w+ )?example))\b"
