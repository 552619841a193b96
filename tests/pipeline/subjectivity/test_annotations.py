"""The three forms of a file of labels, one error each, and that they say the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import UsageError
from variegate.pipeline.subjectivity.annotations import Annotated, Asks, read_annotations

ITEMS: list[dict[str, Any]] = [
    {"text": "a fine day", "labels": ["joy", "joy", "awe"], "label": "joy"},
    {"text": "who knows", "labels": ["awe", "fear"], "label": ""},
    {"text": "help", "labels": ["fear", "fear", "fear"], "label": "fear"},
]
VOTES = (("joy", "joy", "awe"), ("awe", "fear"), ("fear", "fear", "fear"))


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def long_rows() -> list[dict[str, Any]]:
    """By annotator, not by item: rows of one item do not stand together."""
    rows = [(each["text"], each["labels"][k], f"w{k}") for k in range(3) for each in ITEMS if k < len(each["labels"])]
    return [{"text": text, "label": label, "annotator": who} for text, label, who in rows]


def read(path: Path, **asks: Any) -> Annotated:
    return read_annotations(path, Asks(**asks))


def fails(path: Path, **asks: Any) -> str:
    with pytest.raises(UsageError) as error:
        read(path, **asks)
    return str(error.value)


def test_a_list_of_labels(tmp_path: Path) -> None:
    found = read(jsonl(tmp_path / "a.jsonl", ITEMS))
    assert (found.form, found.votes, found.true, found.true_field) == ("list", VOTES, ("joy", "", "fear"), "label")
    assert (found.texts, found.ids, found.num_annotators) == (("a fine day", "who knows", "help"), ("", "", ""), None)


def test_a_row_for_each_label(tmp_path: Path) -> None:
    found = read(table(tmp_path / "a.csv", long_rows()))
    assert (found.form, found.votes, found.num_annotators) == ("long", VOTES, 3)
    assert (found.true, found.true_field) == (None, None)


def test_a_column_for_each_annotator(tmp_path: Path) -> None:
    rows = [{"text": each["text"], "gold": each["label"], **{f"w{k}": (*each["labels"], "")[k] for k in range(3)}} for each in ITEMS]
    found = read(table(tmp_path / "a.csv", rows), columns=("w0", "w1", "w2"), true="gold")
    assert (found.form, found.votes, found.num_annotators, found.true) == ("columns", VOTES, 3, ("joy", "", "fear"))


def test_other_names_of_fields(tmp_path: Path) -> None:
    renamed = [{"tweet": row["text"], "emotion": row["label"], "who": row["annotator"], "key": row["text"][:3]} for row in long_rows()]
    found = read(jsonl(tmp_path / "a.jsonl", renamed), text="tweet", label="emotion", annotator="who", id="key")
    assert (found.votes, found.ids) == (VOTES, ("a f", "who", "hel"))
    listed = [{"sentence": each["text"], "votes": each["labels"]} for each in ITEMS]
    assert read(jsonl(tmp_path / "b.jsonl", listed), labels="votes").votes == VOTES


def test_items_are_told_apart_by_id_and_may_have_no_text(tmp_path: Path) -> None:
    rows = [{"id": 7, "label": "a", "annotator": "x"}, {"id": 8, "label": "a", "annotator": "x"}, {"id": 7, "label": 0, "annotator": "y"}]
    found = read(jsonl(tmp_path / "a.jsonl", rows))
    assert (found.ids, found.votes, found.texts) == (("7", "8"), (("a", "0"), ("a",)), None)


def test_ids_of_rows_can_be_set_aside(tmp_path: Path) -> None:
    rows = [{**row, "id": f"row {place}"} for place, row in enumerate(long_rows())]
    assert set(map(len, read(jsonl(tmp_path / "a.jsonl", rows)).votes)) == {1}
    assert read(tmp_path / "a.jsonl", id="").votes == VOTES


def test_equal_texts_without_ids_are_items_of_their_own_where_rows_are_items(tmp_path: Path) -> None:
    assert len(read(jsonl(tmp_path / "a.jsonl", [ITEMS[0], ITEMS[0]]))) == 2


def test_pairs_and_lists_of_words(tmp_path: Path) -> None:
    pairs = [{"premise": "it\nrains", "hypothesis": "it is wet", "labels": ["yes", "yes"]}]
    assert read(jsonl(tmp_path / "a.jsonl", pairs)).texts == (("it\nrains", "it is wet"),)
    assert read(jsonl(tmp_path / "b.jsonl", [{"tokens": ["so", "it", "is"], "labels": ["a", "b"]}])).texts == ("so it is",)


def test_unlabelled_items_are_left_out_and_counted(tmp_path: Path) -> None:
    found = read(
        jsonl(
            tmp_path / "a.jsonl",
            [*ITEMS, {"text": "no", "labels": [], "label": "joy"}, {"text": "not", "labels": [None, ""], "label": "joy"}],
        )
    )
    assert (found.votes, found.unlabelled) == (VOTES, 2)


def test_an_annotator_counts_once(tmp_path: Path) -> None:
    found = read(jsonl(tmp_path / "a.jsonl", [*long_rows(), long_rows()[0]]))
    assert found.votes == VOTES
    assert found.warnings == ("1 rows repeat what the same annotator said of the same text: counted once",)
    changed = {**long_rows()[0], "label": "awe"}
    said = fails(jsonl(tmp_path / "b.jsonl", [*long_rows(), changed]))
    assert "b.jsonl:9: 'w0' says 'awe' of a text of which they say 'joy' at" in said
    assert "b.jsonl:1: keep one" in said


def test_without_annotators_every_row_counts(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": "x"}, {"text": "a", "label": "x"}, {"text": "a", "label": "y"}]
    found = read(jsonl(tmp_path / "a.jsonl", rows))
    assert (found.votes, found.num_annotators) == ((("x", "x", "y"),), None)


def test_take(tmp_path: Path) -> None:
    found = read(jsonl(tmp_path / "a.jsonl", ITEMS)).take([2, 0])
    assert (found.votes, found.texts, found.true) == ((VOTES[2], VOTES[0]), ("help", "a fine day"), ("fear", "joy"))


@pytest.mark.parametrize(
    ("rows", "asks", "said"),
    [
        ([{"text": "a", "lables": ["x"]}], {}, "holds neither a list of labels in a field 'labels', nor a field 'label'"),
        ([{"text": "a", "labels": "x, y"}], {"labels": "labels"}, "expected a list of labels, got 'x, y': in CSV, give each annotator a column"),
        ([{"text": "a", "labels": ["x", 1.5]}], {}, "a.jsonl:1: field 'labels': expected a name as text or whole number, got 1.5"),
        ([{"text": "a", "ann1": "x"}], {"columns": ("ann1", "ann3")}, "no field 'ann3'; did you mean 'ann1'? Fields here: text, ann1."),
        ([{"text": "a", "labels": ["x"]}], {"labels": "label"}, "no field 'label'; did you mean 'labels'?"),
        ([{"text": "a", "label": "x"}], {"annotator": "who"}, "Name the right one with --annotator-field"),
        ([{"text": "a", "labels": ["x"]}], {"true": "gold"}, "Name the right one with --true-field"),
        ([{"text": "a", "label": "x"}], {"true": "label"}, "--true-field label: is also one annotator's label"),
        ([{"text": "a", "label": "x"}], {"id": "key"}, "Name the right one with --id-field"),
        ([{"text": "a", "label": "x"}], {"columns": ("w1",), "label": "label"}, "--columns: the annotators are columns"),
        ([{"text": "a", "label": "x"}], {"labels": "l", "label": "label"}, "--labels-field: a row holds all labels"),
        ([{"text": "a", "label": "", "annotator": "x"}], {}, "a.jsonl:1: field 'label' is empty"),
        ([{"text": "a", "label": "x", "annotator": ""}], {}, "a.jsonl:1: field 'annotator' is empty: say who"),
        ([{"text": " ", "label": "x"}], {}, "a.jsonl:1: field 'text': expected text"),
        ([{"text": 3, "label": "x"}], {}, "expected text, got 3"),
        ([{"text": "a\ud800", "label": "x"}], {}, "a.jsonl:1: field 'text': 'a\\ud800' holds half of a character pair"),
        ([{"text": "a", "label": "\ud800"}], {}, "a.jsonl:1: field 'label': '\\ud800' holds half"),
        ([{"label": "x"}], {}, "no field 'text'"),
        ([{"text": "a", "labels": []}], {}, "none of its 1 items has a label"),
        ([{"id": "1", "text": "a", "labels": ["x"]}, {"id": "1", "text": "b", "labels": ["x"]}], {}, "a.jsonl:2: id '1' stands also at"),
        ([{"id": "1", "text": "a", "label": "x"}, {"id": "1", "text": "b", "label": "x"}], {}, "a.jsonl:2: id '1' has another text than at"),
        (
            [{"id": "1", "label": "x", "gold": "x"}, {"id": "1", "label": "x", "gold": "y"}], {"true": "gold"},
            "the true label is 'y', and that of the same text at",
        ),
        ([{"id": "1", "labels": ["x"]}, {"id": "2", "text": "b", "labels": ["x"]}], {}, "has no text, and other rows have one"),
    ],
)  # fmt: skip
def test_errors_say_what_and_where(tmp_path: Path, rows: list[dict[str, Any]], asks: dict[str, Any], said: str) -> None:
    assert said in fails(jsonl(tmp_path / "a.jsonl", rows), **asks)
