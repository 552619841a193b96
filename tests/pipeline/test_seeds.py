from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from variegate.errors import UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.kinds.task import TaskConfig
from variegate.pipeline.seeds import draw_seeds, real_texts


def task(path: Path, labels: str = "abc", **data: Any) -> TaskConfig:
    return ClassificationTask.model_validate(
        {
            "kind": "classification", "name": "t", "text_type": "text", "context": "c",
            "labels": {label: {"phrase": label, "description": label} for label in labels},
            "data": {"train": str(path), **data},
        }
    )  # fmt: skip


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def rows(counts: dict[str, int]) -> list[dict[str, str]]:
    return [{"text": f"{label} text {n}", "label": label} for label, count in counts.items() for n in range(count)]


@pytest.mark.parametrize(("labels", "count"), [("abcdef", 18), ("abcde", 15)])
def test_the_papers_seed_pools_are_balanced(tmp_path: Path, labels: str, count: int) -> None:
    """METHODS 1.1: 18 items, label-balanced; 15 for the task of 5 classes."""
    seeds = draw_seeds(task(write(tmp_path / "t.jsonl", rows(dict.fromkeys(labels, 40))), labels), count, seed=0)
    assert Counter(seed.label for seed in seeds) == dict.fromkeys(labels, 3)
    assert len({seed.fields["text"] for seed in seeds}) == count
    assert all(seed.fields["text"].startswith(seed.label) for seed in seeds)
    assert [seed.id for seed in seeds] == [f"seed:{n}" for n in range(count)]


def test_18_of_five_classes_differ_by_one(tmp_path: Path) -> None:
    seeds = draw_seeds(task(write(tmp_path / "t.jsonl", rows(dict.fromkeys("abcde", 40))), "abcde"), 18, seed=0)
    assert sorted(Counter(seed.label for seed in seeds).values()) == [3, 3, 4, 4, 4]


def test_short_labels_are_filled_up_by_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", rows({"a": 1, "b": 9}))
    assert Counter(seed.label for seed in draw_seeds(task(path), 6, 0)) == {"a": 1, "b": 5}
    assert len(draw_seeds(task(path), 99, 0)) == 10
    assert draw_seeds(task(path), 0, 0) == []


def test_drawn_by_seed_alone(tmp_path: Path) -> None:
    where = task(write(tmp_path / "t.jsonl", rows(dict.fromkeys("abc", 30))))
    assert draw_seeds(where, 6, 1) == draw_seeds(where, 6, 1) != draw_seeds(where, 6, 2)


def test_out_of_scope_rows_and_blank_lines_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", ["", {"text": "x", "label": "oos"}, {"text": "y\u2028z", "label": "a"}])
    assert real_texts(task(path, out_of_scope_label="oos")) == {"a": ["y\u2028z"], "b": [], "c": []}


def test_other_field_names(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"utterance": "x", "intent": "a"}])
    assert real_texts(task(path, text_field="utterance", label_field="intent"))["a"] == ["x"]


def test_a_bad_row_is_named_by_file_and_line(tmp_path: Path) -> None:
    """What makes a row bad is tested with the reader: tests/config/test_examples.py."""
    path = write(tmp_path / "t.jsonl", [{"text": "x", "label": "a"}, {"text": "  ", "label": "a"}])
    with pytest.raises(UsageError, match="field 'text' is empty") as caught:
        real_texts(task(path))
    assert str(caught.value).startswith(f"{path}:2: ")


def test_csv_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\nx,a\n")
    assert real_texts(task(tmp_path / "t.csv"))["a"] == ["x"]


def test_an_unknown_label_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"text": "x", "label": "aa"}])
    with pytest.raises(UsageError, match="label 'aa' is not one of task 't'"):
        real_texts(task(path))


def test_no_rows_no_file_no_data(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no examples"):
        real_texts(task(write(tmp_path / "t.jsonl", [])))
    with pytest.raises(UsageError, match=r"no such file.*VARIEGATE_DATA"):
        real_texts(task(tmp_path / "nowhere.jsonl"))
    bare = task(tmp_path).model_copy(update={"data": None})
    with pytest.raises(UsageError, match=r"no data\.train"):
        real_texts(bare)
    path = write(tmp_path / "t.jsonl", [{"text": "x", "label": "oos"}])
    with pytest.raises(UsageError, match="every row is out of scope"):
        real_texts(task(path, out_of_scope_label="oos"))


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_held_out_text_never_stands_in_a_prompt(tmp_path: Path, split: str) -> None:
    train = write(tmp_path / "t.jsonl", rows({"a": 3, "b": 3}))
    held_out = write(tmp_path / "held.jsonl", [{"text": "new", "label": "a"}, {"text": " B  text 1", "label": "b"}, "{"])
    where = task(train, "ab", **{split: str(held_out)})
    with pytest.raises(UsageError) as caught:
        draw_seeds(where, 6, 0)
    message = str(caught.value)
    assert "'b text 1', drawn from data.train" in message
    assert f"{train} as an example" in message
    assert f"also stands in data.{split} ({held_out}: line 2)" in message
    assert "remove it from data.train, leave all such texts out with --set task.data.overlap=leave_out" in message
    assert message.endswith("--set seed=1")
    every = draw_seeds(task(train, "ab", **{split: str(held_out)}, overlap="leave_out"), 6, 0)
    assert sorted(each.fields["text"] for each in every) == ["a text 0", "a text 1", "a text 2", "b text 0", "b text 2"]
    fine = [seed for seed in range(30) if "b text 1" not in {each.fields["text"] for each in draw_seeds(task(train, "ab"), 2, seed)}]
    assert 5 < len(fine) < 30
    for seed in range(30):  # only what is drawn matters
        if seed in fine:
            draw_seeds(where, 2, seed)
        else:
            with pytest.raises(UsageError):
                draw_seeds(where, 2, seed)


def test_held_out_data_that_are_not_there_are_no_error(tmp_path: Path) -> None:
    train = write(tmp_path / "t.jsonl", rows({"a": 3}))
    assert len(draw_seeds(task(train, test=str(tmp_path / "gone.jsonl")), 2, 0)) == 2


def test_nothing_left_beside_held_out_texts(tmp_path: Path) -> None:
    train = write(tmp_path / "t.jsonl", rows({"a": 2}))
    with pytest.raises(UsageError, match=r"every text of data\.train also stands in its dev or test data"):
        draw_seeds(task(train, "ab", test=str(train), overlap="leave_out"), 1, 0)
