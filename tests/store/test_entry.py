"""Entries by themselves: what counts as one. Damage is tested with the shelf that reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.errors import StoreError
from variegate.store.entry import Entry, is_entry


def test_an_entry_stands_where_its_files_or_other_files_are(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    assert not is_entry(folder)
    folder.mkdir()
    assert not is_entry(folder)
    (folder / ".b.tmp").mkdir()
    assert not is_entry(folder)
    (folder / "state.json").touch()
    assert is_entry(folder)  # what is left of one
    (folder / "inner").mkdir()
    assert not is_entry(folder)  # a folder of entries, and a file beside them
    (folder / "rows.jsonl").touch()
    assert is_entry(folder)
    assert is_entry(folder / "rows.jsonl")  # a file where a folder belongs


def test_rows_that_went_since_are_named(tmp_path: Path) -> None:
    entry = Entry("a", "k", {}, tmp_path / "a", 1)
    with pytest.raises(StoreError, match=r"a/rows\.jsonl: is missing"):
        entry.rows()
