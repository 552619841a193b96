"""What a model wrote, read as one of the candidate classes, or as a refusal. Knows titles; knows no engine and no record.

Reference: Sahu et al., PromptMix, EMNLP 2023. Differs from the paper's code, which maps every answer to the class with the
nearest name embedding: here a refusal stays one, and so does an answer that is near to no class.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from variegate.folding import fold

PATHS = ("exact", "casefold", "prefix", "nearest", "refused", "far")
LEAST_SIMILARITY = 0.4  # cosine between an answer and a title, below which the answer names no class
LEAST_PREFIX = 3  # characters of an answer that is read as the beginning of a title
_LEAD = re.compile(r"^(?:the\s+)?(?:category|class|label|answer)(?:\s+is)?\s*[:\-]?\s+", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^(?:n/?a|none(?: of .*)?|null|nothing|neither\b.*|other|undetermined|uncertain|not (?:sure|applicable|clear|possible|enough)\b.*|"
    r"(?:unknown|unclear|insufficient|unable|cannot|can't|sorry|apologies|unfortunately|as an ai)\b.*|"
    r"(?:it|this|that|the \w+) (?:is not|isn't|does not|doesn't|cannot|can't)\b.*|"
    r"(?:i'm|i am|we're|we are) (?:sorry|afraid|unable|not)\b.*|"
    r"(?:i|we) (?:cannot|can't|can not|could not|couldn't|do not|don't|won't|will not|apologi[sz]e)\b.*|"
    r"there is (?:no|not)\b.*|no (?:category|class|label|answer|match)\b.*)$",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """label: None where the answer names no class. path: how it was found, one of PATHS."""

    label: str | None
    path: str


def read_answers(
    answers: Sequence[str],
    candidates: Sequence[Sequence[str]],
    titles: Mapping[str, str],
    *,
    encode: Callable[[Sequence[str]], Float[np.ndarray, "n d"]] | None = None,
) -> list[Reading]:
    """One reading for each answer. candidates: label names the prompt left to choose from. titles: of all labels.

    In this order: equal to a title (`exact`); equal but for case, quotes and final punctuation, or equal to the label's name
    (`casefold`); a refusal (`refused`); the beginning of one candidate's title alone, or one that begins with a title
    (`prefix`); the candidate whose title's embedding is nearest (`nearest`), or `far` where none is near. The first two look
    among the candidates first, then among all labels. Without `encode` what is left is `far`.
    """
    readings = [_read(answer, names, titles) for answer, names in zip(answers, candidates, strict=True)]
    left = [place for place, reading in enumerate(readings) if reading is None]
    found = {}
    if left and encode is not None:
        wanted = sorted({_first_line(answers[place]) for place in left})
        names = sorted({name for place in left for name in candidates[place]})
        vectors = _unit(encode([*wanted, *(titles[name] for name in names)]))
        cosine = vectors[: len(wanted)] @ vectors[len(wanted) :].T
        rows = {text: row for row, text in enumerate(wanted)}
        columns = {name: column for column, name in enumerate(names)}
        for place in left:
            near = [float(cosine[rows[_first_line(answers[place])], columns[name]]) for name in candidates[place]]
            best = int(np.argmax(near))
            found[place] = Reading(candidates[place][best], "nearest") if near[best] >= LEAST_SIMILARITY else Reading(None, "far")
    return [reading or found.get(place) or Reading(None, "far") for place, reading in enumerate(readings)]


def _read(answer: str, candidates: Sequence[str], titles: Mapping[str, str]) -> Reading | None:
    """None where only embeddings can tell."""
    line = _first_line(answer)
    names = [*candidates, *(name for name in titles if name not in candidates)]
    for name in names:
        if titles[name] == line:
            return Reading(name, "exact")
    for words in dict.fromkeys((_bare(line), _bare(_LEAD.sub("", line)))):
        for name in names:
            if words and words in (_bare(titles[name]), _bare(name)):
                return Reading(name, "casefold")
    words = _bare(_LEAD.sub("", line))
    if not words or _REFUSAL.match(words):
        return Reading(None, "refused")
    begun = [name for name in candidates if _bare(titles[name]).startswith(words)]
    if len(begun) == 1 and len(words) >= LEAST_PREFIX:
        return Reading(begun[0], "prefix")
    longest = sorted((name for name in candidates if _begins(words, _bare(titles[name]))), key=lambda name: -len(titles[name]))
    return Reading(longest[0], "prefix") if longest else None


def _first_line(answer: str) -> str:
    return answer.strip().split("\n", 1)[0].strip()


def _bare(text: str) -> str:
    """Folded, without quotes and stars around and punctuation at the end."""
    return fold(text).replace("\u2019", "'").strip("\"'`*").rstrip(".,;:!").strip("\"'`*")


def _begins(text: str, title: str) -> bool:
    """Whether text begins with the title as whole words."""
    return bool(title) and text.startswith(title) and not text[len(title) : len(title) + 1].isalnum()


def _unit(vectors: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norm > 0, norm, 1))
