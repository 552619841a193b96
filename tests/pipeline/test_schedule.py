from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from variegate.pipeline.schedule import Schedule
from variegate.store.ledger import Ledger

ConfigOf = Callable[..., Any]


def make(config_of: ConfigOf, per_label: int, *, call_size: int = 4, one_turn: bool = False, labels: str = "abc", **parts: Any) -> Schedule:
    return Schedule(config_of(Path("r"), per_label, **parts), list(labels), call_size=call_size, one_turn=one_turn)


def rounds(schedule: Schedule, outcome: Callable[[str, int], str] = lambda *_: "kept") -> tuple[list[list[tuple[str, int]]], Ledger]:
    """[(label, count) of each call] of each round until the end; a request's outcome may depend on label and slot."""
    ledger, out = Ledger(), []
    while calls := schedule.next_round(ledger, len(out)):
        assert len(out) < 10_000, "does not end"
        assert [call.round for call in calls] == [len(out)] * len(calls)
        for call in calls:
            assert call.count > 0
            assert call.first_slot == ledger.requested(call.label)
            for slot in range(call.first_slot, call.first_slot + call.count):
                ledger.add(call.label, outcome(call.label, slot))
        out.append([(call.label, call.count) for call in calls])
    return out, ledger


def test_whole_cycles_until_a_round_is_full(config_of: ConfigOf) -> None:
    out, _ = rounds(make(config_of, 10, rounds={"min_requests": 20}))
    assert out == [[("a", 8), ("b", 8), ("c", 8)], [("a", 2), ("b", 2), ("c", 2)]]


def test_one_call_a_round_cycles_over_the_labels(config_of: ConfigOf) -> None:
    out, _ = rounds(make(config_of, 6, rounds={"calls": 1}))
    assert out == [[("a", 4)], [("b", 4)], [("c", 4)], [("a", 2)], [("b", 2)], [("c", 2)]]


def test_calls_go_on_with_the_label_after_the_last(config_of: ConfigOf) -> None:
    out, _ = rounds(make(config_of, 8, rounds={"calls": 2}))
    assert out == [[("a", 4), ("b", 4)], [("a", 4), ("c", 4)], [("b", 4), ("c", 4)]]


def test_one_turn_is_one_call_of_every_label(config_of: ConfigOf) -> None:
    out, _ = rounds(make(config_of, 10, one_turn=True, rounds={"min_requests": 1000}))
    assert out == [[("a", 4), ("b", 4), ("c", 4)]] * 2 + [[("a", 2), ("b", 2), ("c", 2)]]


def test_what_was_dropped_is_asked_for_again_within_the_budget(config_of: ConfigOf) -> None:
    schedule = make(config_of, 4, max_attempts=2.2, rounds={"min_requests": 1000})
    out, ledger = rounds(schedule, lambda label, slot: "kept" if label != "b" or slot % 2 else "empty")
    assert schedule.max_requests == math.ceil(8.8)
    assert out == [[("a", 4), ("b", 4), ("c", 4)], [("b", 2)], [("b", 1)], [("b", 1)]]
    out, ledger = rounds(schedule, lambda *_: "empty")
    assert [ledger.requested(label) for label in "abc"] == [9, 9, 9]
    assert schedule.next_round(ledger, 99) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    labels=st.integers(1, 5), per_label=st.integers(1, 25), attempts=st.floats(1, 4), call_size=st.integers(1, 30),
    one_turn=st.booleans(), calls=st.none() | st.integers(1, 7), min_requests=st.integers(1, 60), rate=st.floats(0, 1), salt=st.integers(0, 99),
)  # fmt: skip
def test_it_always_ends_balanced_and_within_budget(
    config_of: ConfigOf, labels: int, per_label: int, attempts: float, call_size: int, one_turn: bool, calls: int | None, min_requests: int,
    rate: float, salt: int,
) -> None:  # fmt: skip
    import random

    names = "abcde"[:labels]
    schedule = make(
        config_of, per_label, call_size=call_size, one_turn=one_turn, labels=names, max_attempts=attempts,
        rounds={"min_requests": min_requests, "calls": calls},
    )  # fmt: skip
    out, ledger = rounds(schedule, lambda label, slot: "kept" if random.Random(f"{label}{slot}{salt}").random() < rate else "empty")
    budget = math.ceil(per_label * attempts)
    for name in names:
        assert ledger.kept(name) == per_label or ledger.requested(name) == budget
        assert ledger.kept(name) <= per_label
        assert ledger.requested(name) <= budget
    asked = dict.fromkeys(names, 0)
    for calls_made in out:
        assert [name for name, _ in calls_made] == sorted(name for name, _ in calls_made)
        for name, count in calls_made:
            asked[name] += count
            if one_turn:
                assert count <= call_size
        if rate == 1:  # nothing dropped: classes stay balanced at any barrier
            assert max(asked.values()) - min(asked.values()) <= call_size
