"""The format a folder states: written first, and another one refused in one line that names it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from variegate.errors import UsageError
from variegate.store.formats import FORMAT, check_format, state_format

MARKS = ("run.yaml", "rounds")


def test_a_new_folder_is_of_no_format_until_it_states_one(tmp_path: Path) -> None:
    check_format(tmp_path / "not there", MARKS)
    (tmp_path / "lock").touch()
    check_format(tmp_path, MARKS)
    state_format(tmp_path)
    assert json.loads((tmp_path / "format.json").read_bytes())["format"] == FORMAT == 2
    (tmp_path / "run.yaml").touch()
    check_format(tmp_path, MARKS)
    before = (tmp_path / "format.json").stat()
    state_format(tmp_path)
    assert (tmp_path / "format.json").stat() == before


@pytest.mark.parametrize("mark", MARKS)
def test_a_folder_that_states_none_is_of_format_1(tmp_path: Path, mark: str) -> None:
    (tmp_path / mark).touch()
    with pytest.raises(UsageError, match=r"is of format 1, and Variegate \S+ works on format 2") as raised:
        check_format(tmp_path, MARKS)
    assert "\n" not in str(raised.value)
    assert "records.jsonl" not in str(raised.value)
    (tmp_path / "records.jsonl").touch()
    with pytest.raises(UsageError, match=r"Its records\.jsonl stays readable as data"):
        check_format(tmp_path, MARKS)


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"format": 3}', "is of format 3"), ("[]", "is of format None"), ("{}", "is of format None"), ('{"format', "cannot be read")],
)
def test_another_format_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "format.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        check_format(tmp_path, MARKS)
