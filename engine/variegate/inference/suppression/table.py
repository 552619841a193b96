"""How often each token was produced, by group, and the logit bias that follows.

Pure numpy; knows nothing of engines, requests, rounds or files. Deterministic: the order in which tokens are added is without
effect, and ties are broken by token id.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Float32, Int64

_QUOTES_AND_NEWLINES = ('"', "\u201c", "\u201d", "\n", "\r")


class SuppressionTable:
    """Token counts of each group, and bias_t = max(floor, scale * p_t) computed from them.

    p_t = 100 * count_t / sum_s count_s is the token's share in percent of *all* the group's tokens: an exempt token counts
    in the sum, so exempting a token never makes another's bias stronger. The `top_k` most frequent tokens (ties: the lower
    id) get a bias, all others 0; exempt tokens get 0 and take up none of the `top_k` places. With floor = scale = -7.5 the
    bias lies in [-7.5, 0] and a token with 1 % of the group's tokens is at the floor. A group without tokens has bias 0.

    Cost: add is O(tokens), bias O(v log v) at most.

    Reference: Chung, Kamar, Amershi. Increasing Diversity While Maintaining Accuracy. ACL 2023, section 3.1.
    Differs from the paper: groups other than the whole run, `top_k=None`, and exempt tokens; with one group, top_k=100 and
    none exempt it is the paper's.
    """

    def __init__(self, num_tokens: int, *, top_k: int | None, floor: float, scale: float, exempt: frozenset[int]) -> None:
        if num_tokens < 1:
            raise ValueError(f"num_tokens: got {num_tokens}, expected at least 1")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k: got {top_k}, expected at least 1, or None for all tokens")
        for name, value in (("floor", floor), ("scale", scale)):
            if not (math.isfinite(value) and value <= 0):
                raise ValueError(f"{name}: got {value}, expected a finite number, at most 0")
        outside = sorted(token for token in exempt if not 0 <= token < num_tokens)
        if outside:
            raise ValueError(f"exempt: token id {outside[0]} is outside the vocabulary [0, {num_tokens})")
        self.num_tokens = num_tokens
        self.top_k = top_k
        self.floor = floor
        self.scale = scale
        self.exempt = exempt
        self._exempt_ids = np.fromiter(sorted(exempt), dtype=np.int64, count=len(exempt))
        self._counts: dict[str, Int64[np.ndarray, " v"]] = {}

    def add(self, group: str, token_ids: Sequence[int]) -> None:
        """Count every one of `token_ids` for `group`, exempt ones too."""
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < self.num_tokens):
            wrong = int(ids.min() if ids.min() < 0 else ids.max())
            raise ValueError(f"token_ids: {wrong} is outside the vocabulary [0, {self.num_tokens})")
        if group not in self._counts:
            self._counts[group] = np.zeros(self.num_tokens, dtype=np.int64)
        self._counts[group] += np.bincount(ids, minlength=self.num_tokens)

    def counts(self, group: str) -> Int64[np.ndarray, " v"]:
        """How often each token was added to `group`; a copy."""
        if group not in self._counts:
            return np.zeros(self.num_tokens, dtype=np.int64)
        return self._counts[group].copy()

    def bias(self, group: str) -> Float32[np.ndarray, " v"]:
        """What to add to the logits of a request of `group`."""
        bias = np.zeros(self.num_tokens, dtype=np.float32)
        counts = self.counts(group)
        total = int(counts.sum())
        if total == 0:
            return bias
        eligible = counts.copy()
        eligible[self._exempt_ids] = 0
        chosen = np.flatnonzero(eligible)
        if self.top_k is not None and len(chosen) > self.top_k:
            order = np.argsort(-eligible[chosen], kind="stable")  # chosen ascends, so a stable sort keeps lower ids first
            chosen = chosen[order[: self.top_k]]
        bias[chosen] = np.maximum(self.floor, self.scale * (100.0 * counts[chosen] / total))
        bias += 0.0  # turns -0.0 (scale or floor 0) into 0.0: equal biases have equal bytes
        return bias

    def groups(self) -> list[str]:
        """The groups that something was added to, sorted."""
        return sorted(self._counts)

    def digest(self, group: str) -> str:
        """16 hex digits; equal exactly when the bias rows are equal. For request keys."""
        return hashlib.sha256(self.bias(group).astype("<f4").tobytes()).hexdigest()[:16]

    def top(self, group: str, n: int) -> list[tuple[int, float, float]]:
        """The `n` tokens produced most often (exempt ones too), as (token id, share in percent, bias). For reports."""
        counts, bias = self.counts(group), self.bias(group)
        total = int(counts.sum())
        order = np.argsort(-counts, kind="stable")[:n]
        return [(int(token), 100.0 * int(counts[token]) / total, float(bias[token])) for token in order if counts[token]]


def exempt_token_ids(
    decode: Callable[[int], str],
    num_tokens: int,
    stop: Sequence[str],
    extra: Sequence[str],
    special_ids: Iterable[int],
    encode: Callable[[str], list[int]],
    *,
    terminators: bool = True,
) -> frozenset[int]:
    """The ids of the tokens that suppression should leave alone.

    With `terminators`: the special tokens (end of sequence and the like), every token whose text contains a double quote
    (straight or curly), a line break or one of the `stop` strings, and for a stop string that no single token contains,
    the tokens it is made of. These end an item, so they are the most frequent of all, and suppressing them would attack
    the ending itself. Always: the tokens that the `extra` texts are made of.

    `decode` gives one token's text, `encode` a text's tokens, without a begin-of-sequence token.
    Cost: `num_tokens` calls of `decode`.
    """
    if "" in stop:
        raise ValueError("stop: got an empty string, which every token contains; leave it out")
    found = {token for text in extra for token in encode(text)}
    if terminators:
        found.update(special_ids)
        unseen = set(stop)
        for token in range(num_tokens):
            text = decode(token)
            held = [string for string in stop if string in text]
            if held or any(mark in text for mark in _QUOTES_AND_NEWLINES):
                found.add(token)
                unseen.difference_update(held)
        found.update(token for string in unseen for token in encode(string))
    return frozenset(token for token in found if 0 <= token < num_tokens)
