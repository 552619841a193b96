"""Starter files are valid as written, whatever the labels are called."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from variegate.config.examples import Examples
from variegate.config.load import load_run, load_task
from variegate.config.starter import Form, scalar, starter_run, starter_task

ODD = [
    "yes",
    "no",
    "on",
    "null",
    "~",
    "1",
    "1.5",
    "2020-01-01",
    "a: b",
    "# x",
    "- y",
    "'q'",
    '"r"',
    "@z",
    "[w]",
    "{v}",
    "%u",
    "naïve 😀",
    "=",
]


def task_of(labels: list[str], **settings: str) -> str:
    examples = Examples(tuple(("some text of six words here", label) for label in labels), as_they_stand=True)
    form = Form("classification", ("text",), "label", settings.pop("text_type", "text"))
    return starter_task("t", examples, form, **{"train": "t.jsonl", "schema": None} | settings)


def test_both_files_load(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "a", "label": "yes"}\n')
    (tmp_path / "t.task.yaml").write_text(task_of(ODD, text_type="reply: short", schema="schema/task.schema.json"), encoding="utf-8")
    (tmp_path / "model").mkdir()
    (tmp_path / "t.run.yaml").write_text(starter_run("t", "t.task.yaml", str(tmp_path / "model"), 5, "schema/run.schema.json"))
    task = load_task(str(tmp_path / "t.task.yaml"))
    assert set(task.labels) == set(ODD)
    assert task.text_type == "reply: short"
    assert task.word_limit == 10
    run = load_run(tmp_path / "t.run.yaml")
    assert run.task.data is not None
    assert run.task.data.train == str(tmp_path / "t.jsonl")
    assert run.strategy.kind == "few_shot"
    assert run.strategy.seed_pool == 5
    assert run.output == "runs/t"


def test_labels_that_are_written_alike_get_titles() -> None:
    labels = yaml.safe_load(task_of(["card_lost", "card lost", "other"]))["labels"]
    assert labels["card_lost"]["title"] == "card_lost"
    assert labels["card lost"]["title"] == "card lost"
    assert "title" not in labels["other"]


def test_comments_ask_for_descriptions_and_count_examples() -> None:
    written = task_of(["card_lost", "card_lost", "other"])
    assert "IMPROVE IT" in written
    assert "  card_lost:  # 2 examples\n    phrase: card lost\n" in written
    assert "  other:  # 1 example\n" in written


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=80))
def test_any_scalar_stands_on_one_line_and_reads_back(value: str) -> None:
    written = scalar(value)
    assert "\n" not in written
    assert yaml.safe_load(f"key: {written}\n") == {"key": value}
    assert yaml.safe_load(f"{written}: 1\n") == {value: 1}


@pytest.mark.parametrize("value", ["two\nlines", "\x85", "tab\there"])
def test_control_characters_are_escaped(value: str) -> None:
    assert yaml.safe_load(f"key: {scalar(value)}\n") == {"key": value}
