"""Sets of texts and vectors out of every source, against hand-written files and against what pyarrow, datasets and numpy wrote."""

from __future__ import annotations

import gzip
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Sequence, Value, load_from_disk

from variegate.errors import StoreError, UsageError, VariegateError
from variegate.kinds.text import Text
from variegate.store.export import export
from variegate.store.rows import Row
from variegate.store.run_folder import RunFolder
from variegate.store.texts import TextSet, read_texts

ROWS = [{"text": "naïve, “text”", "label": "a"}, {"text": "b\u2028c", "label": "b"}, {"text": "b\u2028c", "label": "a"}]
TEXTS = ("naïve, “text”", "b\u2028c", "b\u2028c")
LABELS = ("a", "b", "a")
CSV = 'label,text\na,"naïve, “text”"\nb,b\u2028c\na,b\u2028c\n'


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(path: Path, **columns: Any) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


@pytest.fixture
def give_stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[str | bytes], None]:
    def give(content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


# -- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "first_id"),
    [
        ("a.jsonl", jsonl(*ROWS), "line 1"),
        ("a.NDJSON", "\ufeff\n" + jsonl(*ROWS), "line 2"),
        ("a.csv", CSV, "line 2"),
        ("a.csv", "\ufeff" + CSV.replace("\n", "\r\n"), "line 2"),
        ("a.tsv", "text\tlabel\nnaïve, “text”\ta\nb\u2028c\tb\nb\u2028c\ta\n", "line 2"),
        ("a.json", json.dumps(ROWS), "row 1"),
        ("a.jsonl.gz", gzip.compress(jsonl(*ROWS).encode(), mtime=0), "line 1"),
        ("a.csv.gz", gzip.compress(CSV.encode(), mtime=0), "line 2"),
        ("a.json.GZ", gzip.compress(json.dumps(ROWS).encode(), mtime=0), "row 1"),
    ],
)
def test_files_of_rows(tmp_path: Path, name: str, content: str | bytes, first_id: str) -> None:
    path = write(tmp_path / name, content)
    found = read_texts(path)
    unit, start = first_id.split()
    ids = tuple(f"{unit} {number}" for number in range(int(start), int(start) + 3))
    assert found == TextSet(str(path), TEXTS, LABELS, ids, None, {})
    assert len(found) == 3
    assert read_texts(str(path)) == found


def test_plain_text_is_a_text_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "one, two\r\n\n  \n{three}\n")
    assert read_texts(path) == TextSet(str(path), ("one, two", "{three}"), None, ("line 1", "line 4"), None, {"blank line": 2})


def test_standard_input(give_stdin: Callable[[str | bytes], None]) -> None:
    give_stdin("\n" + jsonl(*ROWS))
    assert read_texts("-") == TextSet("-", TEXTS, LABELS, ("line 2", "line 3", "line 4"), None, {})
    give_stdin('\n["a"]\n\n"b", c\n')
    assert read_texts("-") == TextSet("-", ('["a"]', '"b", c'), None, ("line 2", "line 4"), None, {"blank line": 2})
    give_stdin('{"utterance": "a"}')
    assert read_texts("-", text_field="utterance").texts == ("a",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "standard input: holds no record"),
        ("\n\n", "standard input: holds no record"),
        ('{"text": "a"}\n{"text": \n', "standard input:2: not valid JSON"),
        ("{curly}\n", "standard input:1: not valid JSON"),
        (b"a\n\xff\n", "standard input:2: is not UTF-8"),
    ],
)
def test_bad_standard_input(give_stdin: Callable[[str | bytes], None], content: str | bytes, words: str) -> None:
    give_stdin(content)
    with pytest.raises(UsageError, match=words):
        read_texts("-")


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())])
def test_parquet(tmp_path: Path, kind: pa.DataType) -> None:
    path = parquet(tmp_path / "a.parquet", id=["x", "y", ""], more=[1, 2, 3], text=pa.array(TEXTS, kind), label=[7, -1, 7])
    assert read_texts(path) == TextSet(str(path), TEXTS, ("7", "-1", "7"), ("x", "y", "row 3"), None, {})


def test_parquet_is_read_in_batches_over_row_groups(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(10_000)]
    table = pa.table({"text": texts, "vector": [[float(number), 1.0] for number in range(10_000)]})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=6000)
    found = read_texts(tmp_path / "a.parquet", vector_field="vector")
    assert found.texts == tuple(texts)
    assert found.ids[-1] == "row 10000"
    assert found.vectors is not None
    assert found.vectors[:, 0].tolist() == list(range(10_000))


def test_parquet_written_by_datasets_keeps_class_names(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.parquet").labels == ("yes", "no")


def test_a_run_and_an_unfinished_one(run_folder: RunFolder, unfinished_run_folder: RunFolder) -> None:
    for folder in (run_folder, unfinished_run_folder):
        records = list(folder.records())
        found = read_texts(folder.path)
        assert found.texts == tuple(record.fields["text"] for record in records)
        assert found.labels == tuple(record.label for record in records)
        assert found.ids == tuple(record.id for record in records)
        assert len(found) == 24
    assert set(read_texts(run_folder.path, label_field="finish_reason").labels or ()) == {"stop"}


def test_a_run_with_no_round_and_a_damaged_one(tmp_path: Path, build_run: Callable[..., RunFolder], row: Callable[..., Row]) -> None:
    with pytest.raises(UsageError, match="holds no record"):
        read_texts(build_run(tmp_path / "empty", [], finished=False).path)
    folder = build_run(tmp_path / "run", [[row()]])
    (folder.path / "rounds/000000/rows.jsonl").write_text("{")
    with pytest.raises(StoreError, match=r"rows\.jsonl: is not what entry\.json states"):
        read_texts(folder.path)


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "hf"])
def test_exports_read_as_the_run_does(run_folder: RunFolder, tmp_path: Path, format: str) -> None:
    target = export(run_folder, format, tmp_path / (format if format == "hf" else f"a.{format}"))
    run, exported = read_texts(run_folder.path), read_texts(target)
    assert (exported.texts, exported.labels, exported.ids) == (run.texts, run.labels, run.ids)


# -- Hugging Face folders --------------------------------------------------------------------------------------


def small_set(name: str = "a") -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"]), "vector": Sequence(Value("float32"))})
    return Dataset.from_dict({"text": [name, "b", "c"], "label": [1, 0, 1], "vector": [[1.0, 2], [3, 4], [5, 6]]}, features=features)


def test_a_saved_dataset(tmp_path: Path) -> None:
    small_set().select([2, 0]).save_to_disk(tmp_path / "set", num_shards=2)
    found = read_texts(tmp_path / "set", vector_field="vector")
    assert (found.texts, found.labels, found.ids) == (("c", "a"), ("yes", "yes"), ("row 1", "row 2"))
    assert found.vectors is not None
    assert found.vectors.dtype == np.float32
    assert found.vectors.tolist() == [[5, 6], [1, 2]]


def test_splits_of_a_saved_dataset_dict(tmp_path: Path) -> None:
    DatasetDict({"test": small_set("t"), "train": small_set()}).save_to_disk(tmp_path / "set")
    assert read_texts(tmp_path / "set").texts == ("a", "b", "c")
    assert read_texts(tmp_path / "set", split="test").texts == ("t", "b", "c")
    assert read_texts(tmp_path / "set" / "test").texts == ("t", "b", "c")
    with pytest.raises(UsageError, match=r"no split 'tests'; did you mean 'test'\? Splits here: test, train"):
        read_texts(tmp_path / "set", split="tests")
    DatasetDict({"test": small_set(), "dev": small_set("d")}).save_to_disk(tmp_path / "other")
    with pytest.raises(UsageError, match=r"has no split 'train'\. Splits here: test, dev\. Name one with --split"):
        read_texts(tmp_path / "other")
    DatasetDict({"dev": small_set("d")}).save_to_disk(tmp_path / "one")
    assert read_texts(tmp_path / "one").texts == ("d", "b", "c")


@pytest.mark.parametrize("place", ["", "data"])
def test_folders_of_parquet_shards(tmp_path: Path, place: str) -> None:
    (tmp_path / place).mkdir(exist_ok=True)
    for shard, text in enumerate("ab"):
        parquet(tmp_path / place / f"train-{shard:05d}-of-00002.parquet", text=[text, text + text], label=["x", "y"])
    parquet(tmp_path / place / "test.parquet", text=["t"], label=["x"])
    found = read_texts(tmp_path)
    assert (found.texts, found.ids) == (("a", "aa", "b", "bb"), ("row 1", "row 2", "row 3", "row 4"))
    assert read_texts(tmp_path, split="test").texts == ("t",)
    with pytest.raises(UsageError, match="Splits here: test, train"):
        read_texts(tmp_path, split="dev")


def test_shards_of_unlike_columns(tmp_path: Path) -> None:
    parquet(tmp_path / "train-00000-of-00002.parquet", text=["a"], label=["x"])
    parquet(tmp_path / "train-00001-of-00002.parquet", text=["b"])
    with pytest.raises(UsageError, match="its files have different columns"):
        read_texts(tmp_path)


def test_unlabelled_rows_of_a_saved_dataset(tmp_path: Path) -> None:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["no", "yes"])})
    Dataset.from_dict({"text": ["a", "b"], "label": [-1, 1]}, features=features).save_to_disk(tmp_path / "set")
    with pytest.raises(UsageError, match=r"set: row 1: field 'label': -1 is the number of none of the 2 classes.*--label-field ''"):
        read_texts(tmp_path / "set")
    assert read_texts(tmp_path / "set", label_field="").labels is None
    found = read_texts(tmp_path / "set", strict=False)
    assert (found.texts, found.ids, found.skipped) == (("b",), ("row 2",), {"no label": 1})


def test_folders_that_are_no_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is no run folder \(it holds no run\.yaml\) and no Hugging Face.*give a file, or such a folder"):
        read_texts(tmp_path)
    write(tmp_path / "train.jsonl.gz", b"")
    write(tmp_path / "test.csv", "")
    with pytest.raises(UsageError, match=r"give one of the files in it: test\.csv, train\.jsonl\.gz"):
        read_texts(tmp_path)


def test_damaged_saved_sets(tmp_path: Path) -> None:
    small_set().save_to_disk(tmp_path / "set")
    (arrow,) = (tmp_path / "set").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_texts(tmp_path / "set")
    arrow.unlink()
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_texts(tmp_path / "set")
    write(tmp_path / "set" / "state.json", "{}")
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_texts(tmp_path / "set")
    for content, words in (
        ("{", "not valid JSON"),
        ('{"splits": ["../set"]}', "expected a list of folder names"),
        ("[]", "expected a list"),
    ):
        write(tmp_path / "set" / "dataset_dict.json", content)
        with pytest.raises(UsageError, match=words):
            read_texts(tmp_path / "set")
    write(tmp_path / "set" / "dataset_dict.json", '{"splits": ["train"]}')
    with pytest.raises(UsageError, match="cannot be read as a saved data set"):
        read_texts(tmp_path / "set")


# -- fields ----------------------------------------------------------------------------------------------------


def test_a_set_says_which_fields_its_texts_were_read_from(tmp_path: Path) -> None:
    write(tmp_path / "pair.jsonl", jsonl({"premise": "p\nq", "hypothesis": "h"}))
    write(tmp_path / "one.jsonl", jsonl({"text": "t"}))
    pair = read_texts(tmp_path / "pair.jsonl")
    assert (pair.text_fields, pair.texts) == (("premise", "hypothesis"), (("p\nq", "h"),))
    assert read_texts(tmp_path / "pair.jsonl", text_field=("hypothesis", "premise")).texts == (("h", "p\nq"),)
    assert read_texts(tmp_path / "one.jsonl").text_fields == ("text",)


@pytest.mark.parametrize(
    ("row", "options", "text", "label"),
    [
        ({"text": "a", "sentence": "b", "intent": "i"}, {}, "a", "i"),
        ({"utterance": "a", "category": 3}, {}, "a", "3"),
        ({"text": "a", "label": " x ", "intent": "i"}, {}, "a", "x"),
        ({"text": "a", "intent": "i", "category": "c"}, {}, "a", None),
        ({"text": "a", "intents": ["i"]}, {}, "a", None),
        ({"text": "a", "label": "x"}, {"label_field": ""}, "a", None),
        ({"premise": "p", "hypothesis": "h"}, {}, ("p", "h"), None),
        ({"premise": "p\nmore", "hypothesis": "h\n"}, {}, ("p\nmore", "h\n"), None),
        ({"text": "p\nmore"}, {}, "p\nmore", None),
        ({"question": "q", "answer": "r"}, {"text_field": "question, answer"}, ("q", "r"), None),
        ({"a,b": "one", "a": "two", "b": "three"}, {"text_field": "a,b"}, "one", None),
        ({"tokens": ["to", "be"], "tags": ["O", "O"]}, {}, "to be", None),
        ({"text": "a", "label": "x", "domain": "d"}, {"label_field": "domain", "text_field": "label"}, "x", "d"),
    ],
)
def test_fields_found_and_named(tmp_path: Path, row: dict[str, Any], options: dict[str, str], text: Text, label: str | None) -> None:
    paths = [
        write(tmp_path / "a.jsonl", jsonl(row, row)),
        parquet(tmp_path / "a.parquet", **{name: [value] * 2 for name, value in row.items()}),
    ]
    for path in paths:
        found = read_texts(path, **options)
        assert found.texts == (text, text)
        assert found.labels == (None if label is None else (label, label))


def test_ids(tmp_path: Path) -> None:
    rows = [{"text": "a", "id": "x"}, {"text": "b", "id": 7}, {"text": "c", "id": None}, {"text": "d", "id": True}, {"text": "e"}]
    assert read_texts(write(tmp_path / "a.jsonl", jsonl(*rows))).ids == ("x", "7", "line 3", "line 4", "line 5")


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (
            [{"txt": "a"}],
            {},
            r"a\.jsonl:1: no field 'text' and none of sentence, .*; did you mean 'txt'\? Fields here: txt\..*--text-field",
        ),
        ([{"sentence": "a", "content": "b"}], {}, r"no field 'text', and both 'sentence' and 'content' are there.*--text-field"),
        ([{"text": "a"}], {"text_field": "txt"}, r"no field 'txt'; did you mean 'text'\? Fields here: text\..*--text-field"),
        ([{"premise": "a"}], {"text_field": "premise,hypothesis"}, r"no field 'hypothesis'\. Fields here: premise"),
        ([{"text": "a"}], {"label_field": "intent"}, r"no field 'intent'.* Fields here: text\. Name the right one with --label-field"),
        ([{"text": "a"}], {"vector_field": "v"}, r"no field 'v'\..*--vector-field"),
        ([{"text": "a"}], {"vector_field": ""}, r"no field ''\..*--vector-field"),
        ([{}], {}, r"Fields here: none"),
    ],
)
def test_fields_that_are_not_there(tmp_path: Path, rows: list[dict[str, Any]], options: dict[str, str], words: str) -> None:
    path = write(tmp_path / "a.jsonl", jsonl(*rows))
    with pytest.raises(UsageError, match=words):
        read_texts(path, **options)
    with pytest.raises(UsageError, match=rf"holds no record: all 1 rows were left out, the first because: .*{words}"):
        read_texts(path, strict=False, **options)


def test_a_label_that_comes_late_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", jsonl({"text": "a"}, {"text": "b", "label": "x"}))
    for strict in (True, False):
        with pytest.raises(UsageError, match=r"a\.jsonl:2: has a field 'label', and the rows before it have none"):
            read_texts(path, strict=strict)
    assert read_texts(path, label_field="").texts == ("a", "b")
    found = read_texts(path, label_field="label", strict=False)
    assert (found.texts, found.labels, found.skipped) == (("b",), ("x",), {"no such field": 1})


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    table = pa.table([["a"], ["b"], ["c"]], names=["text", "other", "other"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    assert read_texts(tmp_path / "a.parquet").texts == ("a",)
    with pytest.raises(UsageError, match="two columns are called 'other'"):
        read_texts(tmp_path / "a.parquet", label_field="other")


@pytest.mark.parametrize("option", ["text_field", "label_field", "vector_field", "split"])
def test_an_option_that_does_not_apply_is_an_error(tmp_path: Path, run_folder: RunFolder, option: str) -> None:
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    small_set().save_to_disk(tmp_path / "set")
    sources = [tmp_path / "a.npy", write(tmp_path / "a.txt", "a\n")]
    if option == "split":
        sources += [run_folder.path, write(tmp_path / "a.csv", CSV), parquet(tmp_path / "a.parquet", text=["a"]), tmp_path / "set"]
    for source in sources:
        with pytest.raises(UsageError, match=f"has no (fields|splits): leave --{option.replace('_', '-')} out"):
            read_texts(source, **{option: "train"})  # type: ignore[arg-type]


# -- bad rows --------------------------------------------------------------------------------------------------

GOOD = {"text": "good", "label": "x", "vector": [0.5, 1.0]}


@pytest.mark.parametrize(
    ("bad", "reason", "words"),
    [
        ('{"text": ', "not valid JSON", "not valid JSON"),
        ('"text"', "not an object", "expected an object"),
        ({"label": "x", "vector": [1, 2]}, "no such field", "no field 'text'"),
        (GOOD | {"text": 7}, "text is not text", "field 'text': expected text, got 7"),
        (GOOD | {"text": ["a", 7]}, "text is not text", "expected text, got"),
        (GOOD | {"text": {"en": "a" * 99}}, "text is not text", r"got \{'en': 'a+…"),
        (GOOD | {"text": None}, "empty text", "field 'text' is empty"),
        (GOOD | {"text": " \n"}, "empty text", "field 'text' is empty"),
        (GOOD | {"text": []}, "empty text", "field 'text' is empty"),
        (GOOD | {"text": "\ud800"}, "text is not Unicode", r"'\\ud800' holds half of a character pair"),
        (GOOD | {"label": None}, "no label", "field 'label' is empty"),
        (GOOD | {"label": " "}, "no label", "field 'label' is empty"),
        ({"text": "a", "vector": [1, 2]}, "no such field", "no field 'label'"),
        (GOOD | {"label": True}, "label is no name", "field 'label': expected a label as text or whole number, got True"),
        (GOOD | {"label": 1.5}, "label is no name", "expected a label as text or whole number, got 1.5"),
        (GOOD | {"label": ["x"]}, "label is no name", "expected a label as text"),
        (GOOD | {"label": "\ud800"}, "label is no name", "half of a character pair"),
        ({"text": "a", "label": "x"}, "no such field", "no field 'vector'"),
        (GOOD | {"vector": None}, "vector is not numbers", "expected a list of numbers, got None"),
        (GOOD | {"vector": "1 2"}, "vector is not numbers", "expected a list of numbers, got '1 2'"),
        (GOOD | {"vector": [1, "2"]}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": [1, None]}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": [[1, 2]]}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": [[1], 2]}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": [True, False]}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": []}, "vector is not numbers", "expected a list of numbers"),
        (GOOD | {"vector": [1, float("nan")]}, "vector holds NaN or infinity", "holds NaN or infinity"),
        (GOOD | {"vector": [1, float("-inf")]}, "vector holds NaN or infinity", "holds NaN or infinity"),
        (GOOD | {"vector": [1, 2, 3]}, "vector of another width", "a vector of 3 numbers after ones of 2"),
    ],
)
def test_bad_rows_are_named_or_counted(tmp_path: Path, bad: Any, reason: str, words: str) -> None:
    line = bad if isinstance(bad, str) else json.dumps(bad)
    path = write(tmp_path / "a.jsonl", f"{json.dumps(GOOD)}\n{line}\n{json.dumps(GOOD)}\n")
    with pytest.raises(UsageError, match=rf"a\.jsonl:2: .*{words}.*--skip-bad-rows"):
        read_texts(path, vector_field="vector")
    found = read_texts(path, vector_field="vector", strict=False)
    assert found.vectors is not None
    assert (found.texts, found.labels, found.ids) == (("good", "good"), ("x", "x"), ("line 1", "line 3"))
    assert found.vectors.tolist() == [[0.5, 1.0], [0.5, 1.0]]
    assert found.skipped == {reason: 1}


def test_bad_rows_at_the_start_do_not_decide_the_fields(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl", jsonl({"other": 1}, {"utterance": "a", "intent": "x"}, {"utterance": ""}, {"utterance": "b", "intent": "y"})
    )
    found = read_texts(path, strict=False)
    assert (found.texts, found.labels, found.skipped) == (("a", "b"), ("x", "y"), {"no such field": 1, "empty text": 1})


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        ("text,label\na,x\nb\nc,z\n", "fewer cells than the header", r"a\.csv:3: field 'label' is missing"),
        ("text,label\na,x\nb,y,\nc,z\n", "more cells than the header", r"a\.csv:3: more cells than the header"),
        ("text,label\na,x\n,y\nc,z\n", "empty text", r"a\.csv:3: field 'text' is empty"),
    ],
)
def test_bad_rows_of_csv(tmp_path: Path, content: str, reason: str, words: str) -> None:
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(UsageError, match=words):
        read_texts(path)
    found = read_texts(path, strict=False)
    assert (found.texts, found.labels, found.skipped) == (("a", "c"), ("x", "z"), {reason: 1})


def test_bad_rows_of_parquet(tmp_path: Path) -> None:
    vectors = pa.array([[1, 2], [3, 4], None, [5, None], [float("inf"), 1], [6], [7, 8]], pa.list_(pa.float32()))
    path = parquet(tmp_path / "a.parquet", text=["a", None, "c", "d", "e", "f", "g"], vector=vectors)
    with pytest.raises(UsageError, match=r"a\.parquet: row 2: field 'text' is empty"):
        read_texts(path, vector_field="vector")
    found = read_texts(path, vector_field="vector", strict=False)
    assert (found.texts, found.ids) == (("a", "g"), ("row 1", "row 7"))
    assert found.vectors is not None
    assert found.vectors.tolist() == [[1, 2], [7, 8]]
    assert Counter(found.skipped) == {
        "empty text": 1, "vector is not numbers": 1, "vector holds NaN or infinity": 2, "vector of another width": 1,
    }  # fmt: skip


# -- vectors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_npy_is_memory_mapped(tmp_path: Path, dtype: type) -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(dtype)
    np.save(tmp_path / "a.npy", vectors)
    found = read_texts(tmp_path / "a.npy")
    assert (found.texts, found.labels, found.ids) == (None, None, ("row 1", "row 2", "row 3", "row 4", "row 5"))
    assert isinstance(found.vectors, np.memmap)
    assert found.vectors.dtype == dtype
    assert np.array_equal(found.vectors, vectors)


def test_npy_with_bad_rows_over_several_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("variegate.store.texts._CHUNK", 6)  # two rows
    vectors = np.arange(21, dtype=np.float32).reshape(7, 3)
    vectors[3, 1], vectors[6, 0] = np.nan, -np.inf
    np.save(tmp_path / "a.npy", vectors)
    with pytest.raises(UsageError, match=r"a\.npy: row 4: the vector holds NaN or infinity.*--skip-bad-rows"):
        read_texts(tmp_path / "a.npy")
    found = read_texts(tmp_path / "a.npy", strict=False)
    assert found.ids == ("row 1", "row 2", "row 3", "row 5", "row 6")
    assert np.array_equal(found.vectors, vectors[[0, 1, 2, 4, 5]])
    assert found.skipped == {"vector holds NaN or infinity": 2}
    np.save(tmp_path / "a.npy", np.full((2, 2), np.nan))
    with pytest.raises(UsageError, match="every vector holds NaN"):
        read_texts(tmp_path / "a.npy", strict=False)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.ones(3), r"with two axes \(records, width\), got float64 of shape \(3,\)"),
        (np.ones((2, 2, 2)), "two axes"),
        (np.ones((2, 2), int), "expected an array of float16, float32 or float64.* got int64"),
        (np.ones((2, 2), ">f4"), "got >f4"),
        (np.ones((2, 2), complex), "got complex128"),
        (np.ones((0, 3)), "holds no record"),
        (np.ones((3, 0)), "holds no record"),
        (np.array([["a"]], object), r"is not a whole \.npy file of numbers .*Python objects in dtype"),
    ],
)
def test_npy_that_is_no_set_of_vectors(tmp_path: Path, array: np.ndarray, words: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(UsageError, match=words):
        read_texts(tmp_path / "a.npy")


def test_damaged_npy_and_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((50, 8)))
    for content in ((tmp_path / "a.npy").read_bytes()[:-9], b"", b"\x93NUMPY", b"text", b"\x80\x04N."):
        with pytest.raises(UsageError, match=r"a\.npy: is not a whole \.npy file of numbers .* numpy\.save"):
            read_texts(write(tmp_path / "a.npy", content))
    np.savez(tmp_path / "a.npz", a=np.ones((2, 2)))
    with pytest.raises(UsageError, match=r"a\.npz: it holds several arrays: .* numpy\.save"):
        read_texts(tmp_path / "a.npz")
    (tmp_path / "a.npz").rename(tmp_path / "b.npy")
    with pytest.raises(UsageError, match=r"b\.npy: is an \.npz file under another name"):
        read_texts(tmp_path / "b.npy")


def test_vectors_in_json_become_float32_where_that_loses_nothing(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    path = write(tmp_path / "a.jsonl", jsonl(*({"vector": each.tolist(), "label": "x"} for each in vectors)))
    found = read_texts(path, vector_field="vector")
    assert (found.texts, found.labels) == (None, ("x",) * 4)
    assert found.vectors is not None
    assert found.vectors.dtype == np.float32
    assert np.array_equal(found.vectors, vectors)
    for number in (0.1, 1e300):
        wide = read_texts(write(path, jsonl({"text": "a", "vector": [number, 1]})), vector_field="vector").vectors
        assert wide is not None
        assert wide.dtype == np.float64
        assert wide.tolist() == [[number, 1.0]]


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float16()), pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float32(), 3), pa.list_(pa.int64())],
)
def test_vector_columns_of_parquet_keep_their_type(tmp_path: Path, kind: pa.DataType) -> None:
    values = np.arange(12).reshape(4, 3)
    column = pa.array([[np.float16(number) for number in each] if "half" in str(kind) else each.tolist() for each in values], kind)
    found = read_texts(parquet(tmp_path / "a.parquet", emb=column), vector_field="emb").vectors
    assert found is not None
    assert found.dtype == (np.float64 if "int" in str(kind) else kind.value_type.to_pandas_dtype())
    assert np.array_equal(found, values)


def test_shards_whose_vectors_are_of_another_type(tmp_path: Path) -> None:
    for shard, kind in enumerate((pa.float32(), pa.float64())):
        parquet(tmp_path / f"train-{shard:05d}-of-00002.parquet", vector=pa.array([[1.0, 2.0]], pa.list_(kind)))
    with pytest.raises(UsageError, match="row 2: field 'vector': float64 after float32"):
        read_texts(tmp_path, vector_field="vector")


# -- sources that cannot be read -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b"", r"a\.jsonl: holds no record: give a source"),
        ("a.csv", b"text,label\n", r"a\.csv: holds no record"),
        ("a.json", b"[]", r"a\.json: holds no record"),
        ("a.txt", b"\n \n", r"a\.txt: holds no record"),
        ("a.jsonl", b'{"text": "na\xefve"}\n', r"a\.jsonl:1: is not UTF-8 text .* save it as UTF-8"),
        ("a.csv", b'text\n"a\n', r"a\.csv:2: not valid CSV"),
        ("a.json", b'[{"text": "a"}', r"a\.json:1: not valid JSON"),
        ("a.jsonl.gz", b'{"text": "a"}\n', r"is not a whole gzip file"),
        ("a.parquet", b"PAR1 and not much more", r"a\.parquet: cannot be read as Parquet"),
        ("a.parquet", b"", r"a\.parquet: cannot be read as Parquet"),
        ("a.xlsx", b"", r"a\.xlsx: expected one of \.jsonl, .*, a folder or -, got '\.xlsx': convert it"),
        ("a", b"", r"got 'no suffix'"),
        ("a.parquet.gz", b"", r"expected one of"),
        ("a.pkl", b"", r"got '\.pkl'"),
        ("missing.jsonl", None, r"missing\.jsonl: no such file or folder"),
        ("missing", None, r"missing: no such file or folder"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        write(path, content)
    for strict in (True, False):
        with pytest.raises(UsageError, match=words):
            read_texts(path, strict=strict)


def test_a_truncated_and_a_damaged_parquet_file(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", text=[f"text {number * 7919 % 1000}" for number in range(5000)])
    whole = path.read_bytes()
    broken = whole[:200] + bytes(3000) + whole[3200:]
    for content in (whole[: len(whole) // 2], broken):
        with pytest.raises(UsageError, match=r"a\.parquet: cannot be read as Parquet"):
            read_texts(write(path, content))


def test_parquet_text_that_is_not_utf8(tmp_path: Path) -> None:
    column = pa.Array.from_buffers(pa.string(), 1, [None, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff")])
    with pytest.raises(UsageError, match="cannot be read as Parquet: 'utf-8' codec"):
        read_texts(parquet(tmp_path / "a.parquet", text=column))


def test_parquet_with_broken_metadata(tmp_path: Path) -> None:
    for content in (b"{", b"[]"):
        table = pa.table({"text": ["a"], "label": [1]}).replace_schema_metadata({b"huggingface": content})
        pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
        with pytest.raises(UsageError, match="its metadata 'huggingface' is not as"):
            read_texts(tmp_path / "a.parquet")


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything, so it goes on as someone else."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_no_permission() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others than their owner
        folder = Path(name)
        folder.chmod(0o755)
        for inside in ("a.jsonl", "a.npy", "a.parquet"):
            write(folder / inside, "").chmod(0)
        (folder / "set").mkdir(mode=0)
        (folder / "outer" / "set").mkdir(parents=True)
        (folder / "outer").chmod(0)
        with as_nobody():
            for inside in ("a.jsonl", "a.npy", "a.parquet", "set", "outer/set"):
                with pytest.raises(UsageError, match=rf"{inside}: cannot be read: Permission denied$"):
                    read_texts(folder / inside)
        (folder / "outer").chmod(0o755)
        (folder / "set").chmod(0o755)


def test_a_package_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path / "a.parquet", text=["a"])
    small_set().save_to_disk(tmp_path / "set")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)  # import then raises ImportError
    monkeypatch.setitem(sys.modules, "datasets", None)
    for source, package in ((path, "pyarrow"), (tmp_path / "set", "datasets")):
        with pytest.raises(VariegateError, match=rf"needs the package {package}, which is not installed .*variegate\[cpu\]") as caught:
            read_texts(source)
        assert caught.value.exit_code == 1


# -- real data -------------------------------------------------------------------------------------------------


def test_every_real_set_reads_by_default(data_folder: Path) -> None:
    paths = sorted(data_folder.glob("*/*.jsonl"))
    assert len(paths) > 20
    for path in paths:
        with path.open(encoding="utf-8") as file:  # not splitlines: some texts hold other line ends, such as U+0085
            rows = [json.loads(line) for line in file]
        found = read_texts(path)
        assert found.texts is not None
        if path.parent.name == "rte":
            assert found.texts == tuple((row["premise"], row["hypothesis"]) for row in rows)
        elif path.parent.name == "crossner":
            assert found.texts == tuple(" ".join(row["tokens"]) for row in rows)
        else:
            assert found.texts == tuple(row["text"] for row in rows)
        assert found.labels == (tuple(row["label"] for row in rows) if "label" in rows[0] else None)
        assert found.ids == tuple(f"line {number}" for number in range(1, len(rows) + 1))
        assert not found.skipped


def test_real_sets_through_datasets_and_parquet(tmp_path: Path, data_folder: Path) -> None:
    path = data_folder / "trec6" / "test.jsonl"
    direct = read_texts(path)
    data = Dataset.from_list([json.loads(line) for line in path.read_text().splitlines()]).class_encode_column("label")
    data.save_to_disk(tmp_path / "saved")
    data.to_parquet(tmp_path / "a.parquet")
    assert isinstance(load_from_disk(tmp_path / "saved")[0]["label"], int)
    for source in ("saved", "a.parquet"):
        found = read_texts(tmp_path / source)
        assert (found.texts, found.labels) == (direct.texts, direct.labels)
