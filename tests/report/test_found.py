"""Reading what others left: an object, nothing, or a sentence that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.report.found import read_object


def test_an_object_and_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"b": 1}')
    assert read_object(tmp_path / "a.json", "Again.") == ({"b": 1}, None)
    assert read_object(tmp_path / "b.json", "Again.") == (None, None)
    assert read_object(tmp_path / "a.json" / "c.json", "Again.") == (None, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is damaged"), (b"\xff", "is damaged"), (b"[" * 5000, "is damaged"), (b"[1]", "holds no object"), (b"null", "holds no object")],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    data, note = read_object(tmp_path / "a.json", "Again.")
    assert data is None
    assert note is not None
    assert note.startswith("a.json " + said)
    assert note.endswith("Again.")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    data, note = read_object(tmp_path, "Again.")
    assert data is None
    assert "cannot be read" in str(note)
