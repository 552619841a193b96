"""Exact and near duplicates among texts, found as they arrive, in memory that grows by some hundred bytes a text.

Near duplicates: MinHash signatures (datasketch) of word trigrams, banded as in locality-sensitive hashing, so a text is
compared only with those that share a band. Knows nothing of labels, requests or files.

Reference: Broder, "On the resemblance and containment of documents", 1997.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
from datasketch import MinHash
from jaxtyping import UInt32, UInt64

from variegate.containment import KnownTexts, words_of
from variegate.folding import fold
from variegate.kinds.text import BETWEEN, Text

NUM_PERMUTATIONS = 64
BAND_ROWS = 4  # 16 bands of 4: a pair of similarity 0.8 shares a band with probability 0.9998, one of 0.9 with 1 - 1e-7


def shingles(text: str) -> list[bytes]:
    """Word trigrams of the folded text without punctuation; the words themselves where there are fewer than three."""
    words = words_of(text, apostrophes_part=True)
    if len(words) < 3:
        return [" ".join(words).encode()]
    return [" ".join(words[place : place + 3]).encode() for place in range(len(words) - 2)]


@lru_cache(maxsize=1)
def _empty_sketch() -> MinHash:
    """Made once: drawing the permutations costs more than hashing a short text."""
    return MinHash(num_perm=NUM_PERMUTATIONS, seed=1)


def _sketch(text: str) -> UInt32[np.ndarray, "64"]:
    sketch = _empty_sketch().copy()
    sketch.update_batch(shingles(text))
    return sketch.hashvalues.astype(np.uint32)


class ExactIndex:
    """Folded texts seen so far, as 8-byte hashes (a false hit among 10^6 texts has probability 3e-8)."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def __contains__(self, text: str) -> bool:
        return self._hash(text) in self._seen

    def add(self, text: str) -> None:
        self._seen.add(self._hash(text))

    @staticmethod
    def _hash(text: str) -> int:
        return int.from_bytes(hashlib.blake2b(fold(text).encode(), digest_size=8).digest(), "little")


class NearIndex:
    """Texts whose estimated Jaccard similarity of word trigrams to an earlier one reaches `threshold`.

    The estimate is the share of equal MinHash values: its standard error at similarity s is sqrt(s (1 - s) / 64),
    0.04 at 0.9. Memory: 256 B of signature and 16 band keys a text. Cost: about 0.1 ms a text.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._signatures: UInt32[np.ndarray, "capacity 64"] = np.empty((1024, NUM_PERMUTATIONS), dtype=np.uint32)
        self._count = 0
        self._sorted_keys: UInt64[np.ndarray, " keys"] = np.empty(0, dtype=np.uint64)  # band keys of settled texts, sorted
        self._sorted_texts = np.empty(0, dtype=np.uint32)  # the text of each
        self._recent: dict[int, list[int]] = {}  # band key -> texts, not yet settled into the arrays

    def __len__(self) -> int:
        return self._count

    def find(self, signature: UInt32[np.ndarray, "64"]) -> int | None:
        """Number of an earlier text at or above the threshold (the most similar found), or None."""
        return self._find(signature, self._band_keys(signature))

    def add(self, signature: UInt32[np.ndarray, "64"]) -> None:
        self._add(signature, self._band_keys(signature))

    def find_or_add(self, signature: UInt32[np.ndarray, "64"]) -> int | None:
        """As `find`; takes the text in where there is none."""
        keys = self._band_keys(signature)
        found = self._find(signature, keys)
        if found is None:
            self._add(signature, keys)
        return found

    def _find(self, signature: UInt32[np.ndarray, "64"], keys: UInt64[np.ndarray, "16"]) -> int | None:
        candidates: set[int] = set()
        for key in keys.tolist():
            candidates.update(self._recent.get(key, ()))
        if len(self._sorted_keys):
            lefts, rights = (np.searchsorted(self._sorted_keys, keys, side=side) for side in ("left", "right"))
            for left, right in zip(lefts, rights, strict=True):
                candidates.update(self._sorted_texts[left:right].tolist())
        if not candidates:
            return None
        places = np.array(sorted(candidates))
        similarity = (self._signatures[places] == signature).mean(axis=1)
        best = int(similarity.argmax())
        return int(places[best]) if similarity[best] >= self.threshold else None

    def _add(self, signature: UInt32[np.ndarray, "64"], keys: UInt64[np.ndarray, "16"]) -> None:
        if self._count == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[self._count] = signature
        for key in keys.tolist():
            self._recent.setdefault(key, []).append(self._count)
        self._count += 1
        if len(self._recent) > 1 << 15:
            self._settle()

    @staticmethod
    def signature(text: Text) -> UInt32[np.ndarray, "64"]:
        """Of several texts a value is equal where those of each are: the share estimates the product of their similarities, so
        that two pairs are near when both texts are, however long one of them is. A pair may come as `comparable` gives it."""
        parts = text.split(BETWEEN) if isinstance(text, str) else text
        found, *others = (_sketch(part) for part in parts)
        for place, other in enumerate(others, 1):
            mixed = (found.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)
            found = mixed.astype(np.uint32) ^ np.roll(other, place)  # of other permutations: texts of a pair may share words
        return found

    @staticmethod
    def _band_keys(signature: UInt32[np.ndarray, "64"]) -> UInt64[np.ndarray, "16"]:
        """One 64-bit key per band: an FNV-like mix of its four values and the band's number."""
        bands = signature.reshape(-1, BAND_ROWS).astype(np.uint64)
        keys = np.arange(len(bands), dtype=np.uint64) + np.uint64(0xCBF29CE484222325)
        for column in range(BAND_ROWS):
            keys = (keys ^ bands[:, column]) * np.uint64(0x100000001B3)
            keys ^= keys >> np.uint64(29)
        return keys

    def _settle(self) -> None:
        """Move the recent keys into the sorted arrays: 12 bytes a key instead of a dictionary entry."""
        keys = np.concatenate([self._sorted_keys, np.array([key for key, texts in self._recent.items() for _ in texts], dtype=np.uint64)])
        texts = np.concatenate([self._sorted_texts, np.array([text for each in self._recent.values() for text in each], dtype=np.uint32)])
        order = np.argsort(keys, kind="stable")
        self._sorted_keys, self._sorted_texts = keys[order], texts[order]
        self._recent = {}


class DuplicateFilter:
    """Names the reason a text repeats an earlier one, or takes it in.

    near: Jaccard threshold, or None. examples: real texts; what equals or contains one (see `containment`) is refused.
    """

    def __init__(self, *, exact: bool, near: float | None, examples: tuple[str, ...] = ()) -> None:
        self._examples, self._exact = ExactIndex(), ExactIndex()
        self._contained = KnownTexts()
        self._check_exact = exact
        self._near = NearIndex(near) if near is not None else None
        for text in examples:
            self._examples.add(text)
            if BETWEEN not in text:  # a pair's given text stands in what is written for it by right
                self._contained.add(text)

    def check(self, text: str, *, take_in: bool = True) -> str | None:
        """ "copy_of_example", "duplicate" or "near_duplicate"; None takes the text in as kept, unless told not to."""
        if text in self._examples or self._contained.find(text) is not None:
            return "copy_of_example"
        if self._check_exact and text in self._exact:
            return "duplicate"
        if self._near is not None:
            signature = self._near.signature(text)
            if not self._check_exact and text in self._exact:  # it is near to its copy, which the user wishes to keep
                if take_in:
                    self._near.add(signature)
            elif (self._near.find_or_add if take_in else self._near.find)(signature) is not None:
                return "near_duplicate"
        if take_in:
            self._exact.add(text)
        return None
