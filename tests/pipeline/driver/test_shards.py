from __future__ import annotations

from variegate.pipeline.driver.shards import cut
from variegate.records import Message, Request, Sampling


def test_shards_hold_all_in_order_and_none_is_larger() -> None:
    requests = [Request((Message("user", "x"),), Sampling(), slot=slot) for slot in range(10)]
    assert [[request.slot for request in shard] for shard in cut(requests, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [len(shard) for shard in cut(requests, 10)] == [10]
    assert cut([], 4) == []
