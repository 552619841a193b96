"""What strategies share, seen through all of them: counts, determinism, and templates that a chat model never sees."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from variegate.records import Record
from variegate.strategies.asking import Call
from variegate.strategies.pool import Example, Pool

kinds = st.fixed_dictionaries(
    {"kind": st.sampled_from(["zero_shot", "few_shot"]), "form": st.sampled_from(["chung", "li"]), "history": st.integers(0, 3)},
    optional={"chat": st.booleans()},
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(kinds, st.integers(1, 30), st.integers(1, 9), st.lists(st.integers(0, 12), max_size=20))
def test_counts_sum_and_every_parent_stands_in_its_prompt(
    strategy: Callable[..., Any], kind: dict[str, Any], count: int, per_call: int, chats: list[int]
) -> None:
    if kind["form"] == "chung" and kind["kind"] == "few_shot":
        kind = {**kind, "history": 0}
    made = strategy(completions_per_call=per_call, **kind)
    texts = {"seed:0": "Zeroth seed", "seed:1": "First seed"}
    pool = Pool(
        [Example("seed:0", "Zeroth seed", "crime"), Example("seed:1", "First seed", "love")],
        keep_records=made.needs_records,
        history=made.history,
    )
    for number, chat in enumerate(chats):
        texts[f"r{number}"] = f"Record number {number} ends."
        pool.add(Record(f"r{number}", texts[f"r{number}"], "love"), chat)
    prompts = made.prompts(Call("love", count, 0, 0, 0), pool, random.Random(1))
    assert prompts == made.prompts(Call("love", count, 0, 0, 0), pool, random.Random(1))
    assert sum(prompt.count for prompt in prompts) == count
    for prompt in prompts:
        whole = "\n".join(message.content for message in prompt.messages)
        assert all(texts[parent] in whole for parent in prompt.parents)
        assert sum(text in whole for text in texts.values()) == len(set(prompt.parents))
        assert "love" in whole
        assert len(prompt.messages) == 1 or kind.get("chat")
        if not kind.get("chat"):
            assert whole.endswith('Opening: "')
