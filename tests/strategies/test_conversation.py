"""What all strategies share, seen through each of them: what is asked when, state as plain data, slots that are stable."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.strategies.conftest import Played, examples, make_brief
from variegate.records import KEPT, Request, Work
from variegate.store.ledger import Ledger
from variegate.strategies import STRATEGIES, begin

Make = Callable[..., Any]
SEEDS = examples(("crime", "A body."), ("love", "A kiss."))
# Every way of feeding back: none, a table, a pool, chats; and the paper's own beat.
WAYS: dict[str, dict[str, Any]] = {
    "plain": {"kind": "zero_shot", "form": "chung"},
    "suppression": {"kind": "zero_shot", "form": "chung", "suppression": True},
    "history": {"kind": "zero_shot", "form": "li", "history": 2, "chats_per_label": 3},
    "pool": {"kind": "few_shot", "form": "chung", "seeds": SEEDS, "completions_per_call": 3},
    "still_pool": {"kind": "few_shot", "form": "li", "seeds": SEEDS, "grow_pool": False, "completions_per_call": 3},
    "works": {"kind": "s3", "rationales": 0},
    "mixed": {"kind": "promptmix", "shots": 0, "utterances": 1, "requests_per_cycle": 4},
    "mixed_suppression": {"kind": "promptmix", "shots": 0, "utterances": 1, "suppression": True},
    "faithful": {"kind": "few_shot", "form": "chung", "seeds": SEEDS, "completions_per_call": 3, "rounds": {"faithful": True}},
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> dict[str, Any]:
    return WAYS[request.param]


def seen(request: Request) -> tuple[Any, ...]:
    """What decides an answer, beside the engine and the suppression table."""
    return request.target.name, request.slot, request.block, request.prompt, request.parents


def asked_of(played: Played) -> list[tuple[Any, ...]]:
    asked = played.talk.next(played.ledger)
    return [(asked.name, asked.args)] if isinstance(asked, Work) else [seen(request) for request in asked]


def dropping(share: float, salt: int = 0) -> Callable[[str, int], str]:
    return lambda name, slot: "empty" if random.Random(f"{name} {slot} {salt}").random() < share else KEPT


def test_the_registry_knows_them(talk: Make) -> None:
    assert STRATEGIES.names() == ["few_shot", "promptmix", "s3", "zero_shot"]
    assert type(talk("zero_shot")) is STRATEGIES.find("zero_shot")


def test_it_ends_with_what_it_wanted_and_then_says_nothing_as_often_as_it_is_asked(play: Make, way: dict[str, Any]) -> None:
    played = play(**way)
    played.all()
    assert [played.ledger.kept(name) for name in ("crime", "love", "sci_fi")] == [40, 40, 40]
    assert played.talk.next(played.ledger) == played.talk.next(played.ledger) == []


def test_slots_count_on_and_no_turn_crosses_a_block(play: Make, way: dict[str, Any]) -> None:
    slots: Counter[str] = Counter()
    for asked in play(**way, outcome=dropping(0.3)).all():
        blocks: dict[str, set[int]] = {}
        for request in asked:
            assert request.slot == slots[request.target.name]
            slots[request.target.name] += 1
            blocks.setdefault(request.target.name, set()).add(request.block)
        assert all(len(each) == 1 for each in blocks.values())


def test_asked_twice_it_says_the_same(play: Make, way: dict[str, Any]) -> None:
    played = play(**way, outcome=dropping(0.2))
    while True:
        first = asked_of(played)
        assert first == asked_of(played)
        if not played.step():
            break


def test_its_state_is_json_and_another_one_goes_on_from_it(way: dict[str, Any]) -> None:
    whole = Played(begin(make_brief(**way)), dropping(0.2))
    expected = [[seen(request) for request in asked] for asked in whole.all()]
    for stop in range(len(expected)):
        first = Played(begin(make_brief(**way)), dropping(0.2))
        for _ in range(stop):
            first.step()
        rest = Played(begin(make_brief(**way)), dropping(0.2))
        rest.talk.restore(json.loads(json.dumps(first.talk.state)))
        rest.ledger = first.ledger
        assert [[seen(request) for request in asked] for asked in rest.all()] == expected[stop:]


@pytest.mark.parametrize("way_name", [name for name in WAYS if name != "faithful"])
def test_a_raised_target_asks_the_same_of_every_slot_that_was_asked(way_name: str) -> None:
    """Also where texts were dropped and asked for again: a slot belongs to its block, whenever it is asked."""
    small, large = (Played(begin(make_brief(**WAYS[way_name], per_label=size)), dropping(0.25)) for size in (13, 40))
    made = {seen(request) for asked in small.all() for request in asked}
    again = {seen(request) for asked in large.all() for request in asked}
    assert made <= again
    assert len(again) > len(made)


def test_blocks_grow_where_something_is_fed_back_and_only_there(play: Make) -> None:
    def sizes(**way: Any) -> list[int]:
        return [sum(request.target.name == "love" for request in asked) for asked in play(**way).all()]

    assert sizes(**WAYS["plain"]) == sizes(**WAYS["still_pool"]) == [40]
    assert sizes(**WAYS["suppression"]) == [11, 11, 18]  # 32 shared by three labels
    assert sizes(**WAYS["pool"]) == [11, 11, 18]
    assert sizes(**WAYS["history"]) == [3] * 13 + [1]  # at most one turn of each chat
    assert sizes(**WAYS["suppression"], rounds={"first": 2}) == [2, 2, 4, 8, 16, 8]
    assert sizes(**WAYS["suppression"], rounds={"first": 5, "growth": 0}) == [5] * 8


def test_the_papers_beat_is_one_call_of_one_label_in_turn(play: Make) -> None:
    asked = play(**WAYS["faithful"], per_label=5, outcome=lambda name, slot: "empty" if (name, slot) == ("love", 0) else KEPT).all()
    turns = [(request[0].target.name, len(request)) for request in asked]
    assert turns == [("crime", 3), ("love", 3), ("sci_fi", 3), ("crime", 2), ("love", 3), ("sci_fi", 2)]


def test_refills_ask_for_what_lacks_at_the_rate_so_far(play: Make) -> None:
    """Half are dropped: 40, then 20 / 0.5, not 20, 10, 5, 3, ..."""
    asked = play("zero_shot", form="chung", outcome=lambda _, slot: "empty" if slot % 2 else KEPT).all()
    assert [len(each) for each in asked] == [120, 120]


def test_attempts_bound_what_is_asked_of_a_label_that_never_gives(play: Make) -> None:
    played = play("zero_shot", form="chung", max_attempts=2.2, outcome=lambda name, _: "empty" if name == "love" else KEPT)
    played.all()
    assert [played.ledger.requested(name) for name in ("crime", "love", "sci_fi")] == [40, 88, 40]
    assert played.talk.max_requests == dict.fromkeys(("crime", "love", "sci_fi"), 88)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    way=st.sampled_from(sorted(WAYS)), per_label=st.integers(1, 60), attempts=st.floats(1, 4), first=st.none() | st.integers(1, 30),
    growth=st.floats(0, 2), share=st.floats(0, 1), salt=st.integers(0, 99),
)  # fmt: skip
def test_it_always_ends_within_its_budget(
    way: str, per_label: int, attempts: float, first: int | None, growth: float, share: float, salt: int
) -> None:
    parts = dict(WAYS[way])
    if way != "faithful":
        parts["rounds"] = {"first": first, "growth": growth}
    played = Played(begin(make_brief(**parts, per_label=per_label, max_attempts=attempts)), dropping(share, salt))
    played.all()
    budget = math.ceil(per_label * attempts)
    for name in played.talk.wanted:
        assert played.ledger.kept(name) >= per_label or played.ledger.requested(name) == budget
        assert played.ledger.requested(name) <= budget


def test_given_fields_are_drawn_by_name_and_slot(play: Make) -> None:
    givens = [{"premise": f"Premise {n}."} for n in range(5)]
    few = play("zero_shot", form="chung", givens=givens, per_label=3)
    many = play("zero_shot", form="chung", givens=givens, per_label=30)
    drawn, again = ({(r.target.name, r.slot): r.target.given["premise"] for asked in p.all() for r in asked} for p in (few, many))
    assert drawn.items() <= again.items()
    assert set(again.values()) == {f"Premise {n}." for n in range(5)}
    assert all(request.target.given["premise"] in request.prompt for asked in many.rounds for request in asked)


def test_an_empty_ledger_is_enough_to_begin(talk: Make, way: dict[str, Any]) -> None:
    assert {request.target.name for request in talk(**way).next(Ledger())} <= {"crime", "love", "sci_fi"}
