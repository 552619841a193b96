from __future__ import annotations

from variegate.records import Record
from variegate.strategies.pool import Example, Pool


def test_seeds_stand_first_and_records_join_only_where_wanted() -> None:
    seed = Example("seed:0", "a", "x")
    for keep, texts in ((True, ["a", "b"]), (False, ["a"])):
        pool = Pool([seed], keep_records=keep)
        pool.add(Record("k", "b", "x"), chat=0)
        pool.add(Record("l", "c", "y"), chat=0)
        assert [each.text for each in pool.examples("x")] == texts
        assert pool.labels() == (["x", "y"] if keep else ["x"])
        assert pool.history("x", 0) == ()
    assert Pool().examples("x") == ()


def test_history_is_a_rolling_window_of_each_chat() -> None:
    pool = Pool(history=2)
    for turn in range(4):
        for chat in (0, 1):
            pool.add(Record(f"{turn}{chat}", f"text {turn} of chat {chat}", "x"), chat)
    assert [each.id for each in pool.history("x", 0)] == ["20", "30"]
    assert [each.id for each in pool.history("x", 1)] == ["21", "31"]
    assert pool.history("x", 2) == pool.history("y", 0) == ()
    assert pool.labels() == []  # a history makes no examples
