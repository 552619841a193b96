"""Texts that contain a known one: behind "Tweet:", in quotation marks, with a tail. Knows texts alone.

A text copies a known one when the two share a run of words that covers four fifths of the known text, and five words at least; forty
words in a row are a copy of any. Case, width, punctuation and white space aside. A known text of fewer than five words is never found:
people say "how are you" in many texts. Scripts written without spaces are not cut into words, so of them only whole sentences are found.
"""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from jaxtyping import UInt64

from variegate.folding import fold

LEAST_WORDS, SHARE, ENOUGH_WORDS = 5, 0.8, 40
_BASE = 0x9E3779B97F4A7C15  # odd, so it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)


class _Characters(dict[int, str]):
    """For `str.translate`: what becomes of a character. Filled as characters are met. apostrophe: what becomes of one."""

    def __init__(self, apostrophe: str) -> None:
        self._apostrophe = apostrophe

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = char if char.isalnum() or unicodedata.category(char)[0] == "M" else self._apostrophe if char in "'’" else " "
        return self[code]


_JOINED, _PARTED = _Characters(""), _Characters(" ")


def words_of(text: str, *, apostrophes_part: bool = False) -> list[str]:
    """The folded text's runs of letters, digits and combining marks, which belong to their letter."""
    return fold(text).translate(_PARTED if apostrophes_part else _JOINED).split()


def run_length(num_words: int) -> int | None:
    """Shared words in a row that make a copy of a known text of so many words; None: it is too short."""
    needed = min(ENOUGH_WORDS, max(LEAST_WORDS, math.ceil(SHARE * num_words)))
    return needed if num_words >= LEAST_WORDS else None


class KnownTexts:
    """Finds which known text another contains. Memory: some 100 bytes a word of the known texts.

    Cost of a text of w words: w operations for each different run length there is, 36 at most, whatever the number of known texts.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._words: list[tuple[str, ...]] = []
        self._places: dict[int, dict[int, tuple[int, int]]] = {}  # run length -> hash of a run -> (text, place in it)
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        words = tuple(words_of(text))
        self._words.append(words)
        if (length := run_length(len(words))) is not None:
            known = self._places.setdefault(length, {})
            for place, value in enumerate(_runs(_sums(words), length).tolist()):
                known.setdefault(value, (len(self._words) - 1, place))

    def find(self, text: str) -> int | None:
        """The number of a known text that `text` copies, in the order they were added; None where it copies none."""
        if not self._places:
            return None
        words = tuple(words_of(text))
        sums = _sums(words)
        for length, known in self._places.items():
            if length > len(words):
                continue
            for place, value in enumerate(_runs(sums, length).tolist()):
                found = known.get(value)
                if found is not None and self._words[found[0]][found[1] : found[1] + length] == words[place : place + length]:
                    return found[0]
        return None


@lru_cache(maxsize=1 << 16)
def _hash(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


@lru_cache(maxsize=64)
def _powers(base: int, count: int) -> UInt64[np.ndarray, " count"]:
    out = np.empty(count, dtype=np.uint64)
    value = 1
    for place in range(count):
        out[place] = value
        value = value * base % (1 << 64)
    return out


def _sums(words: tuple[str, ...]) -> UInt64[np.ndarray, " words"]:
    """Sum over the first i words of hash(word j) times base^j, modulo 2^64."""
    size = 1 << max(6, len(words).bit_length())
    values = np.array([_hash(word) for word in words], dtype=np.uint64) * _powers(_BASE, size)[: len(words)]
    return np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(values, dtype=np.uint64)])


def _runs(sums: UInt64[np.ndarray, " words"], length: int) -> UInt64[np.ndarray, " runs"]:
    """The hash of every run of `length` words, wherever it stands."""
    count = len(sums) - length
    size = 1 << max(6, len(sums).bit_length())
    return (sums[length:] - sums[:count]) * _powers(_INVERSE, size)[:count]
