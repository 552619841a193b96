from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from variegate.errors import ConfigError
from variegate.records import Message, Record
from variegate.strategies.asking import Call
from variegate.strategies.pool import Pool

Make = Callable[..., Any]


def call(count: int, label: str = "love", **fields: int) -> Call:
    return Call(label, count, fields.get("first_slot", 0), fields.get("first_chat", 0), fields.get("round", 0))


def test_chung_without_examples_is_one_open_block(strategy: Make) -> None:
    (prompt,) = strategy("zero_shot", form="chung").prompts(call(20), Pool(), random.Random(0))
    assert prompt.messages == (Message("user", 'Write an opening that covers the element below.\nElement: about love\nOpening: "'),)
    assert (prompt.count, prompt.parents) == (20, ())


def test_li_plain_text_in_full(strategy: Make) -> None:
    made = strategy("zero_shot", form="li", history=2, task_fields={"style": "grim", "word_limit": 12})
    (prompt,) = made.prompts(call(3), Pool(), random.Random(0))
    first = 'You write novels.\nWrite an opening for the category "romance". Two fall in love. Style: grim. At most 12 words.\n'
    assert [(m.role, m.content) for m in prompt.messages] == [("user", first + 'Opening: "')]
    assert prompt.count == 3

    pool = Pool(history=2)
    for turn in range(3):
        pool.add(Record(f"id{turn}", f"They met, take {turn}.", "love"), chat=1)
    prompts = made.prompts(call(3), pool, random.Random(0))
    assert [(p.count, p.parents) for p in prompts] == [(1, ()), (1, ("id1", "id2")), (1, ())]
    assert prompts[0].messages == prompts[2].messages == prompt.messages
    assert prompts[1].messages[0].content == (
        first + "The ones before:\n- They met, take 1.\n- They met, take 2.\n\nMake it more diverse than the ones before.\n" + 'Opening: "'
    )


def test_li_chat_carries_the_history_as_turns(strategy: Make) -> None:
    pool = Pool(history=2)
    for turn in range(2):
        pool.add(Record(f"id{turn}", f"take {turn}", "love"), chat=0)
    (prompt,) = strategy("zero_shot", form="li", history=2, chat=True).prompts(call(1), pool, random.Random(0))
    assert [m.role for m in prompt.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    contents = [m.content for m in prompt.messages]
    assert contents[0] == "You write novels."
    assert contents[1].endswith("\nAnswer with the opening alone.")
    assert contents[2:] == ["take 0", "Make it more diverse than the ones before.", "take 1", "Make it more diverse than the ones before."]
    assert not any('Opening: "' in content for content in contents)


def test_chung_chat_asks_for_the_text_alone(strategy: Make) -> None:
    made = strategy("zero_shot", form="chung", chat=True)
    (prompt,) = made.prompts(call(1), Pool(), random.Random(0))
    assert prompt.messages[-1].content.endswith("Answer with the opening alone.")
    assert made.stop() == ()
    assert strategy("zero_shot").stop() == ('"',)


def test_what_the_pipeline_reads_of_a_strategy(strategy: Make) -> None:
    chung = strategy("zero_shot", form="chung", history=3, completions_per_call=7)
    assert (chung.history, chung.call_size, chung.needs_records) == (0, 7, False)  # no history in Chung's form
    li = strategy("zero_shot", form="li", history=3, chats_per_label=5)
    assert (li.history, li.call_size) == (3, 5)
    assert strategy("zero_shot", form="li", history=0, completions_per_call=7).call_size == 7


def test_an_overridden_template_is_used_and_its_errors_are_named(strategy: Make) -> None:
    made = strategy("zero_shot", form="chung", templates={"chung_block": "{{ label.title }}|{{ label.phrase }}|{{ context }}:"})
    assert made.prompts(call(1), Pool(), random.Random(0))[0].messages[0].content == "romance|about love|You write novels.:"
    broken = strategy("zero_shot", form="chung", templates={"chung_block": "{{ label.colour }}"})
    with pytest.raises(ConfigError, match="colour"):
        broken.prompts(call(1), Pool(), random.Random(0))
