"""The walk against every choice's probability worked out on a random Markov model, token by token."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from variegate.config import ModelConfig
from variegate.config.resources import asset
from variegate.errors import BackendError
from variegate.inference.backend import EngineInfo
from variegate.inference.choices import ChoiceTrie, Node
from variegate.inference.scoring import Progress, Question, Step, tries_of, walk
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Message

END = 0
CHOICES = st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple), min_size=1, max_size=12, unique=True)


def following(prompt: int, node: Node) -> dict[int, float]:
    """Log-probabilities of tokens 0 to 5: peaked, as a model's are."""
    rng = random.Random(repr((prompt, node)))
    weights = [math.exp(rng.gauss(0, 2)) for _ in range(6)]
    return {token: math.log(weight / sum(weights)) for token, weight in enumerate(weights)}


class Engine:
    """Answers from `following`. follow: goes on greedily among the allowed tokens, as vLLM's backend does."""

    def __init__(self, *, follow: bool) -> None:
        self.follow = follow
        self.rounds: list[list[Question]] = []

    def __call__(self, questions: list[Question]) -> Sequence[Sequence[Step]]:
        self.rounds.append(questions)
        return [self.answer(each) for each in questions]

    def answer(self, question: Question) -> list[Step]:
        descent = question.descent
        steps: list[Step] = []
        node = question.node
        for _ in range(descent.steps if self.follow else 1):
            logprobs = following(question.prompt, node)
            chosen = max(descent.allowed, key=logprobs.__getitem__)
            steps.append(Step({token: logprobs[token] for token in (descent.tokens if self.follow else question.tokens)}, chosen))
            if chosen in descent.stop:
                break
            node = (*node, chosen)
        return steps


def exact(prompt: int, trie: ChoiceTrie) -> np.ndarray:
    """Probability of each path, by multiplication along it: of all tokens, or when every step is drawn among the trie's
    children."""
    out = []
    for path in trie.paths:
        probability = 1.0
        for depth, token in enumerate(path):
            logprobs = following(prompt, path[:depth])
            among = {each[depth] for each in trie.paths if each[:depth] == path[:depth] and len(each) > depth}
            norm = sum(math.exp(logprobs[each]) for each in among) if trie.constrained else 1.0
            probability *= math.exp(logprobs[token]) / norm
        out.append(probability)
    return np.array(out)


@settings(deadline=None)
@given(st.lists(CHOICES, min_size=1, max_size=3), st.booleans(), st.booleans())
def test_without_pruning_every_choice_is_exact(sets: list[list[Node]], follow: bool, constrained: bool) -> None:
    tries = [ChoiceTrie(choices, END, constrained=constrained) for choices in sets]
    rows = walk(tries, Engine(follow=follow), prune=0.0)
    for prompt, (trie, row) in enumerate(zip(tries, rows, strict=True)):
        np.testing.assert_allclose(np.exp(row), exact(prompt, trie), rtol=1e-9)


@settings(deadline=None)
@given(CHOICES, st.sampled_from([0.02, 0.2, 1.0]), st.booleans(), st.booleans())
def test_pruning_keeps_the_best_and_the_probable(choices: list[Node], prune: float, follow: bool, constrained: bool) -> None:
    trie = ChoiceTrie(choices, END, constrained=constrained)
    (row,) = walk([trie], Engine(follow=follow), prune=prune)
    true, found = exact(0, trie), np.exp(row)
    if constrained:
        assert found.sum() == pytest.approx(1)
    assert found.argmax() == true.argmax()
    assert found.max() == pytest.approx(true.max())
    probable = true / true.sum() >= prune
    np.testing.assert_allclose(found[probable], true[probable], rtol=1e-9)


@settings(deadline=None)
@given(CHOICES, st.booleans())
def test_pruning_never_asks_more(choices: list[Node], constrained: bool) -> None:
    trie = ChoiceTrie(choices, END, constrained=constrained)
    counts = []
    for prune in (0.0, 0.05, 1.0):
        engine = Engine(follow=False)
        walk([trie], engine, prune=prune)
        asked = [question.node for questions in engine.rounds for question in questions]
        assert len(asked) == len(set(asked))  # nothing is asked twice
        counts.append(len(asked))
    assert counts[0] == len(trie.forks)
    assert counts[0] >= counts[1] >= counts[2]


def test_one_question_where_the_first_tokens_differ() -> None:
    trie = ChoiceTrie([(1,), (2, 3), (4, 5, 5)], END, constrained=True)
    engine = Engine(follow=False)
    walk([trie] * 3, engine, prune=0.0)
    assert [[(each.prompt, each.node) for each in questions] for questions in engine.rounds] == [[(0, ()), (1, ()), (2, ())]]


def test_a_followed_path_saves_questions() -> None:
    """A model that knows the labels, 3 branchings deep: 7 nodes, of which one path holds 3."""
    trie = ChoiceTrie(list(itertools.product((1, 2), (3, 4), (5, 6))), END, constrained=True)
    asked = []

    def answer(questions: list[Question], steps: int) -> list[list[Step]]:
        asked.append(len(questions))
        logprobs = {1: -0.1, 2: -3.0, 3: -0.1, 4: -3.0, 5: -0.1, 6: -3.0}
        return [[Step(logprobs, 1 + 2 * (len(each.node) + step)) for step in range(steps)] for each in questions]

    single = walk([trie], lambda questions: answer(questions, 1), prune=1.0)
    followed = walk([trie], lambda questions: answer(questions, 3), prune=1.0)
    assert asked == [1, 1, 1, 1]
    assert single == followed
    asked.clear()
    walk([trie], lambda questions: answer(questions, 1), prune=0.0)
    assert asked == [1, 2, 4]


def test_a_followed_path_passes_nodes_that_do_not_branch() -> None:
    """1 2 3 4, 1 2 3 5, 6: after 1 the engine goes on over 2 and 3, of which it gives no log-probabilities."""
    trie = ChoiceTrie([(1, 2, 3, 4), (1, 2, 3, 5), (6,)], END, constrained=True)
    asked = []

    def answer(questions: list[Question]) -> list[list[Step]]:
        asked.append([each.node for each in questions])
        first, last = {1: -0.5, 6: -1.5, 4: -9.0, 5: -9.0}, {1: -9.0, 6: -9.0, 4: -2.0, 5: -1.0}
        return [[Step(first, 1), Step({}, 2), Step({}, 3), Step(last, 5)]]

    (row,) = walk([trie], answer, prune=0.0)
    assert asked == [[()]]
    root, end = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(-1))
    assert np.exp(row) == pytest.approx([root * (1 - end), root * end, 1 - root])


def test_a_path_that_leaves_the_trie_says_nothing_more() -> None:
    """The engine goes on with 9, which no choice has: its second step must not be taken for the node (1,)."""
    trie = ChoiceTrie([(1, 2), (1, 3), (4,)], END, constrained=True)
    known: list[Node] = []

    def answer(questions: list[Question]) -> list[list[Step]]:
        out = []
        for each in questions:
            known.append(each.node)
            logprobs = {1: -0.5, 2: -1.0, 3: -2.0, 4: -3.0}
            out.append([Step(logprobs, 9), Step(dict.fromkeys(logprobs, -50.0), 2)])
        return out

    (row,) = walk([trie], answer, prune=0.0)
    assert known == [(), (1,)]
    first = math.exp(-0.5) / (math.exp(-0.5) + math.exp(-3.0))
    assert np.exp(row) == pytest.approx([first / (1 + math.exp(-1)), first / (1 + math.exp(1)), 1 - first])


def test_nothing_to_score() -> None:
    def answer(questions: list[Question]) -> Sequence[Sequence[Step]]:
        raise AssertionError(questions)

    assert walk([], answer, prune=0.0) == []
    assert walk([ChoiceTrie([(1, 2)], END, constrained=True)], answer, prune=0.0) == [[0.0]]  # one choice: nothing to decide


def info_of(max_model_len: int, max_prompt_len: int | None = None) -> EngineInfo:
    return EngineInfo("scripted", "1", "cpu", "", "float32", max_model_len, 4096, max_prompt_len)


def test_equal_choices_share_a_trie_and_a_prompt_too_long_is_named() -> None:
    encoder = PromptEncoder(ModelConfig(name="nano", path=str(asset("nano-llama"))))
    prompts = [(Message("user", f"Text {i}\nCategory:"),) for i in range(3)]
    tries = tries_of(encoder, prompts, [[" yes", " no"], [" yes", " no"], [" maybe", " no"]], info_of(1024), constrained=True)
    assert tries[0] is tries[1]
    assert tries[0] is not tries[2]
    with pytest.raises(BackendError, match=r"score: prompt 1: prompt of \d+ tokens.*max_model_len 32"):
        tries_of(encoder, [prompts[0], (Message("user", "word " * 40),)], [[" a", " b"]] * 2, info_of(32), constrained=True)


def test_the_prompt_of_an_encoder_decoder_and_its_choices_fit_each_for_itself(make_tiny_t5: Callable[..., Path], tmp_path: Path) -> None:
    encoder = PromptEncoder(ModelConfig(name="tiny", path=str(make_tiny_t5(tmp_path / "t5"))))
    prompt = (Message("user", "arbe code"),)
    length = len(encoder.encode(prompt))
    choices = ["qui", "ve" * 9 + "qui", "ve" * 9 + "ne"]
    deepest = max(map(len, encoder.continuations(prompt, choices))) - 1  # the last two part at their last tokens
    assert deepest > 2
    fits = info_of(deepest + 2, length)  # one token starts the decoder, one comes out
    (trie,) = tries_of(encoder, [prompt], [choices], fits, constrained=True)
    assert max(map(len, trie.forks)) == deepest
    with pytest.raises(BackendError, match=rf"decoder start 1 \+ max_tokens {deepest + 1} > max_model_len {deepest + 1}"):
        tries_of(encoder, [prompt], [choices], info_of(deepest + 1, length), constrained=True)
    with pytest.raises(BackendError, match=rf"score: prompt 0: prompt of {length} tokens > max_prompt_len {length - 1}"):
        tries_of(encoder, [prompt], [choices], info_of(deepest + 2, length - 1), constrained=True)


def test_progress_never_tells_of_more_than_there_are() -> None:
    told: list[int] = []
    progress = Progress(told.append, 5)
    for count in (2, 0, 2, 4, 1):
        progress.tell(count)
    progress.finish()
    assert told == [2, 2, 1]
    early = Progress(told.append, 3)
    early.finish()
    assert told[-1] == 3
    Progress(None, 3).finish()
