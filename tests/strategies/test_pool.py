from __future__ import annotations

import json

from variegate.strategies.pool import Chats, Example, Pool


def example(id: str, label: str) -> Example:
    return Example(id, {"text": f"text {id}", "label": label}, label)


def ids(pool: Pool, name: str, block: int) -> dict[str, list[str]]:
    return {label: [each.id for each in own] for label, own in pool.at(name, block).items()}


def test_a_block_sees_the_pool_as_it_began_and_labels_sorted() -> None:
    pool = Pool([example("seed:0", "y")])
    assert ids(pool, "x", 0) == {"y": ["seed:0"]}
    pool.add(example("a", "x"))
    assert ids(pool, "x", 0) == {"y": ["seed:0"]}
    assert ids(pool, "z", 0) == {"x": ["a"], "y": ["seed:0"]}  # began later
    assert list(pool.at("x", 1)) == ["x", "y"]
    pool.add(example("b", "x"))
    assert ids(pool, "x", 1)["x"] == ["a"]
    assert ids(pool, "x", 2)["x"] == ["a", "b"]


def test_history_is_a_rolling_window_of_each_chat_as_the_block_began() -> None:
    chats = Chats(2)
    for turn in range(4):
        for chat in (0, 1):
            chats.add("x", chat, f"{turn}{chat}", f"text {turn} of chat {chat}")
    assert [id for id, _ in chats.at("x", 4, 0)] == ["20", "30"]
    chats.add("x", 0, "40", "text 4")
    assert [id for id, _ in chats.at("x", 4, 0)] == ["20", "30"]
    assert [id for id, _ in chats.at("x", 5, 0)] == ["30", "40"]
    assert [id for id, _ in chats.at("x", 5, 1)] == ["21", "31"]
    assert chats.at("x", 5, 2) == chats.at("y", 0, 0) == []


def test_state_goes_through_json() -> None:
    pool, chats = Pool([example("seed:0", "y")]), Chats(1)
    pool.at("x", 0)
    pool.add(example("a", "x"))
    chats.add("x", 0, "a", "text a")
    chats.at("x", 1, 0)
    chats.add("x", 0, "b", "text b")
    other, others = Pool(), Chats(1)
    other.state, others.state = json.loads(json.dumps(pool.state)), json.loads(json.dumps(chats.state))
    assert ids(other, "x", 0) == {"y": ["seed:0"]}
    assert ids(other, "x", 1) == {"x": ["a"], "y": ["seed:0"]}
    assert others.at("x", 1, 0) == [["a", "text a"]]
    assert others.at("x", 2, 0) == [["b", "text b"]]
