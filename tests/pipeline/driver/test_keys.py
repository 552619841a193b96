"""The recipe of a key: what changes it, what does not, and that what is stored is found again by a later version."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from variegate.pipeline.driver.keys import sampling_fields, sealed, shared_fields
from variegate.records import Message, Request, Sampling, Target
from variegate.seeding import derive_seed

BASE = Request((Message("user", "Write"),), Sampling(temperature=0.7), Target(("joy",)), slot=3)


def key(request: Request, run: str = "r") -> str:
    return sealed(run, [request])[0].key


def test_known_keys_stand() -> None:
    """Written down by hand from SHA-256 of the canonical JSON: a change here makes every stored run new."""
    assert shared_fields("r", BASE) == {"run": "r", "prompt": [["user", "Write"]], "sampling": {"temperature": 0.7}, "labels": ["joy"]}
    import hashlib

    inner = hashlib.sha256(b'{"labels":["joy"],"prompt":[["user","Write"]],"run":"r","sampling":{"temperature":0.7}}').hexdigest()[:32]
    expected = hashlib.sha256(b'{"shared":"' + inner.encode() + b'","slot":3}').hexdigest()[:20]
    assert key(BASE) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"messages": (Message("user", "Write!"),)},
        {"messages": (Message("system", "Write"),)},
        {"sampling": Sampling(temperature=0.8)},
        {"sampling": Sampling(temperature=0.7, stop=(".",))},
        {"target": Target(("fear",))},
        {"target": Target(("joy",), {"premise": "It rains."})},
        {"slot": 4},
        {"bias": "ab"},
        {"note": True},
        {"soft": {"file": "a", "sha256": "b", "tensor": "c"}},
    ],
)
def test_what_changes_an_answer_changes_its_key(change: dict[str, Any]) -> None:
    assert key(replace(BASE, **change)) != key(BASE)


@pytest.mark.parametrize("change", [{"parents": ("a",)}, {"facts": {"alpha": 1}}, {"block": 5}, {"round": 5}, {"group": "joy"}])
def test_what_is_only_told_does_not(change: dict[str, Any]) -> None:
    assert key(replace(BASE, **change)) == key(BASE)


def test_a_soft_prompt_is_known_by_its_content_not_by_its_place() -> None:
    here, there = ({"file": file, "sha256": "b", "tensor": "c"} for file in ("here", "there"))
    assert key(replace(BASE, soft=here)) == key(replace(BASE, soft=there)) != key(replace(BASE, soft={**here, "sha256": "d"}))


def test_fields_at_their_neutral_value_are_left_out() -> None:
    assert sampling_fields(Sampling()) == {}
    assert sampling_fields(Sampling(temperature=0.0, top_k=5)) == {"temperature": 0.0, "top_k": 5}
    assert set(shared_fields("r", BASE)) == {"run", "prompt", "sampling", "labels"}


def test_keys_seed_and_tell_requests_apart() -> None:
    requests = sealed("r", [replace(BASE, slot=slot) for slot in range(50)])
    assert len({request.key for request in requests}) == 50
    assert [request.seed for request in requests] == [derive_seed(request.key) for request in requests]
    assert [request.key for request in requests] == [key(replace(BASE, slot=slot)) for slot in range(50)]


def test_neighbours_share_no_key_by_mistake() -> None:
    """Requests side by side that share messages and differ in one thing that counts."""
    others = [
        {"bias": "x"},
        {"note": True},
        {"target": Target(("fear",))},
        {"sampling": Sampling(temperature=0.9)},
        {"soft": {"sha256": "1", "tensor": "t"}},
    ]
    for change in others:
        mixed = sealed("r", [BASE, replace(BASE, **change), BASE])
        assert mixed[0].key == mixed[2].key == key(BASE)
        assert mixed[1].key == key(replace(BASE, **change)) != key(BASE)
