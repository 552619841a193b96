from __future__ import annotations

import dataclasses

import orjson
import pytest

from variegate.records import Message, Record, Request, Sampling


def test_a_record_survives_json() -> None:
    record = Record("k", "Where is my “card”?\u2028", "card_arrival", {"round": 0, "parents": ["a"], "logprob": None})
    assert Record.from_json(orjson.loads(orjson.dumps(record.to_json()))) == record
    assert Record.from_json({"id": "k", "text": "t", "label": "l"}).origin == {}


def test_all_are_frozen() -> None:
    request = Request("k", (Message("user", "a"),), Sampling(), 0, "l")
    for value, name in (
        (request, "key"),
        (request.sampling, "temperature"),
        (request.messages[0], "role"),
        (Record("k", "t", "l"), "text"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "other")


def test_sampling_is_hashable_so_that_batches_can_be_grouped_by_it() -> None:
    assert {Sampling(stop=("a",)): 1}[Sampling(stop=("a",))] == 1


def test_a_plain_prompt_is_its_messages_one_after_the_other() -> None:
    assert Request("k", (Message("system", "a\n"), Message("user", "b")), Sampling(), 0, "l").prompt == "a\nb"
