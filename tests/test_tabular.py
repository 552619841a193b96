"""Rows out of text files, against what the csv, json and gzip modules wrote and against hand-written bytes."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from variegate.tabular import BadRow, Rows, TableError, csv_rows, decode_lines, json_rows, jsonl_rows, line_rows, read_lines, tsv_rows

Reader = Callable[[Iterable[str], str], Rows]


def read(reader: Reader, content: bytes) -> list[tuple[int, object]]:
    return list(reader(decode_lines(io.BytesIO(content), "file"), "file"))


# what every text file can hold; a lone carriage return is a line end in CSV
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@given(st.lists(st.fixed_dictionaries({"a": texts, "b": texts}), min_size=1, max_size=4), st.sampled_from(["\n", "\r\n"]))
def test_csv_gives_back_what_the_csv_module_wrote(rows: list[dict[str, str]], end: str) -> None:
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, ["a", "b"], lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    assert [row for _, row in read(csv_rows, file.getvalue().encode())] == rows


@given(st.lists(st.fixed_dictionaries({"a": texts, "b": st.none() | st.integers() | st.lists(texts, max_size=2)}), max_size=4))
def test_json_lines_and_lists(rows: list[dict[str, object]]) -> None:
    for ascii in (True, False):
        lines = "\n".join(json.dumps(row, ensure_ascii=ascii) for row in rows)
        assert read(jsonl_rows, lines.encode()) == list(enumerate(rows, 1))
        assert read(json_rows, json.dumps(rows, ensure_ascii=ascii, indent=1).encode()) == list(enumerate(rows, 1))


def test_lines_are_numbered_by_their_last_line_and_blank_ones_count() -> None:
    assert read(csv_rows, b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n\r\n2,z\r\n') == [(3, {"a": "1", "b": "x\r\ny"}), (5, {"a": "2", "b": "z"})]
    assert [number for number, _ in read(jsonl_rows, b'\n{"a": 1}\n \n{"a": 2}')] == [2, 4]


def test_csv_with_old_line_ends() -> None:
    assert read(csv_rows, b'a,b\r1,"x\ry"\r2,z\r') == [(3, {"a": "1", "b": "x\ry"}), (4, {"a": "2", "b": "z"})]


def test_tsv_reads_quotes_as_csv_does() -> None:
    assert read(tsv_rows, b'a\tb\nsay "x", y\t"1 ""2"""\n') == [(2, {"a": 'say "x", y', "b": '1 "2"'})]


def test_tsv_does_not_swallow_rows_between_two_quotes() -> None:
    content = b'text\tlabel\n"He said so.\tyes\nThen he left."\tno\nx\ty\n'
    assert len(read(csv_rows, content.replace(b"\t", b","))) == 2  # of three: what the csv module makes of it
    with pytest.raises(TableError, match=r"file:3: not valid TSV: a cell in double quotes runs over several lines.* JSONL"):
        read(tsv_rows, content)


def test_lines_of_text_keep_everything_but_their_end() -> None:
    assert read(line_rows, " a\t\r\nb\u2028c\n\nd".encode()) == [
        (1, {"text": " a\t"}),
        (2, {"text": "b\u2028c"}),
        (3, BadRow("blank line", "file:3: the line is blank")),
        (4, {"text": "d"}),
    ]


@pytest.mark.parametrize(
    ("reader", "content", "reason", "words"),
    [
        (csv_rows, b"a,b\n1\n2,3\n", "fewer cells than the header", "file:2: field 'b' is missing"),
        (csv_rows, b"a,b\n1,2,3\n2,3\n", "more cells than the header", "file:2: more cells than the header has (2): put texts that hold a comma"),
        (tsv_rows, b"a\tb\n1\t2\t3\n2\t3\n", "more cells than the header", "that hold a tab in double quotes"),
        (jsonl_rows, b'{"a": \n{"a": 1}', "not valid JSON", "file:1: not valid JSON"),
        (jsonl_rows, b"[" * 100_000 + b'\n{"a": 1}', "not valid JSON", "file:1: not valid JSON"),
        (jsonl_rows, b'[1]\n{"a": 1}', "not an object", "file:1: expected an object"),
        (json_rows, b'["a", {"a": 1}]', "not an object", "file: row 1: expected an object"),
    ],
)  # fmt: skip
def test_a_bad_row_is_handed_over_and_the_next_one_read(reader: Reader, content: bytes, reason: str, words: str) -> None:
    (_, bad), (_, good) = read(reader, content)
    assert isinstance(bad, BadRow)
    assert bad.reason == reason
    assert words in bad.message
    assert isinstance(good, dict)


@pytest.mark.parametrize(
    ("reader", "content", "words"),
    [
        (csv_rows, b'a,b\n1,2\n"x,3\n4,5\n', r"file:4: not valid CSV: unexpected end of data"),
        (csv_rows, b'a,b\n1,2\n"x"y,3\n', r"file:3: not valid CSV: ',' expected"),
        (tsv_rows, b'a\tb\n"x" y\t3\n', r"file:2: not valid TSV"),
        (csv_rows, b"a,b,a\n1,2,3\n", r"file:1: two columns are called 'a': rename"),
        (csv_rows, "a,b\n1,naïve\n".encode("latin-1"), r"file:2: is not UTF-8 text \(invalid continuation byte at byte 4 of the line\)"),
        (jsonl_rows, '{"a": 1}\n{"a": 2}\n'.encode("utf-16"), r"file:1: is not UTF-8 text"),
        (json_rows, b'[\n{"a": 1},\n{"a" 2}]', r"file:3: not valid JSON: Expecting ':'"),
        (json_rows, b'{"a": 1}\n{"a": 2}', r"Extra data.*is it JSONL"),
        (json_rows, b'{"a": [1]}', r"file: expected a list of objects .* got dict"),
        (json_rows, b"[" * 100_000, r"file: not valid JSON"),
        (json_rows, b"", r"file:1: not valid JSON"),
    ],
)
def test_what_loses_the_place_ends_the_reading(reader: Reader, content: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        read(reader, content)


def test_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress("\ufeffä\nb\n".encode()))
    assert list(read_lines(path)) == ["ä\n", "b\n"]
    whole = gzip.compress(b"".join(str(number).encode() + b"\n" for number in range(5000)))
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 255
    for content in (whole[:-100], bytes(broken), b"plain text\n"):
        path.write_bytes(content)
        with pytest.raises(TableError, match=r"a\.jsonl\.gz: is not a whole gzip file"):
            list(read_lines(path))


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"gone: cannot be read: No such file"):
        list(read_lines(tmp_path / "gone"))
    with pytest.raises(TableError, match=r"cannot be read: Is a directory"):
        list(read_lines(tmp_path))
