"""The one fake engine: complete by `inference.backend.Backend`, fast, and a pure function of what it is told.

It stands in for no engine where an engine is what is tested; it is there for the code around one.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from variegate.inference.backend import EngineInfo, OnProgress, Usage, too_long, unserved
from variegate.inference.suppression.held import HeldRows
from variegate.inference.suppression.sparse import SparseRow
from variegate.records import ENGINE_ERROR, Completion, Fault, Message, Request

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u") for c in ("n", "t", "sk", "rm", "ll")]

Write = Callable[[Request, random.Random], str]
Weigh = Callable[[Sequence[Message], Sequence[str]], Sequence[float]]


class Unserved(Exception):  # noqa: N818 - an answer, not an error
    """Raised by a `write`: the engine does not serve this request, and the message says why."""


@dataclass(frozen=True)
class Scored:
    """What one call of `score_each` was asked."""

    prompts: tuple[Sequence[Message], ...]
    choices: tuple[Sequence[str], ...]
    constrained: bool
    prune: float


class WordPrompts:
    """One token a word: as `inference.tokenization.PromptEncoder`, without a model on disk."""

    tokenizer: Any = None
    architectures: tuple[str, ...] = ()
    encoder_decoder = False
    decoder_start: tuple[int, ...] = ()

    def __init__(self, *, chat: bool = False) -> None:
        self.chat = chat

    def encode(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        return tuple(range(len("".join(message.content for message in messages).split())))

    def continuations(self, messages: Sequence[Message], choices: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(range(len(choice.split()))) for choice in choices)


class FakeEngine:
    """A request's text and tokens follow from its seed, the row it is made under and its soft prompt, as with a real engine.

    The soft prompt is known by its reference: its file is not opened, and its vectors are not counted.

    write: the text of a request, given a generator that is seeded by all of these; without it, words at random.
    weigh: the log-probabilities of a prompt's choices; without it, numbers drawn from both.
    edit: what becomes of a completion before it is given back.
    clean: every text is unique and kept; otherwise a share is empty, unfinished, doubled or an engine error. What `write` gives stands.
    batch_dependent: a text depends on its batch mates too, as one does where rounding follows the batch: on the keys of all
        requests of its call, in their order. So do the last digits of scores.
    fail_at: the call of `generate` or `score_each` that raises `error`, from 1. fail_when: raises where it is true of a request.
    lent: closing it is an error of whoever was only lent it.
    """

    def __init__(
        self,
        *,
        write: Write | None = None,
        weigh: Weigh | None = None,
        edit: Callable[[Request, Completion], Completion] | None = None,
        clean: bool = False,
        batch_dependent: bool = False,
        fail_at: int | None = None,
        fail_when: Callable[[Request], bool] = lambda _: False,
        error: type[BaseException] | BaseException = KeyboardInterrupt,
        lent: bool = False,
        chat: bool = False,
        max_model_len: int = 1024,
    ) -> None:
        self.info = EngineInfo("scripted", "1", "cpu", "", "float32", max_model_len, 4096)
        self.prompts: Any = WordPrompts(chat=chat)
        self.usage = Usage()
        self.clean, self.batch_dependent = clean, batch_dependent
        self.fail_at, self.fail_when, self.error, self.lent = fail_at, fail_when, error, lent
        self.calls: list[list[Request]] = []
        self.scored: list[Scored] = []
        self.rows: list[dict[str, SparseRow]] = []  # of each call of `set_rows`
        self.closed = False
        self._write, self._weigh, self._edit = write, weigh, edit
        self._held = HeldRows()

    @property
    def asked(self) -> list[Request]:
        """Every request of every call."""
        return [request for call in self.calls for request in call]

    def generate(
        self,
        requests: Sequence[Request],
        *,
        logprobs: bool = False,
        on_progress: OnProgress | None = None,
    ) -> list[Completion]:
        self.calls.append(list(requests))
        self._fail(any(map(self.fail_when, requests)))
        mates = self._mates(request.key for request in requests)
        with self._held.running(requests):
            out = [self._answer(request, mates, logprobs) for request in requests]
        if self._edit:
            out = list(map(self._edit, requests, out))
        self.usage += Usage(len(out), sum(each.num_prompt_tokens for each in out), 0, sum(len(each.token_ids) for each in out))
        if on_progress:
            on_progress(len(out))
        return out

    def score(self, prompts: Sequence[Sequence[Message]], choices: Sequence[str], *, constrained: bool = False) -> np.ndarray:
        rows = self.score_each(prompts, [choices] * len(prompts), constrained=constrained)
        return np.array(rows).reshape(len(prompts), len(choices))

    def score_each(
        self,
        prompts: Sequence[Sequence[Message]],
        choices: Sequence[Sequence[str]],
        *,
        constrained: bool = False,
        prune: float = 0.0,
        on_progress: OnProgress | None = None,
    ) -> list[np.ndarray]:
        self.scored.append(Scored(tuple(prompts), tuple(choices), constrained, prune))
        self._fail(False)
        mates = self._mates(message.content for messages in prompts for message in messages)
        rows = [self._score(messages, names, mates, constrained) for messages, names in zip(prompts, choices, strict=True)]
        self.usage += Usage(len(rows), 10 * len(rows), 6 * len(rows), len(rows))
        if on_progress:
            on_progress(len(rows))
        return rows

    def set_rows(self, rows: Mapping[str, SparseRow]) -> None:
        self._held.set(rows, self.info.vocab_size, lambda fresh: None)
        self.rows.append(dict(rows))

    def close(self) -> None:
        assert not self.lent, "an engine that the caller made is the caller's to close"
        self.closed = True

    def _fail(self, now: bool) -> None:
        if now or len(self.calls) + len(self.scored) == self.fail_at:
            raise self.error

    def _mates(self, keys: Iterable[str]) -> str:
        return f" {hashlib.sha256(chr(0).join(keys).encode()).hexdigest()}" if self.batch_dependent else ""

    def _answer(self, request: Request, mates: str, logprobs: bool) -> Completion:
        num_tokens = len(self.prompts.encode(request.messages))
        reason = too_long(num_tokens, request.sampling.max_tokens, self.info.max_model_len)
        if reason:
            return unserved(request, num_tokens, reason)
        soft = f" {request.soft['sha256']} {request.soft['tensor']}" if request.soft else ""
        rng = random.Random(f"{request.seed} {request.bias}{soft}{mates}")
        try:
            text, token_ids, reason = self._text(request, rng)
        except Unserved as error:
            return replace(unserved(request, num_tokens, ""), error=Fault(ENGINE_ERROR, str(error)))
        return Completion(request.key, text, token_ids, reason, num_tokens, logprob=-float(len(token_ids)) if logprobs else None)

    def _text(self, request: Request, rng: random.Random) -> tuple[str, tuple[int, ...], str]:
        if self._write:
            text = self._write(request, rng)
            return text, tuple(range(len(text.split()))), "stop"
        fate = 1.0 if self.clean else rng.random()
        words = rng.choices(WORDS if fate > 0.3 else WORDS[:2], k=12 if fate > 0.3 else 1)
        if fate < 0.05:
            raise Unserved("the engine stopped")
        text, reason = (" ", "stop") if fate < 0.1 else (" ".join(words), "length" if fate < 0.15 else "stop")
        return text, tuple(4 + WORDS.index(word) for word in words), reason

    def _score(self, messages: Sequence[Message], choices: Sequence[str], mates: str, constrained: bool) -> np.ndarray:
        prompt = "".join(message.content for message in messages)
        if self._weigh:
            row = np.array(self._weigh(messages, choices), dtype=float)
        else:
            row = np.array([-5.0 * random.Random(f"{prompt}\n{choice}").random() for choice in choices])
            if constrained:
                row -= np.log(np.exp(row).sum())
        return row + 1e-6 * random.Random(f"{prompt}{mates}").random() if mates else row
