"""How often each token was produced, by group, and the logit bias that follows.

Pure numpy; knows nothing of engines, requests, rounds or files. Deterministic: the order in which tokens are added is without
effect, and ties are broken by token id.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from variegate.inference.suppression.sparse import SparseRow

_QUOTES_AND_NEWLINES = ('"', "\u201c", "\u201d", "\n", "\r")


class SuppressionTable:
    """Token counts of each group, and bias_t = max(floor, scale * p_t) computed from them.

    p_t = 100 * count_t / sum_s count_s is the token's share in percent of *all* the group's tokens: an exempt token counts
    in the sum, so exempting a token never makes another's bias stronger. The `top_k` most frequent tokens (ties: the lower
    id) get a bias, all others 0; exempt tokens get 0 and take up none of the `top_k` places. With floor = scale = -7.5 the
    bias lies in [-7.5, 0] and a token with 1 % of the group's tokens is at the floor. A group without tokens has bias 0. A group with
    fewer than `min_tokens` counts as one of that many: after a text of ten tokens each of them would be at the floor.

    Counts are kept of the tokens that were produced, u of them in a group, and no array is as wide as the vocabulary but
    the one of exempt tokens. Cost: add is O(tokens); the first `row` of a group after it O(u log u), every further one O(1).

    Reference: Chung, Kamar, Amershi. Increasing Diversity While Maintaining Accuracy. ACL 2023, section 3.1.
    Differs from the paper: groups other than the whole run, `top_k=None`, exempt tokens and `min_tokens`; with one group, top_k=100,
    none exempt and min_tokens=0 it is the paper's.
    """

    def __init__(
        self, num_tokens: int, *, top_k: int | None, floor: float, scale: float, exempt: frozenset[int], min_tokens: int = 0
    ) -> None:
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
        self.min_tokens = min_tokens
        self._is_exempt = np.zeros(num_tokens, dtype=bool)
        self._is_exempt[list(exempt)] = True
        self._counts: dict[str, _Counts] = {}
        self._rows: dict[str, SparseRow] = {}  # of groups that nothing was added to since

    def add(self, group: str, token_ids: Sequence[int]) -> None:
        """Count every one of `token_ids` for `group`, exempt ones too."""
        ids = np.asarray(token_ids, dtype=np.int64)
        if ids.size and not (ids.min() >= 0 and ids.max() < self.num_tokens):
            wrong = int(ids.min() if ids.min() < 0 else ids.max())
            raise ValueError(f"token_ids: {wrong} is outside the vocabulary [0, {self.num_tokens})")
        self._counts.setdefault(group, _Counts()).new.append(ids)
        self._rows.pop(group, None)

    def row(self, group: str) -> SparseRow:
        """What to add to the logits of a request of `group`; the empty row for a group that nothing was added to."""
        if group not in self._rows:
            self._rows[group] = self._make_row(*self._of(group))
        return self._rows[group]

    def _of(self, group: str) -> tuple[Int64[np.ndarray, " u"], Int64[np.ndarray, " u"]]:
        return self._counts[group].merge() if group in self._counts else (_NONE, _NONE)

    def _make_row(self, ids: Int64[np.ndarray, " u"], counts: Int64[np.ndarray, " u"]) -> SparseRow:
        chosen = np.flatnonzero(~self._is_exempt[ids])
        if self.top_k is not None and len(chosen) > self.top_k:
            rank = ids[chosen] - counts[chosen] * self.num_tokens  # no two are equal: more often first, then the lower id
            chosen = np.sort(chosen[np.argpartition(rank, self.top_k - 1)[: self.top_k]])
        total = max(int(counts.sum()), self.min_tokens)
        biases = np.maximum(self.floor, self.scale * (100.0 * counts[chosen] / total)).astype(np.float32)
        suppressed = np.flatnonzero(biases)  # all, unless floor or scale is 0
        return SparseRow(ids[chosen][suppressed].astype(np.int32), biases[suppressed])

    def groups(self) -> list[str]:
        """The groups that something was added to, sorted."""
        return sorted(self._counts)

    def rows(self) -> dict[str, SparseRow]:
        """Every group's row that is not empty, by its digest: what `Backend.set_rows` takes. Groups of equal rows share one."""
        return {row.digest: row for row in map(self.row, self.groups()) if row.digest}

    def top(self, group: str, n: int) -> list[tuple[int, float, float]]:
        """The `n` tokens produced most often (exempt ones too), as (token id, share in percent, bias). For reports."""
        ids, counts = self._of(group)
        total = int(counts.sum())
        row = self.row(group)
        bias = dict(zip(row.token_ids.tolist(), row.biases.tolist(), strict=True))
        order = np.argsort(-counts, kind="stable")[:n]
        return [
            (token, 100.0 * count / total, bias.get(token, 0.0))
            for token, count in zip(ids[order].tolist(), counts[order].tolist(), strict=True)
        ]

    @property
    def state(self) -> dict[str, dict[str, list[int]]]:
        """All that was added, as JSON-able data: group -> {"token_ids": ascending, "counts": of each}. Settings are not in it.

        Setting it replaces what was added; ValueError, and nothing is changed, where it is not of that form.
        """
        return {
            group: dict(zip(("token_ids", "counts"), (each.tolist() for each in self._of(group)), strict=True)) for group in self.groups()
        }

    @state.setter
    def state(self, state: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
        counts: dict[str, _Counts] = {}
        for group, each in state.items():
            ids, times = (np.asarray(each[name], dtype=np.int64) for name in ("token_ids", "counts"))
            right = ids.ndim == 1 and ids.shape == times.shape and (ids[1:] > ids[:-1]).all() and (times > 0).all()
            if not right or (ids.size and not 0 <= ids[0] <= ids[-1] < self.num_tokens):
                raise ValueError(
                    f"state of group {group!r}: expected token_ids that ascend within [0, {self.num_tokens}) and as many counts of at least 1"
                )
            counts[group] = _Counts(ids, times)
        self._counts, self._rows = counts, {}


_NONE = np.zeros(0, dtype=np.int64)


@dataclass(slots=True)
class _Counts:
    """One group's: `counts` of `ids`, which ascend, and `new` tokens that are not counted yet."""

    ids: Int64[np.ndarray, " u"] = field(default_factory=lambda: _NONE)
    counts: Int64[np.ndarray, " u"] = field(default_factory=lambda: _NONE)
    new: list[Int64[np.ndarray, " t"]] = field(default_factory=list)

    def merge(self) -> tuple[Int64[np.ndarray, " u"], Int64[np.ndarray, " u"]]:
        if self.new:
            fresh, times = np.unique(np.concatenate(self.new), return_counts=True)
            both = np.concatenate([self.ids, fresh])
            self.ids, places = np.unique(both, return_inverse=True)
            counts = np.zeros(len(self.ids), dtype=np.int64)
            np.add.at(counts, places, np.concatenate([self.counts, times]))
            self.counts = counts
            self.new.clear()
        return self.ids, self.counts


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
