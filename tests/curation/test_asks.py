from __future__ import annotations

import itertools
from typing import Literal

import pytest

from variegate.config import load_task
from variegate.curation.asks import CONTENT_FREE, CONTENT_FREE_TEXTS, REAL, Wording, as_shown, make_plan, plan_relabel
from variegate.curation.judging import Items
from variegate.errors import ConfigError, UsageError
from variegate.records import Message
from variegate.strategies.prompts import Prompts

TASK = load_task("trec6")


def wording(*, chat: bool = False, class_block: bool | Literal["all"] = True) -> Wording:
    return Wording(Prompts().render, TASK.labels, TASK.text_type, TASK.context, chat, class_block)


def items(texts: list[str]) -> Items:
    n = len(texts)
    return Items(tuple(f"r{i}" for i in range(n)), tuple(texts), ("human",) * n, ((),) * n)


def test_the_prompt_is_the_trained_one() -> None:
    """Written out by hand: the words nano-llama was trained on."""
    (ask,) = plan_relabel(["r"], ['Who said "no"?'], [("location", "human")], wording())
    assert ask.messages == (
        Message(
            "user",
            "Categories:\n- human: Asks who, or which people, team or company, is meant.\n"
            "- location: Asks where something is, or for the name of a place.\nQuestion: \"Who said 'no'?\"\nCategory:",
        ),
    )
    assert (ask.choices, ask.answers) == (("human", "location"), (" human", " location"))
    (bare,) = plan_relabel(["r"], ["Who?"], [("human", "location")], wording(class_block=False))
    assert bare.messages == (Message("user", 'Question: "Who?"\nCategory:'),)


def test_one_block_for_all_texts_lists_every_label_and_the_choices_stay_the_texts_own() -> None:
    sets = [("number", "human"), ("entity", "human")]
    asks = plan_relabel(["a", "b"], ["How many?", "Who?"], sets, wording(class_block="all"))
    assert {ask.id: ask.choices for ask in asks} == {"a": ("human", "number"), "b": ("entity", "human")}
    (first, text), (second, _) = (ask.messages[0].content.split("Question: ") for ask in asks)
    assert first == second == "Categories:\n" + "".join(f"- {label.title}: {label.description}\n" for label in TASK.labels.values())
    assert text == '"Who?"\nCategory:'


def test_a_chat_model_is_told_to_answer_with_the_category_and_begins_with_no_space() -> None:
    (ask,) = plan_relabel(["r"], ["Who?"], [("human", "location")], wording(chat=True))
    assert ask.messages[0].content.startswith("Answer with the category alone.\nCategories:\n- human")
    assert ask.messages[0].content.endswith('Question: "Who?"\nCategory:')
    assert ask.answers == ("human", "location")


def test_a_users_template_sees_words_and_nothing_to_call() -> None:
    attacked = Prompts({"classify": "{{ labels[0].title }}{{ labels[0].model_copy() }}"})
    with pytest.raises(ConfigError, match=r"strategy\.templates\.classify: cannot be filled in: .*'model_copy'"):
        Wording(attacked.render, TASK.labels, TASK.text_type, TASK.context, False, True).messages("Who?", ["human", "location"])


def test_equal_class_blocks_stand_together_in_the_given_order() -> None:
    sets = [("number", "human"), ("human", "entity"), ("human", "number"), ("entity", "human"), ("location", "number")]
    asks = plan_relabel([f"r{i}" for i in range(5)], [f"text {i}" for i in range(5)], sets, wording())
    assert [ask.id for ask in asks] == ["r1", "r3", "r0", "r2", "r4"]
    assert [ask.choices for ask in asks][::2] == [("entity", "human"), ("human", "number"), ("location", "number")]
    assert [len({asks[i].group for i in group}) for group in ((0, 1), (2, 3), (0, 2, 4))] == [1, 1, 3]


def test_a_candidate_that_is_no_label() -> None:
    with pytest.raises(UsageError, match=r"'humans' is not a label of the task; did you mean 'human'\?"):
        plan_relabel(["r"], ["Who?"], [("humans", "location")], wording())


def test_a_plan_holds_real_examples_and_content_free_texts_once_a_group() -> None:
    sets = [("human", "location"), ("human", "number"), ("location", "human")]
    plan = make_plan(
        items(["a", "b", "c"]),
        sets,
        wording(),
        real=[("Where?", "location"), ("When?", "number")],
        real_candidates=[("human", "location"), ("entity", "number")],
        content_free=True,
    )
    assert plan.true == {f"{REAL}0": "location", f"{REAL}1": "number"}
    groups = {ask.group for ask in plan.asks}
    assert len(groups) == 3
    free = [ask for ask in plan.asks if ask.id.startswith(CONTENT_FREE)]
    assert len(free) == 3 * len(CONTENT_FREE_TEXTS) == len({ask.id for ask in free})
    assert {ask.group for ask in free} == groups
    assert sorted(ask.id for ask in plan.asks if ask not in free) == ["r0", "r1", "r2", "real:0", "real:1"]
    assert [text in ask.messages[0].content for ask, text in zip(free, CONTENT_FREE_TEXTS, strict=False)] == [True] * 3
    order = [ask.group for ask in plan.asks]
    assert sum(a != b for a, b in itertools.pairwise(order)) == 2  # each group is one run


def test_as_shown() -> None:
    assert as_shown('He  said\t"go"') == "He said 'go'"
    assert as_shown("premise  one\nhypothesis\ttwo") == "premise one\nhypothesis two"  # a pair keeps its line break
    assert as_shown("") == ""
