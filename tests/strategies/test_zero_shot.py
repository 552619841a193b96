from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from variegate.errors import ConfigError
from variegate.records import Message
from variegate.store.ledger import Ledger

Make = Callable[..., Any]
FIRST = 'You write novels.\nWrite an opening for the category "romance". Two fall in love. Style: grim. At most 12 words.\n'


def of(label: str, requests: list[Any]) -> list[Any]:
    return [request for request in requests if request.target.name == label]


def test_chung_without_examples_is_one_open_block(talk: Make) -> None:
    asked = of("love", talk("zero_shot", form="chung", per_label=20).next(Ledger()))
    prompt = (Message("user", 'Write an opening that covers the element below.\nElement: about love\nOpening: "'),)
    assert [(request.messages, request.parents) for request in asked] == [(prompt, ())] * 20


def test_li_plain_text_in_full(play: Make) -> None:
    played = play("zero_shot", form="li", history=2, chats_per_label=3, rounds={"first": 3}, task={"style": "grim", "word_limit": 12})
    asked = of("love", played.step())
    assert [request.prompt for request in asked] == [FIRST + 'Opening: "'] * 3
    played.step()
    third = of("love", played.step())
    before = "The ones before:\n- love text {}\n- love text {}\n\nMake it more diverse than the ones before.\n"
    assert [request.prompt for request in third] == [FIRST + before.format(n, n + 3) + 'Opening: "' for n in range(3)]
    assert third[1].parents == ("love:1", "love:4")


def test_each_place_of_a_block_is_a_chat_with_its_own_last_texts(play: Make) -> None:
    """A chat whose text was dropped carries those that it kept."""
    played = play(
        "zero_shot", form="li", history=2, chats_per_label=2, rounds={"first": 2},
        outcome=lambda name, slot: "empty" if (name, slot) == ("love", 1) else "kept",
    )  # fmt: skip
    asked = [of("love", played.step()) for _ in range(4)]
    assert [[request.parents for request in each] for each in asked] == [
        [(), ()],
        [("love:0",), ()],
        [("love:0", "love:2"), ("love:3",)],
        [("love:2", "love:4"), ("love:3", "love:5")],
    ]
    assert [request.facts for request in asked[0]] == [{"chat": 0}, {"chat": 1}]


def test_li_chat_carries_the_history_as_turns(play: Make) -> None:
    played = play("zero_shot", form="li", history=2, chats_per_label=1, chat=True)
    played.step(), played.step()
    (request,) = of("love", played.step())
    assert [m.role for m in request.messages] == ["system", "user", "assistant", "user", "assistant", "user"]
    contents = [m.content for m in request.messages]
    assert contents[0] == "You write novels."
    alone = "\nReply with the opening alone, without introduction or explanation."
    assert contents[1].endswith(alone)
    again = "Write another opening for the same category, more diverse than the ones before." + alone
    assert contents[2:] == ["love text 0", again, "love text 1", again]
    assert not any('Opening: "' in content for content in contents)


def test_chung_chat_asks_for_the_text_alone(talk: Make) -> None:
    made = talk("zero_shot", form="chung", chat=True)
    wanted = "Write an opening that covers: about a crime.\nReply with the opening alone, without introduction or explanation."
    assert made.next(Ledger())[0].messages == (Message("system", "You write novels."), Message("user", wanted))
    assert type(made).stop(made.config, chat=True) == ()
    assert type(made).stop(made.config, chat=False) == ('"',)


def test_a_given_field_stands_before_what_is_asked(talk: Make) -> None:
    given = [{"premise": "It rains."}]
    chung = talk("zero_shot", form="chung", givens=given).next(Ledger())[0].prompt
    assert chung == 'Premise: "It rains."\nWrite an opening that covers the element below.\nElement: about a crime\nOpening: "'
    li = talk("zero_shot", form="li", history=0, givens=given).next(Ledger())[0].prompt
    assert li.endswith('A crime is solved.\nPremise: "It rains."\nOpening: "')


def test_an_overridden_template_is_used_and_its_errors_are_named(talk: Make) -> None:
    made = talk("zero_shot", form="chung", templates={"chung_block": "{{ label.title }}|{{ label.phrase }}|{{ context }}:"})
    assert of("love", made.next(Ledger()))[0].prompt == "romance|about love|You write novels.:"
    broken = talk("zero_shot", form="chung", templates={"chung_block": "{{ label.colour }}"})
    with pytest.raises(ConfigError, match="colour"):
        broken.next(Ledger())
