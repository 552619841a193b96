"""Files of labels for a run's records: what matches, what is counted, what is refused and by which line."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.rows import make_record
from variegate.errors import UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.pipeline.curation.label_files import FileLabels, Given, read_label_file

TASK = ClassificationTask.model_validate(
    {
        "kind": "classification",
        "name": "feelings",
        "text_type": "tweet",
        "context": "You write tweets.",
        "labels": {label: {"phrase": label, "description": f"Feels {label}."} for label in ("joy", "anger", "out there")},
        "data": {"out_of_scope_label": "none"},
    }
)
RECORDS = [
    make_record("a1", "So happy", "joy"),
    make_record("b2", "So cross", "anger"),
    make_record("c3", "so  HAPPY", "joy"),
    make_record("d4", "Hm", "joy"),
]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".json":
        path.write_text(json.dumps(list(rows)))
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path) -> FileLabels:
    return read_label_file(path, TASK, RECORDS)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv", ".json"])
def test_ids_and_texts_name_records_in_every_format(tmp_path: Path, suffix: str) -> None:
    rows = [
        {"id": "b2", "text": "", "label": "joy"},
        {"id": "", "text": "hm ", "label": "anger"},
        {"id": "zz", "text": "unknown", "label": "joy"},
    ]
    found = read(write(tmp_path / f"labels{suffix}", rows))
    assert found.by_id == {"b2": Given("joy", True), "d4": Given("anger", True)}
    assert found.facts == {"rows": 3, "rows_of_no_record": 1, "records": 2}


def test_a_text_names_every_record_that_is_equal_after_folding(tmp_path: Path) -> None:
    found = read(write(tmp_path / "labels.jsonl", [{"text": "SO happy", "label": "anger"}]))
    assert found.by_id == {"a1": Given("anger", True), "c3": Given("anger", True)}


def test_an_id_of_another_run_leaves_it_to_the_text(tmp_path: Path) -> None:
    assert read(write(tmp_path / "labels.jsonl", [{"id": "ffff", "text": "Hm", "label": "joy"}])).by_id == {"d4": Given("joy", True)}


@pytest.mark.parametrize(
    ("row", "given"),
    [
        ({"label": "none"}, Given(None, False)),
        ({"label": "oos"}, Given(None, False)),
        ({"label": "out"}, Given(None, False)),
        ({"label": "out there"}, Given("out there", True)),
        ({"scope": "OUT"}, Given(None, False)),
        ({"scope": "in"}, Given(None, True)),
        ({"scope": "in", "label": "joy"}, Given("joy", True)),
        ({"scope": "out", "label": "none"}, Given(None, False)),
        ({"scope": "out", "label": None}, Given(None, False)),
        ({"label": " joy ", "scope": None}, Given("joy", True)),
    ],
)
def test_labels_and_scopes(tmp_path: Path, row: dict[str, Any], given: Given) -> None:
    assert read(write(tmp_path / "labels.jsonl", [{"id": "a1", **row}])).by_id == {"a1": given}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"id": "a1", "label": "joyy"}], r"labels\.jsonl:1: label 'joyy' is not one of task 'feelings'; did you mean 'joy'\? Its labels: anger, joy, out there; out of scope is 'none' or 'oos' or 'out'"),
        ([{"id": "a1", "label": "joy"}, {"text": "so happy", "label": "anger"}], r"labels\.jsonl:2: says 'anger' of a text of which .*labels\.jsonl:1 says 'joy': correct one"),
        ([{"id": "a1", "label": "joy"}, {"id": "a1", "scope": "out"}], r"labels\.jsonl:2: says out of scope of a text of which .*:1 says 'joy'"),
        ([{"id": "x", "label": "joy"}, {"text": "never", "label": "joy"}], r"none of its 2 rows matches one of the run's 4 records, by `id` or by `text`: is it of another run\?"),
        ([{"label": "joy"}], "labels.jsonl:1: has neither `id` nor `text`, so it names no record. Fields here: label"),
        ([{"id": "a1"}], "labels.jsonl:1: has neither `label` nor `scope`: fill one in, or delete the row. Fields here: id"),
        ([{"id": "a1", "label": ["joy"]}], r"field 'label': expected a label's name, got \['joy'\]"),
        ([{"id": "a1", "label": True}], "field 'label': expected a label's name, got True"),
        ([{"id": "a1", "scope": "inside"}], "field 'scope': expected in or out, got 'inside'"),
        ([{"id": "a1", "scope": "out", "label": "joy"}], "label 'joy' with scope 'out': out of scope means no label"),
        ([{"id": "a1", "scope": "in", "label": "oos"}], "label 'oos' with scope 'in'"),
        ([{"text": 3, "label": "joy"}], "field 'text': expected text, got 3"),
    ],
)  # fmt: skip
def test_what_is_refused(tmp_path: Path, rows: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(write(tmp_path / "labels.jsonl", rows))


def test_the_same_said_twice_is_no_contradiction(tmp_path: Path) -> None:
    rows = [{"id": "a1", "label": "joy"}, {"id": "c3", "label": "joy"}, {"text": "So happy", "label": "joy"}]
    assert len(read(write(tmp_path / "labels.jsonl", rows)).by_id) == 2


@pytest.mark.parametrize(("name", "content", "words"), [
    ("labels.jsonl", "{\n", r"labels\.jsonl:1: not valid JSON"),
    ("labels.jsonl", "", "holds no row"),
    ("labels.txt", "joy\n", "expected one of .jsonl"),
    ("labels.csv", 'id,label\n"a1,joy\n', "not valid CSV"),
])  # fmt: skip
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=words):
        read(tmp_path / name)
