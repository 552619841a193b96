"""Which rows an engine holds, against a dictionary that plays the device: every request must find its own row there."""

from __future__ import annotations

import random
from contextlib import ExitStack

import numpy as np
import pytest

from tests.support.suppression import as_row
from variegate.errors import BackendError
from variegate.inference.suppression.held import HeldRows
from variegate.inference.suppression.sparse import SparseRow
from variegate.records import Message, Request, Sampling

NUM_TOKENS = 40


def row(token: int) -> SparseRow:
    return as_row(-1.0 * (np.arange(NUM_TOKENS) == token))


def named(*tokens: int) -> dict[str, SparseRow]:
    return {row(token).digest: row(token) for token in tokens}


def ask(bias: str) -> Request:
    return Request(key="k", messages=(Message("user", "Hi"),), sampling=Sampling(), bias=bias)


def test_no_row_is_number_0_and_a_row_that_is_not_held_is_an_error() -> None:
    held = HeldRows()
    assert held.number(ask("")) == 0
    held.set(named(1), NUM_TOKENS, lambda rows: None)
    assert held.number(ask(row(1).digest)) == 1
    message = f"request k: made under suppression row {row(2).digest}, which the engine does not hold .it holds 1.: name it in set_rows"
    with pytest.raises(BackendError, match=message):
        held.number(ask(row(2).digest))
    with pytest.raises(BackendError, match=message), held.running([ask(""), ask(row(2).digest)]):
        pytest.fail("a request without its row must not run")


def test_only_new_rows_are_sent_and_the_others_keep_their_numbers() -> None:
    held, sent = HeldRows(), []
    for tokens in ((1, 2, 3), (3, 4, 1), (4,), (5, 6, 7), ()):
        held.set(named(*tokens), NUM_TOKENS, lambda rows: sent.append({number: int(each.token_ids[0]) for number, each in rows.items()}))
    # 4 takes the place of 2; 5 and 6 those of 1 and 3; with nothing new nothing is sent.
    assert sent == [{1: 1, 2: 2, 3: 3}, {2: 4}, {1: 5, 2: 6, 3: 7}]
    with pytest.raises(BackendError, match="it holds 0"):
        held.number(ask(row(5).digest))


def test_a_failed_send_leaves_what_was_held() -> None:
    def fail(rows: dict[int, SparseRow]) -> None:
        raise RuntimeError("the worker is gone")

    held = HeldRows()
    held.set(named(1), NUM_TOKENS, lambda rows: None)
    with pytest.raises(RuntimeError, match="worker"):
        held.set(named(2), NUM_TOKENS, fail)
    assert held.number(ask(row(1).digest)) == 1
    with pytest.raises(BackendError):
        held.number(ask(row(2).digest))


@pytest.mark.parametrize("seed", range(20))
def test_running_requests_keep_their_rows_and_numbers_stay_bounded(seed: int) -> None:
    rng = random.Random(seed)
    held, device = HeldRows(), dict[int, SparseRow]()
    running: list[tuple[ExitStack, Request, int]] = []  # with the number that its request was sent with
    last: dict[str, SparseRow] = {}
    most = 0
    for _ in range(120):
        last = named(*rng.sample(range(NUM_TOKENS), rng.randint(0, 6)))
        most = max(most, len(last.keys() | {request.bias for _, request, _ in running}))
        held.set(last, NUM_TOKENS, device.update)
        assert len(device) <= most
        for bias in rng.sample(sorted(last), rng.randint(0, len(last))):
            stack, request = ExitStack(), ask(bias)
            stack.enter_context(held.running([request, request]))
            running.append((stack, request, held.number(request)))
        for _, request, number in running:
            assert device[number].digest == request.bias
            assert held.number(request) == number
        for place in sorted(rng.sample(range(len(running)), rng.randint(0, len(running))), reverse=True):
            running.pop(place)[0].close()
    for stack, _, _ in running:
        stack.close()
    held.set({}, NUM_TOKENS, device.update)
    with pytest.raises(BackendError, match="it holds 0"):
        held.number(ask(row(0).digest))


def test_rows_under_a_wrong_name_or_of_another_model_are_refused() -> None:
    held = HeldRows()
    for rows, message in (
        ({"0123456789abcdef": row(1)}, f"suppression row '0123456789abcdef': its digest is '{row(1).digest}'"),
        ({"": as_row(np.zeros(3))}, "leave out empty ones"),
        (named(39), "token 39, expected ids below 39: count with this model's tokenizer"),
    ):
        with pytest.raises(BackendError, match=message):
            held.set(rows, NUM_TOKENS - 1, lambda rows: pytest.fail("nothing must be sent"))
