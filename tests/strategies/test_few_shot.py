from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from variegate.records import Record
from variegate.strategies.asking import Call
from variegate.strategies.pool import Example, Pool

Make = Callable[..., Any]
SEEDS = [Example(f"seed:{n}", f"{label} {n}", label) for n, label in enumerate(["crime", "love", "sci_fi"] * 6)]


def ask(made: Any, pool: Pool, count: int = 1, label: str = "love", seed: int = 0) -> list[Any]:
    return made.prompts(Call(label, count, 0, 0, 0), pool, random.Random(seed))


def test_chung_examples_are_complete_blocks_before_the_open_one(strategy: Make) -> None:
    pool = Pool([Example("seed:0", 'She said "no" to him', "crime")])
    (prompt,) = ask(strategy("few_shot"), pool)
    assert prompt.messages[0].content == (
        "Write an opening that covers the element below.\nElement: about a crime\nOpening: \"She said 'no' to him\"\n\n"
        'Write an opening that covers the element below.\nElement: about love\nOpening: "'
    )
    assert prompt.parents == ("seed:0",)


def test_one_random_example_of_every_label_fresh_for_each_call(strategy: Make) -> None:
    prompts = ask(strategy("few_shot", completions_per_call=2), Pool(SEEDS), count=5)
    assert [p.count for p in prompts] == [2, 2, 1]
    labels = {seed.id: seed.label for seed in SEEDS}
    for prompt in prompts:
        assert sorted(labels[parent] for parent in prompt.parents) == ["crime", "love", "sci_fi"]
        assert prompt.messages[0].content.count("Element:") == 4
    assert len({p.parents for p in prompts}) > 1


def test_every_example_is_drawn_equally_often_in_any_order(strategy: Make) -> None:
    made, pool = strategy("few_shot"), Pool(SEEDS)
    drawn = [ask(made, pool, seed=seed)[0].parents for seed in range(1800)]
    counts = Counter(parent for parents in drawn for parent in parents)
    assert set(counts) == {seed.id for seed in SEEDS}
    assert sum((count - 300) ** 2 / 300 for count in counts.values()) < 42  # chi-square, 15 degrees: p = 0.0002 at 42
    assert len({tuple(parent_label.split()[0] for parent_label in parents) for parents in drawn}) > 1
    labels = {seed.id: seed.label for seed in SEEDS}
    assert len(Counter(labels[parents[0]] for parents in drawn)) == 3  # no label always stands first


def test_the_pool_grows_with_kept_records(strategy: Make) -> None:
    made = strategy("few_shot", seed_pool=0)
    assert made.needs_records
    pool = Pool(keep_records=True)
    assert ask(made, pool)[0].parents == ()  # the first cycle is zero-shot
    pool.add(Record("a", "In space", "sci_fi"), 0)
    assert ask(made, pool)[0].parents == ("a",)
    assert '"In space"' in ask(made, pool)[0].messages[0].content
    assert not strategy("few_shot", grow_pool=False).needs_records


@pytest.mark.parametrize("wanted", [1, 2, 3, 4])
def test_num_examples_takes_so_many_labels_the_asked_one_among_them(strategy: Make, wanted: int) -> None:
    made, labels = strategy("few_shot", num_examples=wanted), {seed.id: seed.label for seed in SEEDS}
    others = set()
    for seed in range(40):
        shown = [labels[parent] for parent in ask(made, Pool(SEEDS), seed=seed)[0].parents]
        assert len(shown) == len(set(shown)) == min(wanted, 3)
        assert "love" in shown
        others.update(shown)
    assert len(others) == (1 if wanted == 1 else 3)


def test_own_label_only(strategy: Make) -> None:
    made, labels = strategy("few_shot", num_examples=9, own_label_only=True), {seed.id: seed.label for seed in SEEDS}
    parents = ask(made, Pool(SEEDS))[0].parents
    assert len(parents) == len(set(parents)) == 6  # all there are, each once
    assert {labels[parent] for parent in parents} == {"love"}


def test_li_lists_the_examples_and_forbids_editing(strategy: Make) -> None:
    pool = Pool([Example("seed:0", "Rain fell.", "crime")])
    (prompt,) = ask(strategy("few_shot", form="li"), pool)
    assert prompt.messages[0].content == (
        "You write novels.\nExamples:\n- crime: Rain fell.\nImitate the examples, but do not edit or rewrite them.\n"
        'Write an opening for the category "romance". Two fall in love.\nOpening: "'
    )
    chat = ask(strategy("few_shot", form="li", chat=True), pool)[0].messages
    assert [m.role for m in chat] == ["system", "user"]
    assert "Imitate the examples" in chat[1].content


def test_li_with_a_history_keeps_each_place_its_own_chat(strategy: Make) -> None:
    made = strategy("few_shot", form="li", history=2, chats_per_label=4, completions_per_call=2)
    assert (made.history, made.call_size) == (2, 4)
    pool = Pool(SEEDS, history=2)
    for chat in range(4):
        pool.add(Record(f"chat{chat}", f"said in {chat}", "love"), chat)
    prompts = ask(made, pool, count=4)
    assert [p.count for p in prompts] == [1, 1, 1, 1]
    for chat, prompt in enumerate(prompts):
        assert prompt.parents[-1] == f"chat{chat}"
        assert f"- said in {chat}\n\nMake it more diverse" in prompt.messages[0].content
    assert prompts[0].parents[:3] == prompts[1].parents[:3] != prompts[2].parents[:3]


def test_the_same_generator_gives_the_same_prompts(strategy: Make) -> None:
    made, pool = strategy("few_shot"), Pool(SEEDS)
    assert ask(made, pool, 50, seed=3) == ask(made, pool, 50, seed=3) != ask(made, pool, 50, seed=4)
