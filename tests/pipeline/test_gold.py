"""The real examples that works are judged by: small, drawn by seed, apart from each other and from the test data, kept in the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support import remarks
from variegate.config.strategies.base import Judging
from variegate.errors import ConfigError, UsageError
from variegate.kinds.classification import ClassificationTask
from variegate.pipeline.gold import draw_gold, gold_of, stored_gold
from variegate.store.run_folder import RunFolder

SMALL = Judging(6, 4)


def write(path: Path, rows: list[tuple[str, str]]) -> str:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
    return str(path)


def rows(what: str, count: int, labels: str = "ab") -> list[tuple[str, str]]:
    return [(f"{what} {label} {n}", label) for n in range(count) for label in labels]


def task(**data: Any) -> ClassificationTask:
    return ClassificationTask.model_validate(
        {
            "kind": "classification", "name": "t", "text_type": "text", "context": "c", "data": data,
            "labels": {label: {"phrase": label, "description": label} for label in "ab"},
        }
    )  # fmt: skip


def texts(examples: Any) -> set[str]:
    return {each.fields["text"] for each in examples}


def test_two_splits_apart_drawn_by_the_seed(tmp_path: Path) -> None:
    where = task(
        train=write(tmp_path / "train.jsonl", [*rows("real", 20), *rows("REAL ", 20)]), test=write(tmp_path / "test.jsonl", rows("held", 9))
    )
    gold = draw_gold(where, SMALL, seed=0)
    assert [each.id for each in gold.both] == [*(f"validation:{n}" for n in range(6)), *(f"select:{n}" for n in range(4))]
    assert len({each.fields["text"].split(" ", 1)[1] for each in gold.both}) == 10  # those that are equal when folded are one
    assert gold == draw_gold(where, SMALL, seed=0) != draw_gold(where, SMALL, seed=1)
    assert texts(gold.validation) <= texts(draw_gold(where, Judging(12, 4), seed=0).validation)


def test_the_dev_data_select_where_there_are_some(tmp_path: Path) -> None:
    train, dev = write(tmp_path / "train.jsonl", rows("real", 20)), write(tmp_path / "dev.jsonl", rows("dev", 20))
    gold = draw_gold(task(train=train, dev=dev), SMALL, seed=0)
    assert all(text.startswith("real") for text in texts(gold.validation))
    assert all(text.startswith("dev") for text in texts(gold.select))


def test_a_validation_split_with_test_texts_is_refused_or_they_are_left_out(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", rows("real", 10))
    test = write(tmp_path / "test.jsonl", [(text.upper(), label) for text, label in rows("real", 5)])
    with pytest.raises(
        UsageError, match=r"drawn from data.train for the split (validation|select), also stands in data.test .*overlap=leave_out"
    ):
        draw_gold(task(train=train, test=test), SMALL, seed=0)
    gold = draw_gold(task(train=train, test=test, overlap="leave_out"), SMALL, seed=0)
    assert texts(gold.both) == {text for text, _ in rows("real", 10)[10:]}
    whole = draw_gold(task(train=train, test=test), Judging(None, None), seed=0)
    assert texts(whole.validation) == texts(gold.both)  # also of the whole train data nothing that a student is judged by
    assert whole.both == whole.validation == whole.select


@pytest.mark.parametrize(
    ("train", "wrong"),
    [
        (rows("real", 2), "nothing is left of data.train for the split validation"),
        (rows("real", 20, "a"), "all 6 examples of the split validation, drawn from data.train, have the label 'a'"),
    ],
)
def test_an_empty_split_and_one_of_one_label_are_refused(tmp_path: Path, train: list[tuple[str, str]], wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        draw_gold(task(train=write(tmp_path / "t.jsonl", train)), SMALL, seed=0)


def test_the_folder_keeps_it_also_where_the_files_are_gone(tmp_path: Path) -> None:
    data = remarks.write_data(tmp_path / "data")
    config, folder = remarks.make_config(tmp_path / "run", data=data), RunFolder(tmp_path / "run")
    gold = gold_of(folder, config)
    for path in data.values():
        Path(path).unlink()
    assert gold_of(folder, config) == stored_gold(folder) == gold
    assert (len(gold.validation), len(gold.select)) == (45, 45)


@pytest.mark.parametrize(
    ("parts", "wrong"),
    [
        ({"task": {"data": None}}, "looks for the errors of a student in real examples, and the task has no data.train"),
        ({"task": {"labels": {"a": {"phrase": "a", "description": "a"}}}}, "trains a student, and the task has one label, 'a'"),
    ],
)
def test_a_run_without_real_data_or_with_one_label_is_refused(tmp_path: Path, parts: dict[str, Any], wrong: str) -> None:
    value = remarks.make_config(tmp_path / "run").model_dump(mode="json")
    from variegate.config.load import build_run

    value["task"] = {**value["task"], **parts["task"]}
    with pytest.raises(ConfigError, match=wrong):
        build_run(value, tmp_path, [], where="run.yaml", output="x")
