"""Relabelling end to end: on a scripted engine for what is decided, on nano-llama and real texts for what is measured."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.engine import FakeEngine
from variegate.config import load_task
from variegate.config.curation import RelabelStage
from variegate.curation.asks import CONTENT_FREE, Plan
from variegate.curation.judging import Items, Judgement
from variegate.curation.relabel import asked, judge, least_probability, observe, plan_stage
from variegate.errors import UsageError
from variegate.records import Message, Request
from variegate.strategies.prompts import Prompts

TREC = load_task("trec6")
WORDS = {"who": "human", "where": "location", "many": "number", "why": "description"}


def stage_of(**fields: Any) -> RelabelStage:
    return RelabelStage(kind="relabel", **{"nearest_classes": None, **fields})


def items_of(texts: Sequence[str], labels: Sequence[str]) -> Items:
    return Items(tuple(f"r{i}" for i in range(len(texts))), tuple(texts), tuple(labels), ((),) * len(texts))


def words_of(task: Any) -> dict[str, Any]:
    return {"render": Prompts().render, "text_type": task.text_type, "context": task.context, "chat": False}


def text_of(messages: Sequence[Message]) -> str:
    return messages[0].content.rsplit(': "', 1)[1].removesuffix('"\nCategory:')


def weigh(messages: Sequence[Message], choices: Sequence[str]) -> np.ndarray:
    """0.8 to the class a word of the text speaks for, the rest is shared; without such a word, a fixed preference."""
    titles = [name.strip() for name in choices]
    found = [label for word, label in WORDS.items() if word in text_of(messages) and label in titles]
    weights = np.array([0.8 if title in found else 0.2 / (len(titles) - 1) for title in titles])
    if not found:
        weights = np.arange(1.0, len(titles) + 1)
    return np.log(weights / weights.sum())


def scripted(answers: Mapping[str, str] | None = None) -> FakeEngine:
    """answers: what generation writes, by text; it repeats the text where there is none."""

    def write(request: Request, _: Any) -> str:
        assert (request.sampling.temperature, request.group) == (0, None)
        text = text_of(request.messages)
        return (answers or {}).get(text, text)

    return FakeEngine(weigh=weigh, write=write, max_model_len=200)


def relabel(
    stage: RelabelStage, items: Items, engine: Any, *, chunk: int = 1000, task: Any = TREC, encode: Any = None, **given: Any
) -> Judgement:
    plan = plan_stage(stage, items, task.labels, encode=encode, **words_of(task), **given)
    rows = [row for start in range(0, len(plan.asks), chunk) for row in observe(plan.asks[start : start + chunk], engine, stage)]
    return judge(stage, plan, json.loads(json.dumps(rows)), items, task.labels, encode=encode)


def test_verdicts_worked_by_hand() -> None:
    """Six candidates: 0.8 to the class found, 0.04 to each other one."""
    items = items_of(["who is it", "where is it", "how many", "who and why"], ["human", "human", "number", "entity"])
    found = relabel(stage_of(), items, scripted())
    assert [(each.id, each.label, each.keep, each.reason) for each in found.verdicts] == [
        ("r0", "human", True, ""),
        ("r1", "location", True, "relabelled"),
        ("r2", "number", True, ""),
        ("r3", "description", True, "relabelled"),
    ]
    assert [each.confidence for each in found.verdicts] == pytest.approx([0.8, 0.8, 0.8, 0.8 / 1.76])
    details = found.verdicts[0].details
    assert details["margin"] == pytest.approx(0.76)
    assert next(iter(details["probabilities"].items())) == ("human", 0.8)
    assert len(details["probabilities"]) == 5
    facts = found.facts
    assert {name: facts[name] for name in ("judged", "changed", "unjudged", "refused", "low_margin", "groups", "candidates")} == {
        "judged": 4, "changed": 2, "unjudged": 0, "refused": 0, "low_margin": 0, "groups": 1, "candidates": 6,
    }  # fmt: skip
    assert facts["agreement"] == 0.5
    assert facts["usage"] == {"requests": 4, "prompt_tokens": 40, "cached_tokens": 24, "generated_tokens": 4}
    assert facts["prefix_hit_rate"] == 0.6
    assert found.warnings == ()


@pytest.mark.parametrize(("below", "keep"), [("keep_label", True), ("drop", False)])
def test_a_small_margin_keeps_the_given_label_or_drops(below: str, keep: bool) -> None:
    items = items_of(["who is it", "who and why", "why is it"], ["location", "entity", "description"])
    found = relabel(stage_of(margin=0.5, below_margin=below), items, scripted())
    first, second, third = found.verdicts
    assert (first.label, first.keep, first.reason) == ("human", True, "relabelled")
    assert (second.label, second.keep, second.reason) == ("entity", keep, "low_margin")
    assert second.confidence == pytest.approx(0.04 / 1.76)  # of the given label
    assert (third.label, third.reason) == ("description", "")
    assert found.facts["low_margin"] == 1
    assert found.facts["changed"] == 1


def test_one_prompt_too_long_is_unjudged_and_named() -> None:
    items = items_of(["who is it", "who " * 300, "where"], ["human", "entity", "human"])
    for stage in (stage_of(), stage_of(mode="generate")):
        found = relabel(stage, items, scripted({"who is it": "human", "where": "location"}))
        assert [(each.label, each.reason) for each in found.verdicts] == [("human", ""), ("entity", "unjudged"), ("location", "relabelled")]
        assert found.verdicts[1].keep
        assert found.verdicts[1].confidence is None
        assert "prompt of" in found.verdicts[1].details["error"]
        assert found.facts["unjudged"] == 1
        assert found.facts["judged"] == 2
        assert "1 of 3 texts could not be judged" in found.warnings[0]


def test_refusals_keep_the_label_and_paths_are_counted() -> None:
    answers = {"a": "human", "b": "LOCATION.", "c": "I cannot tell", "d": "loca", "e": "some place", "f": "banana", "g": ""}
    items = items_of(list(answers), ["human"] * 7)

    def encode(texts: Sequence[str]) -> np.ndarray:
        axes = {"location": 0, "some place": 0, "banana": 2}
        return np.eye(3)[[axes.get(text, 1) for text in texts]]

    found = relabel(stage_of(mode="generate"), items, scripted(answers), encode=encode)
    assert [(each.label, each.reason) for each in found.verdicts] == [
        ("human", ""),
        ("location", "relabelled"),
        ("human", "refused"),
        ("location", "relabelled"),
        ("location", "relabelled"),
        ("human", "refused"),
        ("human", "refused"),
    ]
    assert found.facts["paths"] == {"exact": 1, "casefold": 1, "prefix": 1, "nearest": 1, "refused": 2, "far": 1}
    assert (found.facts["refused"], found.facts["judged"], found.facts["agreement"]) == (3, 4, 0.25)
    assert all(each.confidence is None for each in found.verdicts)
    assert found.verdicts[2].details == {"answer": "I cannot tell", "path": "refused"}
    assert "3 of 7 answers name no class" in found.warnings[0]


def test_contextual_calibration_takes_a_preference_out() -> None:
    """The script prefers later classes where the text says nothing. Divided by itself that is uniform."""
    items = items_of(["nothing at all", "who is it"], ["human", "entity"])
    plain = relabel(stage_of(), items, scripted())
    assert plain.verdicts[0].label == "number"  # the last
    engine = scripted()
    found = relabel(stage_of(calibration="contextual"), items, engine)
    first, second = found.verdicts
    assert first.confidence == pytest.approx(1 / 6)
    assert first.details["margin"] == 0
    assert (second.label, second.reason) == ("human", "relabelled")
    prior = np.arange(1, 7) / 21
    expected = np.array([0.8 if name == "human" else 0.04 for name in TREC.labels]) / prior
    assert second.confidence == pytest.approx((expected / expected.sum()).max())
    assert found.facts["calibration"] == {"kind": "contextual", "content_free": 3, "examples": 0}
    assert [call.prune for call in engine.scored] == [0.0]  # small probabilities are divided by: none may be left out
    assert found.facts["usage"]["requests"] == 5


def test_a_group_without_its_content_free_texts_is_unjudged() -> None:
    stage = stage_of(calibration="contextual")
    items = items_of(["who is it"], ["entity"])
    plan = plan_stage(stage, items, TREC.labels, **words_of(TREC))
    rows = observe(plan.asks, scripted(), stage)
    broken = [
        {"id": row["id"], "choices": row["choices"], "error": "prompt too long"} if row["id"].startswith(CONTENT_FREE) else row
        for row in rows
    ]
    (verdict,) = judge(stage, plan, broken, items, TREC.labels).verdicts
    assert (verdict.label, verdict.reason) == ("entity", "unjudged")


def test_temperature_is_fitted_on_real_examples_and_applied() -> None:
    """The script says 0.8; on these examples it is right in 40 of 50: nothing to mend. On 25 of 50 it must come down to 0.5."""
    for right, expected in ((40, 0.8), (25, 0.5)):
        real = [("who is it", "human")] * right + [("who is it", "location")] * (50 - right)
        found = relabel(stage_of(calibration="temperature"), items_of(["where", "who"], ["human"] * 2), scripted(), calibration=real)
        # 50 examples whose wrong ones all have one label: the likeliest T weighs the other four against it.
        calibration = found.facts["calibration"]
        top, rest = 0.8 ** (1 / calibration["temperature"]), 5 * 0.04 ** (1 / calibration["temperature"])
        assert found.verdicts[0].confidence == pytest.approx(top / (top + rest))
        assert found.verdicts[0].confidence == pytest.approx(expected, abs=1e-6)
        assert calibration["examples"] == 50
        assert calibration["ece_after"] == pytest.approx(0, abs=1e-6)
        assert calibration["ece_before"] == pytest.approx(abs(0.8 - right / 50), abs=1e-9)
        assert calibration["accuracy_before"] == calibration["accuracy_after"] == right / 50
        assert found.facts["real"] == {"n": 50, "accuracy": right / 50}
        assert [each.label for each in found.verdicts] == ["location", "human"]
        assert len(found.verdicts) == 2  # real examples are asked about, never judged


def test_few_examples_and_hopeless_ones_are_said() -> None:
    few = relabel(
        stage_of(calibration="temperature"),
        items_of(["who"], ["human"]),
        scripted(),
        calibration=[("who", "human"), ("who", "human"), ("where", "human")],
    )
    assert any("fitted on 3 real examples only" in each for each in few.warnings)
    sure = relabel(stage_of(calibration="temperature"), items_of(["who"], ["human"]), scripted(), calibration=[("who", "human")] * 30)
    assert any("labels all 30 real examples right" in each for each in sure.warnings)
    hopeless = relabel(stage_of(calibration="temperature"), items_of(["who"], ["human"]), scripted(), calibration=[("who", "entity")] * 30)
    assert any("say next to nothing of the labels of 30 real examples" in each for each in hopeless.warnings)


def test_chunks_and_order_change_nothing() -> None:
    rng = random.Random(0)
    texts = [rng.choice([*WORDS, "nothing"]) + f" {i}" for i in range(40)]
    items = items_of(texts, [rng.choice(list(TREC.labels)) for _ in texts])

    def encode(texts: Sequence[str]) -> np.ndarray:
        return np.array([np.random.default_rng(sum(map(ord, text))).normal(size=8) for text in texts])

    stage = stage_of(nearest_classes=3, calibration="contextual")
    whole = relabel(stage, items, scripted(), encode=encode)
    assert whole.facts["groups"] > 5
    assert whole.facts["given_not_candidate"] > 5
    for chunk in (1, 7):
        parts = relabel(stage, items, scripted(), encode=encode, chunk=chunk)
        assert (parts.verdicts, parts.facts) == (whole.verdicts, whole.facts)
    order = list(range(40))
    rng.shuffle(order)
    shuffled = relabel(stage, items.take(order), scripted(), encode=encode)
    assert {each.id: each for each in shuffled.verdicts} == {each.id: each for each in whole.verdicts}
    assert [each.id for each in shuffled.verdicts] == [items.ids[place] for place in order]


def test_what_is_missing_is_said() -> None:
    items = items_of(["who"], ["human"])
    words = words_of(TREC)
    with pytest.raises(UsageError, match="nearest_classes: 3 of 6 labels needs an encoder"):
        plan_stage(stage_of(nearest_classes=3), items, TREC.labels, **words)
    with pytest.raises(UsageError, match="temperature needs labelled real examples"):
        plan_stage(stage_of(calibration="temperature"), items, TREC.labels, **words)
    with pytest.raises(UsageError, match="one label: there is nothing to choose"):
        plan_stage(stage_of(), items, {"human": TREC.labels["human"]}, **words)
    with pytest.raises(UsageError, match=r"the label 'humn', which the task does not know; did you mean 'human'\?"):
        plan_stage(stage_of(), items, TREC.labels, calibration=[("who", "humn")], **words)
    with pytest.raises(UsageError, match="1 of 1 asks have no observation, the first is 'r0'"):
        judge(stage_of(), plan_stage(stage_of(), items, TREC.labels, **words), [], items, TREC.labels)


def test_no_text_at_all() -> None:
    found = relabel(stage_of(), items_of([], []), scripted())
    assert (found.verdicts, found.facts["agreement"], found.facts["prefix_hit_rate"]) == ((), None, None)


def test_what_changes_an_answer_of_the_engine() -> None:
    base = asked(stage_of())
    for fields in (
        {"mode": "generate"},
        {"scoring": "branching"},
        {"scoring": "whole", "length_normalised": True},
        {"calibration": "contextual"},
    ):
        assert asked(stage_of(**fields)) != base, fields
    for fields in ({"below_margin": "drop"}, {"chunk": 3}, {"class_block": False}):  # the last changes the asks
        assert asked(stage_of(**fields)) == base, fields
    # A margin needs the second label as well as the best; how large it must be does not matter.
    assert asked(stage_of(margin=0.3)) == asked(stage_of(margin=0.1)) == asked(stage_of(calibration="temperature")) != base


@pytest.mark.parametrize(
    ("fields", "least"),
    [
        ({}, 1.0),
        ({"scoring": "branching"}, 1.0),
        ({"scoring": "whole", "margin": 0.1}, 0.05),
        ({"calibration": "temperature"}, 0.05),
        ({"calibration": "contextual"}, 0.0),
        ({"scoring": "whole", "length_normalised": True}, 0.0),
    ],
)
def test_no_more_is_asked_than_the_verdicts_need(fields: dict[str, Any], least: float) -> None:
    """The best label is exact in any case (tests/inference/test_scoring.py); only what else is looked at needs more."""
    assert least_probability(stage_of(**fields)) == least


@pytest.mark.parametrize(
    ("fields", "scores"),
    [
        ({}, "whole"),
        ({"scoring": "branching"}, "branching"),
        ({"margin": 0.1}, "branching"),
        ({"class_block": "all"}, "branching"),
        ({"calibration": "contextual"}, "branching"),
        ({"calibration": "contextual", "scoring": "whole"}, "whole"),
        ({"length_normalised": True}, "whole"),
    ],
)
def test_whole_strings_are_scored_unless_that_takes_longer_than_writing_them(fields: dict[str, Any], scores: str) -> None:
    stage = stage_of(**fields)
    assert stage.scores == scores
    assert relabel(stage, items_of(["who"], ["human"]), scripted()).facts["scoring"] == scores


# On nano-llama.


@pytest.fixture(scope="session")
def banking(data_folder: Path) -> Callable[[int], tuple[list[str], list[str], list[tuple[str, str]]]]:
    """n real test texts of banking77 with their labels, and two real training examples of each class."""
    folder = data_folder / "banking77"

    def read(split: str) -> list[tuple[str, str]]:
        found = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        pairs = [(row["text"], row["label"]) for row in found]
        random.Random(1).shuffle(pairs)
        return pairs

    counts: dict[str, int] = {}
    examples = []
    for text, label in read("train"):
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= 2:
            examples.append((text, label))
    test = read("test")
    return lambda n: ([text for text, _ in test[:n]], [label for _, label in test[:n]], examples)


@pytest.fixture(scope="session")
def encode() -> Callable[[Sequence[str]], np.ndarray]:
    from variegate.embeddings import Encoder as SentenceEncoder

    encoder = SentenceEncoder()
    known: dict[tuple[str, ...], np.ndarray] = {}

    def once(texts: Sequence[str]) -> np.ndarray:
        key = tuple(texts)
        if key not in known:
            known[key] = np.asarray(encoder.encode(list(texts)).vectors)
        return known[key]

    return once


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["nano_vllm", "nano_transformers"])
def test_real_texts_get_their_real_labels(
    engine: str, banking: Callable[..., Any], encode: Callable[[Sequence[str]], np.ndarray], request: pytest.FixtureRequest
) -> None:
    """60 real texts of banking77 whose given labels are all wrong: far above chance (1/77; 1/5 among the candidates)."""
    backend = request.getfixturevalue(engine)
    task = load_task("banking77")
    texts, true, examples = banking(60)
    names = list(task.labels)
    wrong = [names[(names.index(label) + 11) % 77] for label in true]
    found = relabel(stage_of(nearest_classes=5), items_of(texts, wrong), backend, task=task, encode=encode, examples=examples)
    accuracy = np.mean([verdict.label == label for verdict, label in zip(found.verdicts, true, strict=True)])
    assert accuracy > 0.45
    right = [verdict.confidence or 0 for verdict, label in zip(found.verdicts, true, strict=True) if verdict.label == label]
    missed = [verdict.confidence or 0 for verdict, label in zip(found.verdicts, true, strict=True) if verdict.label != label]
    assert np.mean(right) > np.mean(missed) + 0.1  # the confidence tells them apart
    assert found.facts["groups"] > 20
    assert (found.facts["prefix_hit_rate"] > 0) is (engine == "nano_vllm")


@pytest.mark.slow
def test_the_modes_agree_on_what_the_model_says(
    nano_vllm: Any, banking: Callable[..., Any], encode: Callable[[Sequence[str]], np.ndarray]
) -> None:
    """Six classes of banking77 in one block: a greedy answer is the label of the largest score wherever the model is sure."""
    task = load_task("banking77")
    names = list(task.labels)[:6]
    texts, true, _ = banking(3000)
    kept = [(text, label) for text, label in zip(texts, true, strict=True) if label in names][:90]
    labels = {name: task.labels[name] for name in names}
    task = task.model_copy(update={"labels": labels})
    items = items_of([text for text, _ in kept], [label for _, label in kept])
    scored = relabel(stage_of(), items, nano_vllm, task=task)
    written = relabel(stage_of(mode="generate"), items, nano_vllm, task=task, encode=encode)
    assert written.facts["paths"]["exact"] > 60
    sure = [
        (a, b) for a, b in zip(scored.verdicts, written.verdicts, strict=True) if (a.confidence or 0) > 0.7 and b.details["path"] == "exact"
    ]
    assert len(sure) > 50
    assert np.mean([a.label == b.label for a, b in sure]) > 0.98
    assert scored.facts["agreement"] > 0.7
    assert scored.facts["groups"] == 1
    assert scored.facts["prefix_hit_rate"] > 0.7


def brute_force(model: Any, tokenizer: Any, prompt: str, answers: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities of whole answers, and of answers where each step is renormalised among the answers' own tokens,
    by one forward pass for each answer."""
    import torch

    start = tokenizer.encode(prompt)
    paths = [tokenizer.encode(answer, add_special_tokens=False) for answer in answers]
    paths = [
        [*path, tokenizer.eos_token_id] if any(other != path and other[: len(path)] == path for other in paths) else path for path in paths
    ]
    whole, among = [], []
    for path in paths:
        with torch.inference_mode():
            logits = torch.log_softmax(model(torch.tensor([[*start, *path]])).logits[0].double(), dim=-1)
        steps = [logits[len(start) - 1 + depth] for depth in range(len(path))]
        whole.append(sum(float(step[token]) for step, token in zip(steps, path, strict=True)))
        total = 0.0
        for depth, token in enumerate(path):
            siblings = sorted({other[depth] for other in paths if other[:depth] == path[:depth] and len(other) > depth})
            total += float(steps[depth][token] - torch.logsumexp(steps[depth][siblings], 0))
        among.append(total)
    return np.array(whole), np.array(among)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["nano_vllm", "nano_transformers"])
def test_rows_are_brute_force_log_probabilities(engine: str, nano_transformers: Any, request: pytest.FixtureRequest) -> None:
    backend = request.getfixturevalue(engine)
    task = load_task("banking77")
    names = ("card_arrival", "card_linking", "card_swallowed", "exchange_charge", "exchange_rate", "pin_blocked", "pending_card_payment")
    labels = {name: task.labels[name] for name in names}
    items = items_of(["where is my card", "what do you charge to change euros"], ["exchange_rate"] * 2)
    exact: dict[str, Any] = {"calibration": "contextual"}  # which leaves nothing out
    stages = [
        stage_of(**exact),
        stage_of(scoring="whole", **exact),
        stage_of(scoring="whole", length_normalised=True),
        stage_of(scoring="whole", margin=0.1),
        stage_of(scoring="whole"),
    ]
    plan = plan_stage(stages[2], items, labels, **words_of(task))
    tokenizer = backend.prompts.tokenizer
    for ask, *rows in zip(plan.asks, *(observe(plan.asks, backend, stage) for stage in stages), strict=True):
        branching, whole, normalised, pruned, best = (np.array(row["logprobs"]) for row in rows)
        every, among = brute_force(nano_transformers._network.model, tokenizer, ask.messages[0].content, ask.answers)
        lengths = [len(tokenizer.encode(answer, add_special_tokens=False)) for answer in ask.answers]
        np.testing.assert_allclose(branching, among, atol=2e-3)
        np.testing.assert_allclose(whole, every, atol=2e-3)
        np.testing.assert_allclose(normalised, every / lengths, atol=2e-3)
        assert math.fsum(np.exp(branching)) == pytest.approx(1)
        probable = np.exp(every) / np.exp(every).sum() > 0.06
        np.testing.assert_allclose(pruned[probable], every[probable], atol=2e-3)
        assert pruned.argmax() == best.argmax() == every.argmax()
        assert best.max() == pytest.approx(every.max(), abs=2e-3)


@pytest.mark.slow
def test_a_call_depends_on_its_own_asks_alone(nano_vllm: Any) -> None:
    """Bit by bit, whatever the engine was asked before: a resumed stage repeats an uninterrupted one."""
    stage = stage_of()
    plan = plan_stage(stage, items_of([f"who has {i} cards" for i in range(12)], ["human"] * 12), TREC.labels, **words_of(TREC))
    first = observe(plan.asks[4:9], nano_vllm, stage)
    observe(plan.asks, nano_vllm, stage)
    assert observe(plan.asks[4:9], nano_vllm, stage) == first


def test_a_plan_is_equal_for_equal_inputs() -> None:
    def plan() -> Plan:
        return plan_stage(stage_of(), items_of(["who", "where"], ["human"] * 2), TREC.labels, **words_of(TREC))

    assert plan() == plan()
    assert replace(plan(), true={"x": "y"}) != plan()
