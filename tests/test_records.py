from __future__ import annotations

import dataclasses

import orjson
import pytest

from variegate.records import Fault, Item, Message, Piece, Record, Request, Sampling, Target


def test_a_record_survives_json() -> None:
    fields = {"text": "Where is my “card”?\u2028", "label": "card_arrival"}
    record = Record("k", fields, {"round": 0, "parents": ["a"], "logprob": None, "facts": {"alpha": 0.7}})
    assert (record.fields["text"], record.label) == ("Where is my “card”?\u2028", "card_arrival")
    assert record.to_json() == {"id": "k", **fields, "origin": record.origin}
    assert Record.from_json(orjson.loads(orjson.dumps(record.to_json()))) == record
    assert Record.from_json({"id": "k", "text": "t", "label": "l"}) == Record("k", {"text": "t", "label": "l"}, {})


def test_a_records_fields_are_those_of_its_kind() -> None:
    pair = Record("k", {"premise": "It rains.", "hypothesis": "It is wet.", "label": "entailment"})
    assert Record.from_json(orjson.loads(orjson.dumps(pair.to_json()))) == pair
    assert pair.label == "entailment"


def test_all_are_frozen() -> None:
    request = Request((Message("user", "a"),), Sampling(), Target(("l",)))
    for value, name in (
        (request, "key"),
        (request.sampling, "temperature"),
        (request.messages[0], "role"),
        (request.target, "labels"),
        (Record("k", {"text": "t", "label": "l"}), "fields"),
        (Fault("engine_error", "it stopped"), "kind"),
        (Item("k", request.target, {}, "kept", {}), "outcome"),
        (Piece("a"), "text"),
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(value, name, "other")


def test_sampling_is_hashable_so_that_batches_can_be_grouped_by_it() -> None:
    assert {Sampling(stop=("a",)): 1}[Sampling(stop=("a",))] == 1


def test_a_plain_prompt_is_its_messages_one_after_the_other() -> None:
    assert Request((Message("system", "a\n"), Message("user", "b")), Sampling()).prompt == "a\nb"


def test_a_target_is_counted_by_its_labels_and_never_by_what_is_given() -> None:
    """Else every premise would be a class of its own."""
    assert Target(("joy",)).name == Target(("joy",), {"premise": "It rains."}).name == "joy"
    assert Target(("city", "date")).name == "city+date"
    assert Target().name == "all"
    target = Target(("a", "b"), {"premise": "It rains."})
    assert Target.from_json(orjson.loads(orjson.dumps(target.to_json()))) == target
