"""What a stream asks and how it judges, without an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import FakeEngine
from variegate.inference.suppression.table import SuppressionTable
from variegate.pipeline.driver.stream import Stream, facts_of, fed_back
from variegate.pipeline.seeds import draw_seeds
from variegate.records import Completion, Fault, Piece
from variegate.seeding import derive_seed

Run = Callable[..., Any]


def table() -> SuppressionTable:
    return SuppressionTable(4096, top_k=3, floor=-7.5, scale=-7.5, exempt=frozenset())


@pytest.fixture
def stream(config_of: Run, tmp_path: Path) -> Run:
    def make(engine: str = "e", per_label: int = 4, suppress: SuppressionTable | None = None, **parts: Any) -> Stream:
        config = config_of(tmp_path, per_label, **parts)
        return Stream(config, engine, suppress, draw_seeds(config.task, config.strategy.num_seeds(len(config.task.labels)), config.seed))

    return make


def answered(stream: Stream, **script: Any) -> list[Any]:
    """One round on a fake engine; its rows."""
    requests, engine = stream.ask(), FakeEngine(**{"clean": True, **script})
    engine.set_rows(stream.rows())
    return stream.settle(requests, engine.generate(requests))


def keys(stream: Stream) -> list[str]:
    return [request.key for request in stream.ask()]


def test_a_key_tells_every_request_apart_and_seeds_it(stream: Run) -> None:
    requests = stream().ask()
    assert len({request.key for request in requests}) == len(requests) == 12
    assert [request.seed for request in requests] == [derive_seed(request.key) for request in requests]
    assert [request.slot for request in requests if request.target.name == "bread"] == [0, 1, 2, 3]
    assert keys(stream()) == [request.key for request in requests]


def test_a_key_depends_on_what_answers_and_on_the_runs_seed(stream: Run) -> None:
    base = keys(stream())
    assert not set(base) & set(keys(stream("f")))
    assert not set(base) & set(keys(stream(seed=1)))


def test_equal_prompts_stand_next_to_each_other(stream: Run) -> None:
    prompts = [request.prompt for request in stream().ask()]
    assert sum(a != b for a, b in pairwise(prompts)) == len(set(prompts)) - 1


def test_options_reach_the_sampling(stream: Run) -> None:
    decoding = {
        "temperature": 0.6,
        "top_p": 0.9,
        "top_k": 7,
        "min_p": 0.1,
        "frequency_penalty": 0.02,
        "presence_penalty": 0.3,
        "max_tokens": 9,
    }
    sampling = stream(decoding=decoding).ask()[0].sampling
    assert {name: getattr(sampling, name) for name in decoding} == decoding
    assert (sampling.stop, sampling.suppression_scale) == (('"',), 1.0)
    assert stream(decoding={"stop": []}).ask()[0].sampling.stop == ()


@pytest.mark.parametrize(
    ("temperature", "order", "scale"), [(0.5, "before_temperature", 1.0), (0.5, "after_temperature", 0.5), (0.0, "after_temperature", 1.0)]
)
def test_a_bias_after_the_temperature_is_scaled_by_it(stream: Run, temperature: float, order: str, scale: float) -> None:
    """(l + s b) / T = l / T + b where s = T."""
    made = stream(suppress=table(), decoding={"temperature": temperature, "suppression": {"order": order}})
    assert made.ask()[0].sampling.suppression_scale == scale


def test_groups(stream: Run) -> None:
    for group, expected in (("label", {"apple", "bread", "cheese"}), ("run", {"run"})):
        made = stream(suppress=table(), decoding={"suppression": {"group": group}})
        assert {request.group for request in made.ask()} == expected
    assert {request.group for request in stream().ask()} == {None}


def test_a_request_is_made_under_the_row_that_stood_where_its_block_began(stream: Run) -> None:
    by_label = {"decoding": {"suppression": {"group": "label"}}, "rounds": {"first": 2}}
    plain, made = stream(per_label=8), stream(per_label=8, suppress=table(), **by_label)
    first = made.ask()
    assert {request.bias for request in first} == {""}
    assert {request.key for request in first} <= set(keys(plain))  # nothing acts yet: a run without suppression asks the same
    rows = made.settle(first, FakeEngine(clean=True).generate(first))
    second = made.ask()
    expected = table()
    for row in rows:
        expected.add(row.request.target.name, row.completion.token_ids)
    assert {request.target.name: request.bias for request in second} == {name: expected.row(name).digest for name in expected.groups()}
    assert set(made.rows()) == {request.bias for request in second}
    made.table.add("apple", [1] * 999)  # the block has begun: what comes later acts on the next one
    assert [request.key for request in made.ask()] == [request.key for request in second]


def test_refills_of_a_block_keep_its_row(stream: Run) -> None:
    made = stream(per_label=3, suppress=table(), decoding={"suppression": {"group": "label"}}, rounds={"first": 2})
    answered(made)
    second = made.ask()
    completions = FakeEngine(clean=True)
    completions.set_rows(made.rows())
    out = completions.generate(second)
    made.settle(second, [replace(each, text="...") for each in out])  # empty: asked for again
    third = made.ask()
    assert [(request.target.name, request.slot, request.block) for request in third] == [
        (name, 3, 1) for name in ("apple", "bread", "cheese")
    ]
    assert {request.bias for request in third} == {request.bias for request in second}


def test_copies_of_pool_examples_are_dropped(stream: Run, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(
        "".join(json.dumps({"text": f"Dish {n}", "label": label}) + "\n" for n, label in enumerate(["apple", "bread", "cheese"]))
    )
    made = stream(strategy={"kind": "few_shot", "seed_pool": 3}, task={"data": {"train": str(path)}})
    requests = made.ask()
    assert all("seed:" in parent for request in requests for parent in request.parents)
    completions = FakeEngine(clean=True).generate(requests)
    completions[0] = replace(completions[0], text="dish  1")
    rows = made.settle(requests, completions)
    assert [item.outcome for row in rows for item in row.items] == ["copy_of_example"] + ["kept"] * 11


class ThreeLines:
    """Reads each line of an answer as a piece; a line `-` is refused."""

    @staticmethod
    def read(request: Any, completion: Completion) -> list[Piece]:
        return [Piece(line, "not_in_list" if line == "-" else "") for line in completion.text.splitlines()]


def test_one_answer_gives_any_number_of_items(stream: Run) -> None:
    made = stream(per_label=2)
    made.talk.read = ThreeLines.read
    requests = [request for request in made.ask() if request.target.name == "apple"]
    texts = ["red one\n-\nred one\ngreen one\nyellow one", ""]
    rows = made.settle(requests, [Completion(request.key, text, (1,), "stop", 3) for request, text in zip(requests, texts, strict=True)])
    key = requests[0].key
    found = [(item.id, item.outcome, dict(item.fields)) for row in rows for item in row.items]
    assert found == [
        (key, "kept", {"text": "red one", "label": "apple"}),
        (f"{key}.1", "not_in_list", {"text": "-"}),
        (f"{key}.2", "duplicate", {"text": "red one"}),
        (f"{key}.3", "kept", {"text": "green one", "label": "apple"}),
        (f"{key}.4", "surplus", {"text": "yellow one"}),
    ]
    ledger = made.ledger.to_json()
    assert (ledger["requested"], ledger["answered"], ledger["items"], ledger["kept"]) == (2, 2, 5, 2)
    assert ledger["dropped"] == {"duplicate": 1, "not_in_list": 1, "surplus": 1}
    assert made.shortfall() == {"bread": 2, "cheese": 2}


def test_what_was_too_much_is_not_known_as_a_duplicate(stream: Run) -> None:
    """A surplus text is good: once more is wanted it is kept."""
    made = stream(per_label=1)
    made.talk.read = ThreeLines.read
    (request, *_) = made.ask()
    made.settle([request], [Completion(request.key, "a text\nanother", (1,), "stop", 3)])
    made.talk.wanted["apple"] = 2
    (request, *_) = made.ask()
    (row,) = made.settle([request], [Completion(request.key, "another", (1,), "stop", 3)])
    assert [item.outcome for item in row.items] == ["kept"]


def test_a_note_is_no_record_and_spoils_no_rate(stream: Run) -> None:
    made = stream()
    asked = made.talk.next(made.ledger)
    made.talk.next = lambda ledger: [replace(asked[0], note=True), *asked]
    requests = made.ask()
    rows = made.settle(requests, FakeEngine(clean=True).generate(requests))
    assert [item.outcome for item in rows[0].items] == ["note"]
    assert (made.ledger.requested("apple"), made.ledger.kept("apple")) == (4, 4)
    ledger = made.ledger.to_json()
    assert (ledger["requested"], ledger["kept"], ledger["notes"], ledger["dropped"]) == (13, 12, 1, {})


def test_a_fault_gives_no_item_and_is_counted_by_its_kind(stream: Run) -> None:
    made = stream(per_label=1)
    requests = made.ask()
    rows = made.settle(requests, [Completion(each.key, "", (), "error", 3, error=Fault("engine_error", "gone")) for each in requests])
    assert [row.items for row in rows] == [()] * 3
    ledger = made.ledger.to_json()
    assert (ledger["requested"], ledger["answered"], ledger["items"], ledger["dropped"]) == (3, 0, 0, {"engine_error": 3})


def test_facts_of_a_round(stream: Run) -> None:
    made = stream(per_label=8, suppress=table(), decoding={"suppression": {"group": "label"}}, rounds={"first": 2})
    rows = answered(made, clean=False)
    facts = facts_of(rows)
    assert facts["requested"] == 6 == facts["kept"] + sum(facts["dropped"].values())
    assert facts["num_tokens"] == sum(len(row.completion.token_ids) for row in rows)
    assert (facts["round"], facts["under_feedback"]) == (0, 0)
    later = facts_of(answered(made, clean=False))
    assert later["under_feedback"] == later["kept"] > 0


def test_what_is_made_under_feedback(stream: Run) -> None:
    request = stream().ask()[0]
    assert not fed_back(request)
    assert not fed_back(replace(request, parents=("seed:0",)))
    assert fed_back(replace(request, parents=("seed:0", "abc")))
    assert fed_back(replace(request, bias="ab"))
