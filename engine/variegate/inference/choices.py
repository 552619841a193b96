"""A trie over the token sequences of some choices: which next-token probabilities are needed, and how they add up.

Pure: knows nothing of an engine. Scoring asks for the branchings of the trie instead of one pass per choice, so that
choices share their prompt and their common beginnings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from variegate.errors import UsageError

Node = tuple[int, ...]  # the tokens from the root


@dataclass(frozen=True, slots=True)
class Descent:
    """How an engine may go on from a node greedily, to answer the branchings it passes in one request.

    tokens: children of the branching nodes at or below. allowed: all tokens on the ways to those nodes, and `tokens`.
    stop: tokens after which there is no more to decide, wherever they come. steps: tokens to the last branching, and one.
    """

    tokens: tuple[int, ...]
    allowed: tuple[int, ...]
    stop: tuple[int, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Branch:
    """A node with several children. deeper: child -> the next branching node behind it. decided: child -> the place of the
    only choice behind it. places: of all choices below."""

    deeper: Mapping[int, Node]
    decided: Mapping[int, int]
    places: tuple[int, ...]


class ChoiceTrie:
    """choices: token ids of each, none empty, none twice, none the beginning of another unless `end` closes it.

    end: the token that ends a choice (the model's end of sequence), appended to a choice that is the beginning of
    another ("card" before "card arrival"), whose probability would otherwise include the longer one's.
    """

    def __init__(self, choices: Sequence[Node], end: int | None) -> None:
        known = set(choices)
        if len(known) != len(choices):
            raise UsageError("score: two choices are the same text or the same tokens")
        if any(not choice for choice in choices):
            raise UsageError("score: a choice is empty")
        beginnings = {choice[:depth] for choice in choices for depth in range(1, len(choice))}
        if end is None and known & beginnings:
            raise UsageError("score: one choice is the beginning of another, and the model has no end-of-sequence token")
        self.paths = [(*choice, end) if end is not None and choice in beginnings else choice for choice in choices]
        children: dict[Node, dict[int, None]] = {}
        places: dict[Node, list[int]] = {}  # of the choices at or below a node
        for place, path in enumerate(self.paths):
            for depth in range(len(path) + 1):
                places.setdefault(path[:depth], []).append(place)
            for depth, token in enumerate(path):
                children.setdefault(path[:depth], {})[token] = None
        self.children: dict[Node, tuple[int, ...]] = {node: tuple(tokens) for node, tokens in children.items()}
        self.first_branch = self._next_branch(()) if self.paths else None
        self._branches: dict[Node, Branch] = {}
        for node, tokens in self.children.items():
            if len(tokens) > 1:
                behind = {token: self._next_branch((*node, token)) for token in tokens}
                deeper = {token: found for token, found in behind.items() if found is not None}
                decided = {token: places[*node, token][0] for token, found in behind.items() if found is None}
                self._branches[node] = Branch(deeper, decided, tuple(places[node]))
        self._descents: dict[Node, Descent] = {}

    def _next_branch(self, node: Node) -> Node | None:
        """The first branching node at or below `node` that is reached without a decision; None before a leaf."""
        while node in self.children:
            if len(self.children[node]) > 1:
                return node
            node = (*node, *self.children[node])
        return None

    def nodes(self, *, constrained: bool) -> list[Node]:
        """Inner nodes whose next-token log-probabilities are needed; under `constrained` only the branching ones."""
        return list(self._branches if constrained else self.children)

    def descent(self, node: Node) -> Descent:
        """From a branching node on."""
        if node not in self._descents:
            tokens: dict[int, None] = {}
            allowed: dict[int, None] = {}
            ways: set[int] = set()
            steps = 0
            reached = [node]
            while reached:
                branch = reached.pop()
                steps = max(steps, len(branch) - len(node) + 1)
                reached += self._branches[branch].deeper.values()
                tokens.update(dict.fromkeys(self.children[branch]))
                allowed.update(dict.fromkeys((*self.children[branch], *branch[len(node) :])))
                ways.update(branch[len(node) :])
            stop = tuple(token for token in tokens if token not in ways)
            self._descents[node] = Descent(tuple(tokens), tuple(allowed), stop, steps)
        return self._descents[node]

    def open(self, known: Mapping[Node, Mapping[int, float]], prune: float) -> list[Node]:
        """Branching nodes not yet known that what is known reaches with a probability of at least `prune`, or at which the
        best choice may stand.

        The best choice is at least as probable as the best one decided, and as the mean of the choices behind any node.
        """
        decided, waiting = self._spread(known)
        sure = [*decided.values(), *(mass - math.log(len(self._branches[node].places)) for node, mass in waiting)]
        least = min(max(sure, default=-math.inf), math.log(prune) if prune > 0 else -math.inf)
        return [node for node, mass in waiting if mass >= least and mass > -math.inf]

    def totals(self, known: Mapping[Node, Mapping[int, float]], *, constrained: bool) -> list[float]:
        """Log-probability of each choice from those of the nodes' children.

        Under `constrained`, the choices below a branching node that is not known share what reaches it equally.
        """
        if not constrained:
            return [sum(known[path[:depth]][token] for depth, token in enumerate(path)) for path in self.paths]
        decided, waiting = self._spread(known)
        for node, mass in waiting:
            places = self._branches[node].places
            decided.update(dict.fromkeys(places, mass - math.log(len(places))))
        return [decided.get(place, 0.0) for place in range(len(self.paths))]  # 0: the only choice there is

    def _spread(self, known: Mapping[Node, Mapping[int, float]]) -> tuple[dict[int, float], list[tuple[Node, float]]]:
        """The log-probability 0 of the root shared out at the known branchings: place of a choice -> its own, and what
        reaches each branching that is not known."""
        decided: dict[int, float] = {}
        waiting = []
        reached = [(self.first_branch, 0.0)] if self.first_branch is not None else []
        while reached:
            node, mass = reached.pop()
            following = known.get(node)
            if following is None:
                waiting.append((node, mass))
                continue
            branch = self._branches[node]
            mass -= _log_sum([following[token] for token in self.children[node]])
            decided.update({place: mass + following[token] for token, place in branch.decided.items()})
            reached += [(below, mass + following[token]) for token, below in branch.deeper.items()]
        return decided, waiting


def _log_sum(values: list[float]) -> float:
    top = max(values)
    return top if top == -math.inf else top + math.log(sum(math.exp(value - top) for value in values))
