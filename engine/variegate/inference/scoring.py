"""The walk over tries of choices that both engines share: which next-token probabilities are asked for, in which rounds.

Pure but for the function that asks the engine. Knows no engine of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from variegate.errors import BackendError
from variegate.inference.backend import EngineInfo, OnProgress, too_long
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
    descent: Descent


@dataclass(frozen=True, slots=True)
class Step:
    logprobs: Mapping[int, float]  # of the question's tokens at least
    chosen: int  # the token gone on with


class Progress:
    """Tells of prompts as requests finish (most take one), never of more than there are; `finish` tells of the rest."""

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
    encoder: PromptEncoder, prompts: Sequence[Sequence[Message]], choices: Sequence[Sequence[str]], info: EngineInfo, *, constrained: bool
) -> list[ChoiceTrie]:
    """One trie for each prompt; prompts whose choices have equal tokens share one. Raises BackendError for a prompt that does not fit."""
    known: dict[tuple[Node, ...], tuple[ChoiceTrie, int]] = {}
    tries = []
    for index, (messages, names) in enumerate(zip(prompts, choices, strict=True)):
        tokens = encoder.continuations(messages, names)
        if tokens not in known:
            trie = ChoiceTrie(tokens, encoder.tokenizer.eos_token_id, constrained=constrained)
            known[tokens] = trie, max(map(len, trie.forks), default=0)
        trie, deepest = known[tokens]
        reason = too_long(len(encoder.encode(tuple(messages))), deepest + 1, info.max_model_len, info.max_prompt_len)
        if reason:
            raise BackendError(f"score: prompt {index}: {reason}: shorten it, or raise engine.max_model_len")
        tries.append(trie)
    return tries


def walk(tries: Sequence[ChoiceTrie], answer: Answer, *, prune: float) -> list[list[float]]:
    """Log-probability of each trie's choices, in the order of its choices.

    In rounds, until no trie has a node to ask about. The choices behind a node left out share what reaches it equally. The
    best choice is always exact, and so is every one whose share of all choices is at least `prune`: 0 leaves nothing out, 1
    asks for the best choice alone.
    """
    known: list[dict[Node, Mapping[int, float]]] = [{} for _ in tries]
    active: Sequence[int] = range(len(tries))
    while questions := [
        Question(place, node, tries[place].children[node], tries[place].descent(node))
        for place in active
        for node in tries[place].open(known[place], prune)
    ]:
        for question, steps in zip(questions, answer(questions), strict=True):
            _follow(tries[question.prompt], question.node, steps, known[question.prompt])
        active = sorted({question.prompt for question in questions})
    return [trie.totals(found) for trie, found in zip(tries, known, strict=True)]


def _follow(trie: ChoiceTrie, node: Node, steps: Sequence[Step], known: dict[Node, Mapping[int, float]]) -> None:
    """Take in what the steps from `node` on say of nodes asked about, as long as they stay in the trie."""
    for step in steps:
        if node not in trie.children:
            return
        if node in trie.forks:
            known[node] = {token: step.logprobs[token] for token in trie.children[node]}
        node = (*node, step.chosen)
