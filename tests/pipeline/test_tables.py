from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from variegate.errors import UsageError
from variegate.pipeline.tables import name_in, rows_of


@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("a.jsonl", '{"x": 1}\n\n{"x": "b"}\n', ["a.jsonl:1", "a.jsonl:3"]),
        ("a.csv", "x\n1\nb\n", ["a.csv:2", "a.csv:3"]),
        ("a.tsv", "x\n1\nb\n", ["a.tsv:2", "a.tsv:3"]),
        ("a.json", '[{"x": 1}, {"x": "b"}]', ["a.json: row 1", "a.json: row 2"]),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_form_and_where_its_rows_stand(tmp_path: Path, name: str, content: str, places: list[str], zipped: bool) -> None:
    path = tmp_path / (name + ".gz" * zipped)
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    found = list(rows_of(path))
    assert [str(row["x"]) for _, row in found] == ["1", "b"]
    assert [Path(where.replace(".gz", "")).name for where, _ in found] == places


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "x", "expected one of .jsonl"),
        ("a", "x", "got 'no suffix'"),
        ("a.jsonl", "", "holds no row"),
        ("a.jsonl", "{", "a.jsonl:1: not valid JSON"),
        ("a.csv", "x,y\n1\n", "a.csv:2: field 'y' is missing"),
        ("a.csv", b"x\n\xff\n", "is not UTF-8"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as error:
        list(rows_of(path))
    assert said in str(error.value)


def test_a_folder_and_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, said in (("folder.csv", "is a folder"), ("none.csv", "no such file")):
        with pytest.raises(UsageError, match=said):
            list(rows_of(tmp_path / name))


def test_names() -> None:
    row = {"a": " x ", "b": 3, "c": None, "d": 1.5, "e": True}
    assert [name_in(row, field, "f:1") for field in "abcz"] == ["x", "3", "", ""]
    for field in "de":
        with pytest.raises(UsageError, match=rf"f:1: field '{field}': expected a name"):
            name_in(row, field, "f:1")
