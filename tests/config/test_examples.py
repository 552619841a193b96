"""Files of examples: what is read, and the errors that name file, line and field."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from variegate.config.examples import data_lines, default_name, read_examples, warnings
from variegate.errors import UsageError


def write(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def read(path: Path, text_field: str = "text", label_field: str = "label") -> tuple[tuple[str, str], ...]:
    return read_examples(path, (text_field,), label_field).rows


def test_csv_with_commas_quotes_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", '\ufefflabel,text,more\r\nyes,"a, ""b""\nc",1\r\n no ,d,2\r\n')
    examples = read_examples(path, ("text",), "label")
    assert examples.rows == (('a, "b"\nc', "yes"), ("d", "no"))
    assert not examples.as_they_stand  # " no "


def test_csv_may_stand_as_it_is(tmp_path: Path) -> None:
    examples = read_examples(write(tmp_path / "a.CSV", "text,label\na,1\nb ,y\n"), ("text",), "label")
    assert examples.as_they_stand
    assert examples.rows == (("a", "1"), ("b ", "y"))


def test_jsonl_may_stand_as_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": "x", "id": 7}\n\n{"text": "b", "label": "y"}\n')
    examples = read_examples(path, ("text",), "label")
    assert examples.as_they_stand
    assert dict(examples.label_counts) == {"x": 1, "y": 1}


@pytest.mark.parametrize("label", ["0", '" x "'])
def test_jsonl_with_labels_that_must_change_is_copied(tmp_path: Path, label: str) -> None:
    examples = read_examples(write(tmp_path / "a.jsonl", f'{{"text": "a", "label": {label}}}\n'), ("text",), "label")
    assert not examples.as_they_stand
    (line,) = data_lines(examples, ["utterance"], "intent")
    assert json.loads(line) == {"utterance": "a", "intent": label.strip('" ')}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", "", r"a\.csv: holds no examples"),
        ("a.csv", "text,label\n", r"a\.csv: holds no examples"),
        ("a.jsonl", "\n \n", r"a\.jsonl: holds no examples"),
        ("a.csv", "text,label\na,x\n,y\n", r"a\.csv:3: field 'text' is empty"),
        ("a.csv", "text,label\na, \n", r"a\.csv:2: field 'label' is empty"),
        ("a.csv", "text,lable\na,x\n", r"a\.csv:2: no field 'label'; did you mean 'lable'\? Fields here: text, lable.*--label-field"),
        ("a.csv", "text;label\na;x\n", r"a\.csv:2: no field 'text'"),
        ("a.csv", "text,label\na,b,x\n", r"a\.csv:2: more cells than the header"),
        ("a.csv", "text,label\na\n", r"a\.csv:2: field 'label' is missing"),
        ("a.csv", 'text,label\n"a,x\n', r"a\.csv:2: not valid CSV"),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text": \n', r"a\.jsonl:2: not valid JSON"),
        ("a.jsonl", '["a", "x"]\n', r"a\.jsonl:1: expected an object"),
        ("a.jsonl", '{"text": 7, "label": "x"}\n', r"a\.jsonl:1: field 'text': expected text, got 7"),
        ("a.jsonl", '{"text": "a", "label": null}\n', r"a\.jsonl:1: field 'label': expected a label as text or whole number, got None"),
        ("a.jsonl", '{"text": "a", "label": true}\n', r"a\.jsonl:1: field 'label'"),
        ("a.jsonl", '{"text": "a", "label": "two\\nlines"}\n', r"a\.jsonl:1: field 'label': 'two\\nlines'… is no label's name"),
        ("a.jsonl", f'{{"text": "a", "label": "{"x" * 300}"}}\n', r"is no label's name"),
        ("a.txt", "a\n", r"expected a \.csv or \.jsonl file, got '\.txt'"),
        ("missing.csv", None, r"missing\.csv: cannot be read: No such file"),
    ],
)
def test_errors_name_file_line_and_field(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    if content is not None:
        write(tmp_path / name, content)
    with pytest.raises(UsageError, match=words):
        read(tmp_path / name)


def test_other_encodings_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\nnaïve,x\n".encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8 text"):
        read(tmp_path / "a.csv")


def test_warnings(tmp_path: Path) -> None:
    rows = "".join(f'{{"text": "t", "label": "{label}"}}\n' for label in ["Spam", "spam"])
    assert warnings(read_examples(write(tmp_path / "a.jsonl", rows), ("text",), "label")) == [
        "labels 'Spam' and 'spam' differ in case alone: are they one?"
    ]
    one = read_examples(write(tmp_path / "b.jsonl", '{"text": "t", "label": "x"}\n'), ("text",), "label")
    assert "needs two" in warnings(one)[0]
    many = "".join(f'{{"text": "t", "label": "text number {index}"}}\n' for index in range(30))
    assert "30 labels in 30 rows" in warnings(read_examples(write(tmp_path / "c.jsonl", many), ("text",), "label"))[0]


def test_default_name() -> None:
    assert [default_name(Path(name)) for name in ("My reviews (v2).csv", "trec.jsonl", "…….csv")] == ["my-reviews-v2", "trec", "task"]
