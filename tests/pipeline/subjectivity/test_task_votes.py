from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import UsageError
from variegate.pipeline.subjectivity.task_votes import read_task_votes


def votes(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_votes_with_and_without_judges(tmp_path: Path) -> None:
    found = read_task_votes(votes(tmp_path / "v.jsonl", {"winner": "b", "loser": "a"}, {"winner": "b", "loser": "c"}))
    assert (found.votes, found.judges, found.tasks) == ((("b", "a"), ("b", "c")), None, ("a", "b", "c"))
    path = tmp_path / "v.csv"
    path.write_text("winner,loser,judge\nb,a,ann\na,b,bob\n")
    found = read_task_votes(path)
    assert (found.judges, found.source["judges"]) == (("ann", "bob"), 2)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"winner": "a"}], "v.jsonl:1: expected task names in `winner` (the more objective one) and `loser`. Fields here: winner"),
        ([{"winner": "a", "loser": ""}], "expected task names"),
        ([{"winner": "a", "loser": "b"}, {"winner": "a", "loser": "a"}], "v.jsonl:2: compares 'a' with itself"),
        (
            [{"winner": "a", "loser": "b", "judge": "x"}, {"winner": "a", "loser": "b"}],
            "v.jsonl:2: names no `judge`, unlike the rows before",
        ),
        ([{"winner": "a", "loser": "b"}, {"winner": "a", "loser": "b", "judge": "x"}], "v.jsonl:2: names `judge`, unlike"),
    ],
)
def test_errors(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(UsageError) as error:
        read_task_votes(votes(tmp_path / "v.jsonl", *rows))
    assert said in str(error.value)
