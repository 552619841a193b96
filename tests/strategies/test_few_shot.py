from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from tests.strategies.conftest import examples
from variegate.store.ledger import Ledger

Make = Callable[..., Any]
SEEDS = examples(*((label, f"{label} {n}") for n, label in enumerate(["crime", "love", "sci_fi"] * 6)))
LABEL_OF = {seed.id: seed.label for seed in SEEDS}


def of(label: str, requests: list[Any]) -> list[Any]:
    return [request for request in requests if request.target.name == label]


def first(made: Any, label: str = "love") -> Any:
    return of(label, made.next(Ledger()))[0]


def test_chung_examples_are_complete_blocks_before_the_open_one(talk: Make) -> None:
    request = first(talk("few_shot", seeds=examples(("crime", 'She said "no" to him'))))
    assert request.prompt == (
        "Write an opening that covers the element below.\nElement: about a crime\nOpening: \"She said 'no' to him\"\n\n"
        'Write an opening that covers the element below.\nElement: about love\nOpening: "'
    )
    assert request.parents == ("seed:0",)


def test_one_random_example_of_every_label_fresh_for_each_call(talk: Make) -> None:
    made = talk("few_shot", grow_pool=False, completions_per_call=2, seeds=SEEDS, per_label=5)
    calls = [list(group) for _, group in groupby(of("love", made.next(Ledger())), key=lambda request: request.prompt)]
    assert [len(call) for call in calls] == [2, 2, 1]
    for call in calls:
        assert sorted(LABEL_OF[parent] for parent in call[0].parents) == ["crime", "love", "sci_fi"]
        assert call[0].prompt.count("Element:") == 4
        assert len({request.parents for request in call}) == 1
    assert len({call[0].parents for call in calls}) == 3


@pytest.mark.parametrize("grow_pool", [False, True])
def test_no_call_shows_the_examples_of_another(play: Make, grow_pool: bool) -> None:
    """Also of another block, or another label: drawn once for all calls, twenty texts' examples would be all texts' examples."""
    rounds = play("few_shot", grow_pool=grow_pool, completions_per_call=4, per_label=40, seeds=SEEDS).all()
    assert len(rounds) > 1 or not grow_pool
    shown: dict[tuple[str, int], set[tuple[str, ...]]] = {}
    for request in (request for asked in rounds for request in asked):
        shown.setdefault((request.target.name, request.slot // 4), set()).add(request.parents)
        assert all(text in request.prompt for text in (seed.fields["text"] for seed in SEEDS if seed.id in request.parents))
    assert len(shown) == 30
    assert all(len(prompts) == 1 for prompts in shown.values()) or grow_pool  # a grown pool may show in the middle of a call
    distinct = {prompt for prompts in shown.values() for prompt in prompts}
    assert len(distinct) >= 29  # two of 30 draws out of 1,296 may be alike


def test_every_example_is_drawn_equally_often_in_any_order(talk: Make) -> None:
    made, known = (
        talk("few_shot", seeds=SEEDS),
        {label: [seed for seed in SEEDS if seed.label == label] for label in ("crime", "love", "sci_fi")},
    )
    drawn = [tuple(each.id for each in made.draw("love", known, random.Random(seed))) for seed in range(1800)]
    counts = Counter(parent for parents in drawn for parent in parents)
    assert set(counts) == set(LABEL_OF)
    assert sum((count - 300) ** 2 / 300 for count in counts.values()) < 42  # chi-square, 15 degrees: p = 0.0002 at 42
    assert len(Counter(LABEL_OF[parents[0]] for parents in drawn)) == 3  # no label always stands first


def test_the_pool_grows_with_kept_records_from_the_next_block_on(play: Make) -> None:
    played = play("few_shot", seed_pool=0, outcome=lambda name, _: "empty" if name == "crime" else "kept")
    assert {request.parents for request in played.step()} == {()}  # the first block is zero-shot
    second = played.step()
    assert {parent.split(":")[0] for request in second for parent in request.parents} == {"love", "sci_fi"}
    assert all(f'"love text {request.parents[0].split(":")[1]}"' in request.prompt for request in second if request.parents[0] < "s")


def test_what_a_block_shows_is_the_pool_as_it_began(play: Make) -> None:
    """Refills of a block draw from what was known before it, and continue its calls."""
    played = play("few_shot", seed_pool=0, completions_per_call=4, per_label=30, rounds={"first": 10},
                  outcome=lambda name, slot: "empty" if slot == 25 else "kept")  # fmt: skip
    whole = {(r.target.name, r.slot): r for asked in played.all() for r in asked}
    assert max(slot for _, slot in whole) == 30
    refill, neighbour = whole["love", 30], whole["love", 29]
    assert (refill.block, neighbour.block) == (2, 2)
    assert all(int(parent.split(":")[1]) < 20 for parent in (*refill.parents, *neighbour.parents))
    assert whole["love", 28].parents == neighbour.parents == refill.parents  # slots 28 to 31 are one call


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_num_examples_takes_so_many_labels_the_asked_one_among_them(talk: Make, wanted: int) -> None:
    made, others = talk("few_shot", num_examples=wanted, seeds=SEEDS), set()
    known = {label: [seed for seed in SEEDS if seed.label == label] for label in ("crime", "love", "sci_fi")}
    for seed in range(40):
        shown = [each.label for each in made.draw("love", known, random.Random(seed))]
        assert len(shown) == len(set(shown)) == min(wanted, 3)
        assert "love" in shown
        others.update(shown)
    assert len(others) == (1 if wanted == 1 else 3)


def test_own_label_only(talk: Make) -> None:
    parents = first(talk("few_shot", num_examples=9, own_label_only=True, seeds=SEEDS)).parents
    assert len(parents) == len(set(parents)) == 6  # all there are, each once
    assert {LABEL_OF[parent] for parent in parents} == {"love"}


def test_li_lists_the_examples_and_forbids_editing(talk: Make) -> None:
    seeds = examples(("crime", "Rain fell."))
    assert first(talk("few_shot", form="li", seeds=seeds)).prompt == (
        "You write novels.\nExamples:\n- crime: Rain fell.\nImitate the examples, but do not edit or rewrite them.\n"
        'Write an opening for the category "romance". Two fall in love.\nOpening: "'
    )
    chat = first(talk("few_shot", form="li", chat=True, seeds=seeds)).messages
    assert [m.role for m in chat] == ["system", "user"]
    assert "Imitate the examples" in chat[1].content


def test_a_chat_sees_chungs_examples_as_its_own_turns(talk: Make) -> None:
    """As they are: a turn needs no closing quotation mark, so those of the text stay."""
    seeds = examples(("crime", 'Rain "fell".'))
    messages = first(talk("few_shot", form="chung", chat=True, seeds=seeds)).messages
    alone = ".\nReply with the opening alone, without introduction or explanation."
    assert [(m.role, m.content) for m in messages] == [
        ("system", "You write novels."),
        ("user", "Write an opening that covers: about a crime" + alone),
        ("assistant", 'Rain "fell".'),
        ("user", "Write an opening that covers: about love" + alone),
    ]


def test_li_with_a_history_keeps_each_place_its_own_chat(play: Make) -> None:
    played = play("few_shot", form="li", history=2, chats_per_label=4, completions_per_call=2, seeds=SEEDS, rounds={"first": 4})
    played.step()
    asked = of("love", played.step())
    assert [request.parents[-1] for request in asked] == [f"love:{n}" for n in range(4)]
    for n, request in enumerate(asked):
        assert f"- love text {n}\n\nMake it more diverse" in request.prompt
    assert asked[0].parents[:3] == asked[1].parents[:3] != asked[2].parents[:3]


def test_changed_blocks_change_no_prompt_of_a_pool_that_stays(play: Make) -> None:
    """Draws are made by name and call, not in turn."""
    made = [
        {(r.target.name, r.slot): r.prompt for asked in play("few_shot", grow_pool=False, completions_per_call=6, seeds=SEEDS,
         suppression=True, rounds=rounds).all() for r in asked}
        for rounds in ({"first": 3}, {"first": 7, "growth": 0.3})
    ]  # fmt: skip
    assert made[0] == made[1]
    assert len(made[0]) == 120


def test_long_prompts_are_asked_by_whole_calls(talk: Make) -> None:
    labels = {f"label{n}": {"phrase": f"about thing {n}, which is long to say", "description": "D."} for n in range(60)}
    long = talk("few_shot", seed_pool=0, task={"labels": labels})
    assert long.blocks.first == 20  # one example of each of 60 labels
    assert talk("few_shot", seed_pool=0, num_examples=5, task={"labels": labels}).blocks.first == 1
    assert talk("few_shot", seed_pool=0, task={"labels": labels}, rounds={"first": 3}).blocks.first == 3
