"""METHODS section 8 for PromptMix, and what its prompts and answers must keep to."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from tests.strategies.conftest import examples
from variegate.config.strategies.promptmix import VARIANTS
from variegate.errors import UsageError
from variegate.records import Completion, Request
from variegate.store.ledger import Ledger
from variegate.strategies.promptmix import without_shares

Make = Callable[..., Any]


def task_of(number: int) -> dict[str, Any]:
    names = [f"class_{n:02d}" for n in range(number)]
    return {
        "text_type": "question",
        "labels": {name: {"phrase": f"of {name}", "description": f"Asks about things of {name} alone."} for name in names},
    }


def seeds_of(number: int, each: int = 2) -> Any:
    return examples(*((f"class_{n:02d}", f"seed {place} of class {n}") for n in range(number) for place in range(each)))


def answer(talk: Any, text: str, *, finish: str = "stop", request: Request | None = None) -> list[tuple[str, str]]:
    request = request or talk.next(Ledger())[0]
    return [(piece.text, piece.reason) for piece in talk.read(request, Completion("k", text, (), finish, 9))]


def shared_start(texts: list[str]) -> str:
    first, last = min(texts), max(texts)
    return first[: next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))]


# -- groups, partners and shares -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "sizes"), [(2, [2]), (3, [3]), (4, [4]), (5, [5]), (6, [4, 2]), (7, [4, 3]), (9, [4, 5]), (77, [4] * 18 + [5])]
)
def test_every_class_stands_in_one_group_of_a_cycle(talk: Make, number: int, sizes: list[int]) -> None:
    made = talk("promptmix", task=task_of(number), shots=0)
    cycles = [made.groups(cycle) for cycle in range(5)]
    for groups in cycles:
        assert [len(group) for group in groups] == sizes
        assert sorted(name for group in groups for name in group) == made.brief.names
    assert len({str(groups) for groups in cycles}) == (5 if number > 4 else len({str(groups) for groups in cycles}))


@pytest.mark.parametrize("number", [2, 4, 5, 6, 77])
def test_every_class_is_served_once_a_cycle_with_one_partner_of_its_group(talk: Make, number: int) -> None:
    made = talk("promptmix", task=task_of(number), shots=0, per_label=60, requests_per_cycle=5)
    asked = made.next(Ledger())
    assert Counter(request.target.name for request in asked) == dict.fromkeys(made.brief.names, 20)
    for cycle in range(4):
        own = [request for request in asked if request.facts["cycle"] == cycle]
        served = [name for name, _ in groupby(own, key=lambda request: request.target.name)]
        assert sorted(served) == made.brief.names  # its requests stand together
        for name in made.brief.names:
            mine = [request for request in own if request.target.name == name]
            assert len(mine) == 5
            assert len({request.facts["partner"] for request in mine}) == len({str(request.facts["group"]) for request in mine}) == 1
            group, partner = mine[0].facts["group"], mine[0].facts["partner"]
            assert name in group
            assert partner in group
            assert partner != name


def test_shares_are_whole_percentages_that_sum_to_100(talk: Make) -> None:
    """For all 11 values of the grid, as the prompt says them."""
    grid = [n / 100 for n in range(50, 101, 5)]
    for chat in (False, True):
        made = talk("promptmix", shots=0, alphas=grid, chat=chat, per_label=33)
        said: dict[float, list[int]] = {}
        for request in made.next(Ledger()):
            numbers = [int(word.strip(".:")[:-1]) for word in request.messages[-1].content.split() if word.strip(".:").endswith("%")]
            said.setdefault(request.facts["alpha"], numbers)
            assert sum(numbers) == 100
        assert said == {alpha: [round(100 * alpha), 100 - round(100 * alpha)][: 2 if alpha < 1 else 1] for alpha in grid}


def test_shares_are_drawn_as_the_paper_draws_them(talk: Make) -> None:
    """METHODS 2.1: mean .857; .85 and .90 are the commonest."""
    made = talk("promptmix", shots=0)
    drawn = [made.percent("love", slot) for slot in range(4000)]
    assert set(drawn) <= set(range(50, 101, 5))
    assert math.isclose(sum(drawn) / 4000, 85.7, abs_tol=0.6)
    shares = Counter(drawn)
    for percent, share in ((70, 0.048), (75, 0.095), (80, 0.156), (85, 0.215), (90, 0.245), (95, 0.188), (100, 0.033)):
        assert math.isclose(shares[percent] / 4000, share, abs_tol=0.022)


def test_a_fixed_grid_is_taken_in_turn(talk: Make) -> None:
    made = talk("promptmix", shots=0, alphas=[1.0, 0.75, 0.6], per_label=15)
    assert [request.facts["alpha"] for request in made.next(Ledger()) if request.target.name == "love"] == [1.0, 0.75, 0.6, 1.0, 0.75]


@pytest.mark.parametrize(
    "changed", [{"per_label": 90}, {"utterances": 5}, {"alphas": [0.8]}, {"suppression": True}, {"shots": 1}, {"faithful": True}]
)
def test_a_changed_setting_touches_only_what_it_must(play: Make, changed: dict[str, Any]) -> None:
    """Groups and partners, and shares where they are drawn, are those of the class and the slot."""
    base = {"per_label": 45, "seeds": examples(*((name, f"{name} {n}") for name in ("crime", "love", "sci_fi") for n in range(2)))}
    drawn, again = (
        {
            (request.target.name, request.slot): {**request.facts, "alpha": "alphas" in changed or request.facts["alpha"]}
            for asked in play("promptmix", **parts).all() for request in asked
        }
        for parts in (base, {**base, **changed})
    )  # fmt: skip
    shared = drawn.keys() & again.keys()
    assert len(shared) >= 27
    assert all(drawn[each] == again[each] for each in shared)


def test_the_seed_changes_groups_partners_and_shares(talk: Make) -> None:
    facts = [[request.facts for request in talk("promptmix", shots=0, task=task_of(6), seed=seed).next(Ledger())] for seed in (0, 1)]
    assert facts[0] != facts[1]


# -- prompts ---------------------------------------------------------------------------------------------------


def test_a_prompt_to_a_chat_model(talk: Make) -> None:
    seeds = examples(
        ("crime", "A body."),
        ("crime", "Rain fell."),
        ("love", "A kiss."),
        ("love", "They met."),
        ("sci_fi", "Mars."),
        ("sci_fi", "A ship."),
    )
    made = talk("promptmix", chat=True, seeds=seeds, alphas=[0.8], task={"word_limit": 20, "style": "dry"}, seed=3)
    request = made.next(Ledger())[0]
    first, second, third = request.facts["group"]
    blocks = {
        "crime": "Category: crime\nA crime is solved.\nFor example:\n- A body.\n- Rain fell.\n",
        "love": "Category: romance\nTwo fall in love.\nFor example:\n- A kiss.\n- They met.\n",
        "sci_fi": "Category: sci fi\nPlays in space.\nFor example:\n- Mars.\n- A ship.\n",
    }
    title = {"crime": "crime", "love": "romance", "sci_fi": "sci fi"}
    assert [(message.role, message.content) for message in request.messages] == [
        ("system", "You write novels."),
        (
            "user",
            f"Here are 3 categories of openings.\n\n{blocks[first]}\n{blocks[second]}\n{blocks[third]}\n"
            "Write 3 new openings, each unlike the others and of at most 20 words. Style: dry. Number them from 1 to 3, one per line, and write"
            " nothing else.\n"
            f'Each should mix two of the categories: 80% "{title[request.target.name]}" and 20% "{title[request.facts["partner"]]}".',
        ),
    ]
    assert sorted(request.parents) == [f"seed:{n}" for n in range(6)]


def test_a_model_of_plain_text_goes_on_with_the_list(talk: Make) -> None:
    made = talk("promptmix", shots=0, alphas=[1.0])
    request = made.next(Ledger())[0]
    assert request.prompt.startswith("You write novels.\n\nHere are 3 categories of openings.\n\nCategory: ")
    title = made.brief.task.labels[request.target.name].title
    assert request.prompt.endswith(f'Each should be of one category alone: 100% "{title}".\n1. "')
    assert type(made).stop(made.config, chat=False) == ("\n\n", "\n4.")
    one = talk("promptmix", shots=0, utterances=1)
    assert one.next(Ledger())[0].prompt.endswith('\nOpening: "')
    assert type(one).stop(one.config, chat=False) == ('"',)
    assert type(one).stop(one.config, chat=True) == ()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("chat", [False, True])
def test_each_variant_shows_what_it_is_said_to(talk: Make, variant: str, chat: bool) -> None:
    made = talk("promptmix", task=task_of(6), variant=variant, seeds=seeds_of(6), chat=chat)
    parts = VARIANTS[variant]
    for request in made.next(Ledger()):
        prompt, name, group = request.prompt, request.target.name, request.facts["group"]
        others = [other for other in made.brief.names if other != name]
        assert len(group) == (1 if not parts.grouped else len(group)) <= 4
        assert (f"Asks about things of {name} alone." in prompt) == parts.described
        assert any(f"Asks about things of {other} alone." in prompt for other in others) == (parts.described and parts.grouped)
        assert prompt.count("seed ") == (2 * len(group) if parts.shown else 0)
        assert ("%" in prompt) == ("partner" in request.facts) == parts.mixed
        assert len(request.parents) == (2 * len(group) if parts.shown else 0)
        assert "\n\n\n" not in prompt
        assert not any(line != line.strip() for line in prompt.split("\n"))


def test_requests_that_share_a_group_are_neighbours_and_begin_alike(talk: Make) -> None:
    """Those of one class until the share itself."""
    made = talk("promptmix", task=task_of(77), seeds=seeds_of(77), chat=True, per_label=60)
    asked = made.next(Ledger())
    of_group = [list(own) for _, own in groupby(asked, key=lambda request: (request.facts["cycle"], request.facts["group"]))]
    assert len(of_group) == len({(request.facts["cycle"], tuple(request.facts["group"])) for request in asked}) == 2 * 19
    for own in of_group:
        shared = shared_start([request.messages[-1].content for request in own])
        assert all(f"seed 1 of class {int(name[-2:])}" in shared for name in own[0].facts["group"])
        assert len(shared) > 0.7 * len(own[0].messages[-1].content)
        for _, mine in groupby(own, key=lambda request: request.target.name):
            prompts = [request.messages[-1].content for request in mine]
            partial = [prompt for prompt in prompts if "100%" not in prompt]
            assert all(prompt[len(shared_start(partial)) :].count('"') == 4 for prompt in partial)  # "... 80% "a" and 20% "b"."


def test_a_class_without_enough_examples_is_named(talk: Make) -> None:
    seeds = examples(("crime", "a"), ("crime", "b"), ("love", "c"), ("sci_fi", "d"), ("sci_fi", "e"))
    with pytest.raises(
        UsageError, match=r"'love' has 1 real examples, and promptmix shows 2 of each class: add some .* strategy\.shots: 1"
    ):
        talk("promptmix", seeds=seeds)
    talk("promptmix", seeds=seeds, shots=1)


# -- answers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def made(talk: Make) -> Any:
    return talk("promptmix", shots=0, chat=True, task={"word_limit": 10})


def test_all_texts_of_an_answer_are_kept(made: Any) -> None:
    said = answer(made, 'Sure, here are three openings:\n\n1. "It rained."\n2. “She left.”\n3. «He knew.» (80% romance, 20% crime)')
    assert said == [("It rained.", ""), ("She left.", ""), ("He knew.", "")]


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("", ["empty"]),
        ("I'm sorry, but I cannot help with that request.", ["refusal"]),
        ("Hello! How can I help you today?", ["persona"]),
        ("It rained all day long in the town.", ["no_list"]),
        ("It rained.\nShe left.\nHe knew.\nThey met.\nIt ended.\nSo be it.", ["no_list"]),
        ("1. It rained.\n2. ...\n3. Dear [Your Name], it rained.", ["", "empty", "placeholder"]),
        ("1. Two fall in love.\n2. It rained.", ["echo", ""]),
        ("Category: crime\nFor example:\n- It rained.\n\n**Category:** romance\nFor example:\n- She left.", ["echo"]),
        ("1. An opening that is 80% romance.\n2. It rained.\n3. It rained, 80% romance and 20% crime", ["meta", "", "echo"]),
        ("1. It rained.\n2. " + "word " * 31, ["", "too_long"]),
        ("<think>1. It rained.\n2. It", ["thinking"]),
        ("<think>hm</think>1. It rained.\n2. She left.", ["", ""]),
    ],
)
def test_what_is_refused_has_a_name(made: Any, text: str, reasons: list[str]) -> None:
    assert [reason for _, reason in answer(made, text)] == reasons


def test_an_answer_that_was_cut_off_loses_its_last_text_alone(made: Any) -> None:
    assert answer(made, "1. It rained.\n2. She le", finish="length") == [("It rained.", ""), ("She le", "unfinished")]
    assert answer(made, "1. It rained.\n2. She left.\n\nI hope th", finish="length") == [("It rained.", ""), ("She left.", "")]


def test_a_model_of_plain_text_answers_behind_the_cue(talk: Make) -> None:
    plain = talk("promptmix", shots=0)
    assert answer(plain, 'It rained."\n2. "She left."\n3. "He knew."') == [("It rained.", ""), ("She left.", ""), ("He knew.", "")]
    assert answer(plain, 'It rained."') == [("It rained.", "")]
    assert answer(plain, "") == [('"', "empty")]
    assert answer(plain, "It rained.\n2. She left.") == [("It rained.", ""), ("She left.", "")]
    assert answer(plain, 'It rained."\n2. "She le', finish="length") == [("It rained.", ""), ('"She le', "unfinished")]


def test_one_text_asked_for(talk: Make) -> None:
    assert answer(talk("promptmix", shots=0, utterances=1), "It rained.") == [("It rained.", "")]
    chat = talk("promptmix", shots=0, utterances=1, chat=True)
    assert answer(chat, 'Here is an opening:\n\n"It rained." (90% romance)') == [("It rained.", "")]


def test_faithful_keeps_one_drawn_by_name_and_slot(talk: Make) -> None:
    made = talk("promptmix", shots=0, chat=True, faithful=True, per_label=200)
    assert made.per_answer == 1
    places: Counter[int] = Counter()
    for request in made.next(Ledger()):
        said = answer(made, "1. It rained.\n2. She left.\n3. ...\n4. He knew.", request=request)
        assert [reason for _, reason in said].count("not_drawn") == 2
        assert said[2] == ("...", "empty")
        assert said == answer(made, "1. It rained.\n2. She left.\n3. ...\n4. He knew.", request=request)
        places[[reason for _, reason in said].index("")] += 1
    assert set(places) == {0, 1, 3}
    assert min(places.values()) > 150
    assert answer(made, "1. ...\n2. ...") == [("...", "empty")] * 2


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Where is it? (80% location, 20% number)", "Where is it?"),
        ('"Where is it?" [80% location]', '"Where is it?"'),
        ("(80% location / 20% number) Where is it?", "Where is it?"),
        ("80% location, 20% number: Where is it?", "Where is it?"),
        ("Where is it? - 80% location, 20% number", "Where is it?"),
        ("Where is it? (2 categories)", "Where is it?"),
        ("Where is it (80% location).", "Where is it."),
        ("What is 20% of 50?", "What is 20% of 50?"),
        ("Is (20%) of it his?", "Is (20%) of it his?"),
        ("20% of what is that?", "20% of what is that?"),
        ("How many live there (in 1990)?", "How many live there (in 1990)?"),
    ],
)
def test_shares_around_a_text_are_taken_off(text: str, left: str) -> None:
    assert without_shares(text) == left


def test_requests_follow_the_texts_an_answer_gives(play: Make) -> None:
    """A third of the texts wanted; more where answers gave fewer."""
    played = play("promptmix", shots=0, per_label=30)
    assert [len(asked) for asked in played.all()] == [30, 60]  # one text an answer here: 10 of each label, then the 20 that lack
    assert played.talk.max_requests == dict.fromkeys(("crime", "love", "sci_fi"), 30)


def test_no_state_but_the_ledger(talk: Make) -> None:
    """A class that is asked again goes on where its slots are, whatever the others were asked."""
    ledger = Ledger()
    for _ in range(random.Random(0).randrange(5, 9)):
        ledger.count("love", ["kept", "kept"])
    asked = talk("promptmix", shots=0, per_label=40).next(ledger)
    assert next(request.slot for request in asked if request.target.name == "love") == ledger.requested("love")
    whole = {(r.target.name, r.slot): r.prompt for r in talk("promptmix", shots=0, per_label=90).next(Ledger())}
    assert all(whole[request.target.name, request.slot] == request.prompt for request in asked)
