"""A trie over the token sequences of some choices: which next-token probabilities are needed, and how they add up.

Pure: knows nothing of an engine. Scoring asks for one step per inner node instead of one pass per choice, so that
choices share their prompt and their common beginnings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from variegate.errors import UsageError

Node = tuple[int, ...]  # the tokens from the root


class ChoiceTrie:
    """choices: token ids of each, none empty, none twice, none the beginning of another unless `end` closes it.

    end: the token that ends a choice (the model's end of sequence), appended to a choice that is the beginning of
    another ("card" before "card arrival"), whose probability would otherwise include the longer one's.
    """

    def __init__(self, choices: Sequence[Node], end: int | None) -> None:
        if len(set(choices)) != len(choices):
            raise UsageError("score: two choices are the same text or the same tokens")
        if any(not choice for choice in choices):
            raise UsageError("score: a choice is empty")
        self.paths = []
        for choice in choices:
            is_prefix = any(other[: len(choice)] == choice for other in choices if other != choice)
            if is_prefix and end is None:
                raise UsageError("score: one choice is the beginning of another, and the model has no end-of-sequence token")
            self.paths.append((*choice, end) if is_prefix and end is not None else choice)
        self.children: dict[Node, list[int]] = {}
        for path in self.paths:
            for depth, token in enumerate(path):
                following = self.children.setdefault(path[:depth], [])
                if token not in following:
                    following.append(token)

    def nodes(self, *, constrained: bool) -> list[Node]:
        """Inner nodes whose next-token log-probabilities are needed; under `constrained` only the branching ones."""
        return [node for node, tokens in self.children.items() if not constrained or len(tokens) > 1]

    def totals(self, logprobs: Mapping[Node, Mapping[int, float]], *, constrained: bool) -> list[float]:
        """Log-probability of each choice from those of the nodes' children."""
        norms = {node: _log_sum([following[token] for token in self.children[node]]) for node, following in logprobs.items()}
        totals = []
        for path in self.paths:
            total = 0.0
            for depth, token in enumerate(path):
                node = path[:depth]
                if node in logprobs:
                    total += logprobs[node][token] - (norms[node] if constrained else 0.0)
            totals.append(total)
        return totals


def _log_sum(values: list[float]) -> float:
    top = max(values)
    return top if top == -math.inf else top + math.log(sum(math.exp(value - top) for value in values))
