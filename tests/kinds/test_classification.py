from __future__ import annotations

from variegate.config import load_task
from variegate.kinds import kind_of
from variegate.records import Target


def test_one_text_one_label() -> None:
    kind = kind_of(load_task("trec6"))
    fields = kind.fields(["Who wrote it?"], "human")
    assert fields == {"text": "Who wrote it?", "label": "human"}
    assert list(kind.columns) == list(fields)
    assert kind.target(fields) == Target(("human",))
    assert kind.givens([fields]) == [{}]
    assert kind.assemble(kind.target(fields), "Who wrote it?") == fields
    assert (kind.equal(fields), kind.embed(fields), kind.texts(fields), kind.show(fields), kind.gold(fields)) == (
        "Who wrote it?", "Who wrote it?", ("Who wrote it?",), "Who wrote it?", "human",
    )  # fmt: skip


def test_the_kind_is_found_from_a_configuration_and_from_a_run_file() -> None:
    task = load_task("trec6")
    assert kind_of(task).text_fields == kind_of(task.model_dump(mode="json")).text_fields == ("text",)
    assert kind_of({"kind": "classification", "data": {"text_field": "utterance"}}).text_fields == ("utterance",)
    assert kind_of({"kind": "classification", "data": None}).text_fields == ("text",)
