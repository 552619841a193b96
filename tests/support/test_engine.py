"""The fake engine keeps the protocol, and is a function of what it should be one of."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.engine import FakeEngine, WordPrompts
from tests.support.rows import make_row
from tests.support.suppression import as_row
from variegate.errors import BackendError
from variegate.inference.backend import Backend, Usage
from variegate.inference.tokenization import PromptEncoder
from variegate.records import Message, Request

PROMPTS = [(Message("user", f"prompt {number}"),) for number in range(4)]


def requests(number: int = 6) -> list[Request]:
    return [make_row(slot=slot).request for slot in range(number)]


def texts(engine: FakeEngine, asked: Sequence[Request]) -> list[str]:
    return [completion.text for completion in engine.generate(asked)]


@pytest.mark.parametrize("name", [name for name in vars(Backend) if not name.startswith("_")])
def test_it_has_every_method_of_the_protocol_as_it_stands_there(name: str) -> None:
    asked, given = (inspect.signature(getattr(kind, name)) for kind in (Backend, FakeEngine))
    assert list(given.parameters.values()) == [
        parameter.replace(annotation=given.parameters[each].annotation) for each, parameter in asked.parameters.items()
    ]


def test_it_has_what_the_protocol_says_of_a_started_engine() -> None:
    assert set(Backend.__annotations__) <= set(vars(FakeEngine()))
    public = {name for name in dir(PromptEncoder) if not name.startswith("_")} | {"encode", "chat", "tokenizer", "architectures"}
    assert public | {"encoder_decoder", "decoder_start"} <= {*dir(WordPrompts), *vars(WordPrompts())}


@pytest.mark.parametrize("batch_dependent", [False, True])
def test_texts_follow_from_the_request_and_if_asked_from_its_batch_mates(batch_dependent: bool) -> None:
    def engine() -> FakeEngine:
        return FakeEngine(clean=True, batch_dependent=batch_dependent)

    asked = requests()
    together, again = texts(engine(), asked), texts(engine(), asked)
    assert together == again
    assert len(set(together)) == 6
    apart = texts(engine(), asked[:3]) + texts(engine(), asked[3:])
    turned = texts(engine(), asked[::-1])[::-1]
    if batch_dependent:
        assert not set(together) & {*apart, *turned}
    else:
        assert together == apart == turned


def test_scores_differ_by_batch_mates_in_the_last_digits_alone() -> None:
    plain, dependent = (FakeEngine(batch_dependent=value) for value in (False, True))
    whole = plain.score(PROMPTS, ["a", "b", "c"], constrained=True)
    np.testing.assert_allclose(np.exp(whole).sum(1), 1)
    np.testing.assert_array_equal(whole[:2], plain.score(PROMPTS[:2], ["a", "b", "c"], constrained=True))
    first, other = (dependent.score(part, ["a", "b", "c"], constrained=True)[0] for part in (PROMPTS, PROMPTS[:2]))
    assert not np.array_equal(first, other)
    np.testing.assert_allclose(first, other, atol=2e-6)


def test_texts_follow_the_row_they_are_made_under_and_soft_prompts() -> None:
    asked, engine = requests(), FakeEngine(clean=True)
    before = texts(engine, asked)
    row = as_row(-np.ones(3))
    under = [replace(request, bias=row.digest) for request in asked]
    with pytest.raises(BackendError, match="does not hold"):
        engine.generate(under)
    engine.set_rows({row.digest: row})
    assert texts(engine, asked) == before
    asked, biased = under, texts(engine, under)
    assert not set(biased) & set(before)
    soft = [{"file": file, "sha256": "ab", "tensor": tensor} for file, tensor in (("/a", "x"), ("/b", "x"), ("/a", "y"))]
    here, there, other = (texts(engine, [replace(request, soft=each if request.slot else None) for request in asked]) for each in soft)
    assert here == there  # the same vectors
    assert all(new[0] == biased[0] and not set(new[1:]) & set(biased) for new in (here, other))
    assert not set(here[1:]) & set(other)


def test_a_share_fails_in_every_way_a_run_has_a_name_for() -> None:
    found = FakeEngine().generate(requests(400), logprobs=True)
    reasons = [completion.finish_reason for completion in found]
    assert {reason: reasons.count(reason) > 5 for reason in reasons} == {"stop": True, "length": True, "error": True}
    assert " " in {completion.text for completion in found}
    assert all((completion.error is None) == (completion.finish_reason != "error") for completion in found)


def test_what_it_writes_can_be_told_and_prompts_that_are_too_long_are_not_served() -> None:
    long = replace(requests(1)[0], messages=(Message("user", "word " * 99),))
    engine = FakeEngine(write=lambda request, rng: f"{request.slot} {rng.random() < 1}", max_model_len=100)
    fits, unserved = engine.generate([requests(1)[0], long])
    assert (fits.text, fits.token_ids, fits.num_prompt_tokens) == ("0 True", (0, 1), 3)
    assert (unserved.finish_reason, unserved.num_prompt_tokens) == ("error", 99)
    assert engine.usage == Usage(2, 102, 0, 2)


def test_it_fails_when_it_is_told_to() -> None:
    engine = FakeEngine(fail_at=3, fail_when=lambda request: request.slot == 5, error=RuntimeError("told to"))
    engine.generate(requests(1))
    engine.score(PROMPTS, ["a"])
    calls: list[Any] = [lambda: engine.generate([]), lambda: engine.generate(requests(6))]
    for call in calls:
        with pytest.raises(RuntimeError, match="told to"):
            call()
    with pytest.raises(AssertionError, match="the caller's to close"):
        FakeEngine(lent=True).close()
