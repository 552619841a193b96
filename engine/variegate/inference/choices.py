"""A trie over the token sequences of some choices: which next-token probabilities are needed, and how they add up.

Pure: knows nothing of an engine. Scoring asks at nodes of the trie instead of one pass per choice, so that choices share
their prompt and their common beginnings.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from variegate.errors import UsageError

Node = tuple[int, ...]  # the tokens from the root


@dataclass(frozen=True, slots=True)
class Descent:
    """How an engine may go on from a node greedily, to answer the nodes it passes in one request.

    tokens: children of the nodes asked about, at or below. allowed: all tokens on the ways to those nodes, and `tokens`.
    stop: tokens after which there is nothing more to ask, wherever they come. steps: tokens to the last node, and one.
    """

    tokens: tuple[int, ...]
    allowed: tuple[int, ...]
    stop: tuple[int, ...]
    steps: int


@dataclass(frozen=True, slots=True)
class Fork:
    """A node asked about. deeper: child -> the next node asked about behind it. decided: child -> the place of the only
    choice behind it, about which nothing more is asked. places: of all choices below."""

    deeper: Mapping[int, Node]
    decided: Mapping[int, int]
    places: tuple[int, ...]


class ChoiceTrie:
    """choices: token ids of each, none empty, none twice, none the beginning of another unless `end` closes it.

    end: the token that ends a choice (the model's end of sequence), appended to a choice that is the beginning of
    another ("card" before "card arrival"), whose probability would otherwise include the longer one's.
    constrained: a choice's probability is the product of the shares of its tokens among their siblings, so that those of
    all choices sum to 1, and only nodes with several children are asked about. Otherwise it is the product of its tokens'
    own probabilities, and every inner node is.
    """

    def __init__(self, choices: Sequence[Node], end: int | None, *, constrained: bool) -> None:
        known = set(choices)
        if len(known) != len(choices):
            raise UsageError("score: two choices are the same text or the same tokens")
        if any(not choice for choice in choices):
            raise UsageError("score: a choice is empty")
        beginnings = {choice[:depth] for choice in choices for depth in range(1, len(choice))}
        if end is None and known & beginnings:
            raise UsageError("score: one choice is the beginning of another, and the model has no end-of-sequence token")
        self.constrained = constrained
        self.paths = [(*choice, end) if end is not None and choice in beginnings else choice for choice in choices]
        children: dict[Node, dict[int, None]] = {}
        places: dict[Node, list[int]] = {}  # of the choices at or below a node
        for place, path in enumerate(self.paths):
            for depth in range(len(path) + 1):
                places.setdefault(path[:depth], []).append(place)
            for depth, token in enumerate(path):
                children.setdefault(path[:depth], {})[token] = None
        self.children: dict[Node, tuple[int, ...]] = {node: tuple(tokens) for node, tokens in children.items()}
        self._first = self._next_fork(()) if self.paths else None
        self.forks: dict[Node, Fork] = {}
        for node, tokens in self.children.items():
            if len(tokens) > 1 or not constrained:
                behind = {token: self._next_fork((*node, token)) for token in tokens}
                deeper = {token: found for token, found in behind.items() if found is not None}
                decided = {token: places[*node, token][0] for token, found in behind.items() if found is None}
                self.forks[node] = Fork(deeper, decided, tuple(places[node]))
        self._descents: dict[Node, Descent] = {}

    def _next_fork(self, node: Node) -> Node | None:
        """The first node at or below `node` that is asked about; None where there is none."""
        while node in self.children:
            if len(self.children[node]) > 1 or not self.constrained:
                return node
            node = (*node, *self.children[node])
        return None

    def descent(self, node: Node) -> Descent:
        """From a node asked about on."""
        if node not in self._descents:
            tokens: dict[int, None] = {}
            allowed: dict[int, None] = {}
            ways: set[int] = set()
            steps = 0
            reached = [node]
            while reached:
                fork = reached.pop()
                steps = max(steps, len(fork) - len(node) + 1)
                reached += self.forks[fork].deeper.values()
                tokens.update(dict.fromkeys(self.children[fork]))
                allowed.update(dict.fromkeys((*self.children[fork], *fork[len(node) :])))
                ways.update(fork[len(node) :])
            stop = tuple(token for token in tokens if token not in ways)
            self._descents[node] = Descent(tuple(tokens), tuple(allowed), stop, steps)
        return self._descents[node]

    def open(self, known: Mapping[Node, Mapping[int, float]], prune: float) -> list[Node]:
        """Nodes still to ask about: those at which the best choice may stand, or one whose share of all choices is at least
        `prune`. known: log-probabilities of the children of the nodes asked about.

        Constrained: no share is larger than what reaches it, and the best choice is at least as probable as the best one
        decided and as the mean of those behind any node. Otherwise probability leaks on the way, so the best one decided is
        all there is to compare with; where there is none, the most probable node is asked about next.
        """
        decided, waiting = self._spread(known)
        if not waiting or prune <= 0:
            return [node for node, mass in waiting if mass > -math.inf]
        if self.constrained:
            sure = [*decided.values(), *(mass - math.log(len(self.forks[node].places)) for node, mass in waiting)]
            least = min(max(sure), math.log(prune))
        elif decided:
            least = max(decided.values()) + math.log(prune)
        else:
            least = max(mass for _, mass in waiting)
        return [node for node, mass in waiting if mass >= least and mass > -math.inf]

    def totals(self, known: Mapping[Node, Mapping[int, float]]) -> list[float]:
        """Log-probability of each choice. The choices below a node that is not known share what reaches it equally."""
        decided, waiting = self._spread(known)
        for node, mass in waiting:
            places = self.forks[node].places
            decided.update(dict.fromkeys(places, mass - math.log(len(places))))
        return [decided.get(place, 0.0) for place in range(len(self.paths))]  # 0: the only choice there is, constrained

    def _spread(self, known: Mapping[Node, Mapping[int, float]]) -> tuple[dict[int, float], list[tuple[Node, float]]]:
        """The log-probability 0 of the root passed on along the known nodes: place of a choice -> its own, and what reaches
        each node that is not known."""
        decided: dict[int, float] = {}
        waiting = []
        reached = [(self._first, 0.0)] if self._first is not None else []
        while reached:
            node, mass = reached.pop()
            following = known.get(node)
            if following is None:
                waiting.append((node, mass))
                continue
            fork = self.forks[node]
            if self.constrained:
                mass -= _log_sum([following[token] for token in self.children[node]])
            decided.update({place: mass + following[token] for token, place in fork.decided.items()})
            reached += [(below, mass + following[token]) for token, below in fork.deeper.items()]
        return decided, waiting


def _log_sum(values: list[float]) -> float:
    top = max(values)
    return top if top == -math.inf else top + math.log(sum(math.exp(value - top) for value in values))
