"""The walk over tries of choices that both engines share: which next-token probabilities are asked for, in which rounds.

Pure but for the function that asks the engine. Knows no engine of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from variegate.errors import BackendError
from variegate.inference.backend import OnProgress, too_long
from variegate.inference.choices import ChoiceTrie, Descent, Node
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Message


@dataclass(frozen=True, slots=True)
class Question:
    """The log-probabilities of `tokens` as the next token after prompt number `prompt` and `node`.

    descent: an engine may also go on greedily among `descent.allowed`, and answer `descent.tokens` at each step.
    """

    prompt: int
    node: Node
    tokens: tuple[int, ...]
    descent: Descent | None = None


@dataclass(frozen=True, slots=True)
class Step:
    logprobs: Mapping[int, float]  # of the question's tokens at least
    chosen: int  # the token gone on with


class Progress:
    """Tells of prompts as requests finish, never of more than there are; `finish` tells of the rest."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._left = on_progress, total

    def tell(self, count: int) -> None:
        count = min(count, self._left)
        self._left -= count
        if count and self._on_progress:
            self._on_progress(count)

    def finish(self) -> None:
        self.tell(self._left)


Answer = Callable[[list[Question]], Sequence[Sequence[Step]]]  # at least one step for each question


def tries_of(
    encoder: PromptEncoder, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], max_model_len: int, *, constrained: bool
) -> list[ChoiceTrie]:
    """One trie for each prompt; prompts whose choices have equal tokens share one. Raises BackendError for a prompt that does not fit."""
    known: dict[tuple[Node, ...], tuple[ChoiceTrie, int]] = {}
    tries = []
    for index, (messages, names) in enumerate(zip(prompts, choices, strict=True)):
        tokens = encoder.continuations(messages, names)
        if tokens not in known:
            trie = ChoiceTrie(tokens, encoder.tokenizer.eos_token_id)
            known[tokens] = trie, max((len(node) for node in trie.nodes(constrained=constrained)), default=0)
        trie, deepest = known[tokens]
        reason = too_long(len(encoder.encode(tuple(messages))) + deepest, 1, max_model_len)
        if reason:
            raise BackendError(f"score: prompt {index}: {reason}: shorten it, or raise engine.max_model_len")
        tries.append(trie)
    return tries


def walk(tries: Sequence[ChoiceTrie], answer: Answer, *, constrained: bool, prune: float) -> list[list[float]]:
    """Log-probability of each trie's choices, in the order of its choices.

    Under `constrained`, rounds: the branchings that what is known leaves a probability of at least `prune`, or more than
    the best choice has so far, until there are none. The choices behind a branching left out share its probability
    equally. So the best choice is always exact, and so is every choice of at least `prune`: 0 leaves nothing out, 1 asks
    for the best choice alone. Without `constrained` all nodes are one round.
    """
    known: list[dict[Node, Mapping[int, float]]] = [{} for _ in tries]
    if not constrained:
        nodes = [Question(place, node, tokens) for place, trie in enumerate(tries) for node, tokens in trie.children.items()]
        for question, steps in zip(nodes, answer(nodes) if nodes else (), strict=True):
            known[question.prompt][question.node] = steps[0].logprobs
        return [trie.totals(found, constrained=False) for trie, found in zip(tries, known, strict=True)]
    active: Sequence[int] = range(len(tries))
    while questions := [
        Question(place, node, tries[place].children[node], tries[place].descent(node))
        for place in active
        for node in tries[place].open(known[place], prune)
    ]:
        for question, steps in zip(questions, answer(questions), strict=True):
            _follow(tries[question.prompt], question.node, steps, known[question.prompt])
        active = sorted({question.prompt for question in questions})
    return [trie.totals(found, constrained=True) for trie, found in zip(tries, known, strict=True)]


def _follow(trie: ChoiceTrie, node: Node, steps: Sequence[Step], known: dict[Node, Mapping[int, float]]) -> None:
    """Take in what the steps from `node` on say of branching nodes, as long as they stay in the trie."""
    for step in steps:
        children = trie.children.get(node)
        if children is None:
            return
        if len(children) > 1:
            known[node] = {token: step.logprobs[token] for token in children}
        node = (*node, step.chosen)
