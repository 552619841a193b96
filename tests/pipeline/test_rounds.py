from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from variegate.inference.identity import Fingerprint
from variegate.inference.suppression.table import SuppressionTable
from variegate.pipeline.rounds import RunState
from variegate.seeding import derive_seed

Run = Callable[..., Any]


@pytest.fixture
def state(config_of: Run, tmp_path: Path) -> Run:
    return lambda model="m", tokenizer="t", **parts: RunState(config_of(tmp_path, 4, **parts), Fingerprint(model, tokenizer), None)


def keys(state: RunState) -> list[str]:
    return [request.key for request in state.next_requests()]


def test_a_key_tells_every_request_apart_and_seeds_it(state: Run) -> None:
    requests = state().next_requests()
    assert len({request.key for request in requests}) == len(requests) == 12
    assert [request.seed for request in requests] == [derive_seed(request.key) for request in requests]
    assert [request.slot for request in requests if request.label == "bread"] == [0, 1, 2, 3]
    assert keys(state()) == [request.key for request in requests]


def test_a_key_depends_on_the_models_and_tokenizers_content_not_on_their_names(state: Run) -> None:
    base = keys(state())
    assert not set(base) & set(keys(state(model="n")))
    assert not set(base) & set(keys(state(tokenizer="n")))


def test_equal_prompts_stand_next_to_each_other(state: Run) -> None:
    prompts = [request.prompt for request in state(strategy={"form": "chung"}).next_requests()]
    assert sum(a != b for a, b in pairwise(prompts)) == len(set(prompts)) - 1


def test_options_reach_the_sampling(state: Run) -> None:
    decoding = {
        "temperature": 0.6,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "frequency_penalty": 0.02,
        "presence_penalty": 0.3,
        "max_tokens": 9,
    }
    sampling = state(decoding=decoding).next_requests()[0].sampling
    assert {name: getattr(sampling, name) for name in decoding} == decoding
    assert (sampling.stop, sampling.suppression_scale) == (('"',), 1.0)
    assert state(decoding={"stop": []}).next_requests()[0].sampling.stop == ()


@pytest.mark.parametrize(
    ("temperature", "order", "scale"), [(0.5, "before_temperature", 1.0), (0.5, "after_temperature", 0.5), (0.0, "after_temperature", 1.0)]
)
def test_a_bias_after_the_temperature_is_scaled_by_it(state: Run, temperature: float, order: str, scale: float) -> None:
    """(l + s b) / T = l / T + b where s = T."""
    made = state(decoding={"temperature": temperature, "suppression": {"order": order}})
    assert made.next_requests()[0].sampling.suppression_scale == scale


def test_groups(state: Run) -> None:
    for group, expected in (("label", {"apple", "bread", "cheese"}), ("run", {"run"})):
        assert {request.group for request in state(decoding={"suppression": {"group": group}}).next_requests()} == expected
    assert {request.group for request in state().next_requests()} == {None}


def test_a_request_is_made_under_its_groups_row_and_its_key_says_so(config_of: Run, tmp_path: Path) -> None:
    table = SuppressionTable(4096, top_k=3, floor=-7.5, scale=-7.5, exempt=frozenset())
    made = RunState(config_of(tmp_path, 12, decoding={"suppression": {"group": "label"}}), Fingerprint("m", "t"), table)
    plain = RunState(config_of(tmp_path, 12), Fingerprint("m", "t"), None)
    first = made.next_requests()
    assert {request.bias for request in first} == {""}
    assert [request.key for request in first] == keys(plain)
    made.finish_round(first, FakeEngine(clean=True).generate(first))
    second = made.next_requests()
    assert {request.bias for request in second} == {table.row(request.group or "").digest for request in second} == set(table.rows())
    before = [request.key for request in second]
    table.add("apple", [1] * 999)
    for key, request in zip(before, made.next_requests(), strict=True):
        assert (key == request.key) == (request.label != "apple")


def test_copies_of_pool_examples_are_dropped(state: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"Dish {n}", "label": label}) + "\n" for n, label in enumerate(["apple", "bread", "cheese"]))
    )
    strategy = {"kind": "few_shot", "form": "chung", "history": 0, "seed_pool": 3}
    made = state(strategy=strategy, task={"data": {"train": str(path)}})
    requests = made.next_requests()
    assert all("seed:" in parent for request in requests for parent in request.parents)
    completions = FakeEngine(clean=True).generate(requests)
    completions[0] = replace(completions[0], text="dish  1")
    rows = made.finish_round(requests, completions)
    assert [row.outcome for row in rows] == ["copy_of_example"] + ["kept"] * 11


def test_facts_of_a_round(state: Run) -> None:
    made = state()
    requests = made.next_requests()
    rows = made.finish_round(requests, FakeEngine().generate(requests))
    facts = made.facts(rows, seconds=1.5)
    assert facts["requested"] == 12 == facts["kept"] + sum(facts["dropped"].values())
    assert facts["num_tokens"] == sum(len(row.completion.token_ids) for row in rows)
    words = sum(len(request.prompt.split()) for request in requests)
    assert (facts["round"], facts["num_prompt_tokens"], facts["seconds"]) == (0, words, 1.5)
    assert sum(made.shortfall().values()) == 12 - facts["kept"]
