"""A student that answers questions, with a tiny real network: windows that overlap, training that learns, and a folder others read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import towns
from variegate.config.student import SpanStudentConfig
from variegate.errors import UsageError, VariegateError
from variegate.students.spans import Asked, load_spans, train_spans


def config(tmp_path: Path, **parts: Any) -> SpanStudentConfig:
    return SpanStudentConfig.model_validate({**towns.student(tmp_path), **parts})


def asked(numbers: range, *, before: str = "") -> list[Asked]:
    out = []
    for number in numbers:
        for what in towns.ASKED:
            row = towns.row_of(number, what)
            start = row["answers"]["answer_start"][0] + len(before)
            out.append(Asked(row["id"], before + row["context"], row["question"], row["answers"]["text"][0], start))
    return out


@pytest.mark.slow
def test_it_learns_and_the_same_seed_gives_the_same(tmp_path: Path) -> None:
    train = asked(range(12))
    student = train_spans(config(tmp_path, epochs=80, batch_size=4, learning_rate=3e-3), train, seed=0)
    said = student.answer(train)
    assert sum(answer.text == each.answer for answer, each in zip(said, train, strict=True)) >= 22
    assert student.facts["losses"][-1] < 0.5 * student.facts["losses"][0]
    short = [train_spans(config(tmp_path), train, seed=seed).answer(train) for seed in (0, 0, 1)]
    assert short[0] == short[1] != short[2]


def test_every_answer_is_a_span_of_its_context(tmp_path: Path) -> None:
    train = asked(range(3))
    for answer, each in zip(train_spans(config(tmp_path), train, seed=0).answer(train), train, strict=True):
        assert answer.text
        assert answer.text in each.context


def test_an_answer_behind_the_first_window_is_found_and_trained_on(tmp_path: Path) -> None:
    """A window of 24 tokens holds the question and not all of 34; the answer stands in the second."""
    before = "town1 lies by the river belt . " * 2
    train = asked(range(12), before=before)
    student = train_spans(config(tmp_path, epochs=1), train, seed=0)
    assert student.facts["windows"] > 2 * len(train)
    assert 0 < student.facts["without_answer"] <= student.facts["windows"] - len(train)
    from variegate.students.spans import _windows

    held = {window["asked"] for window in _windows(student.tokenizer, train, student.config) if window["end"]}
    assert held == set(range(len(train)))


def test_what_it_says_of_a_context_does_not_depend_on_where_windows_are_cut_off_in_a_batch(tmp_path: Path) -> None:
    student = train_spans(config(tmp_path), asked(range(12)), seed=0)
    both = [*asked(range(2)), *asked(range(2), before="town1 lies by the river belt . " * 3)]
    together = student.answer(both)
    assert [student.answer([each])[0].text for each in both] == [answer.text for answer in together]


def test_saved_and_loaded_it_answers_alike_and_plain_transformers_reads_it(tmp_path: Path) -> None:
    import transformers

    train = asked(range(4))
    student = train_spans(config(tmp_path), train, seed=0)
    student.save(tmp_path / "saved")
    loaded = load_spans(tmp_path / "saved")
    assert [each.text for each in loaded.answer(train)] == [each.text for each in student.answer(train)]
    assert loaded.trained_on == student.trained_on
    assert len(loaded.trained_on) == len(train)
    plain = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path / "saved")
    assert plain.config.num_labels == 2


@pytest.mark.parametrize(
    ("parts", "questions", "wrong"),
    [
        ({}, [], "no question is left to train on"),
        ({"max_tokens": 64}, None, "max_tokens: 64: model .* reads at most 24"),
        ({}, [Asked("q1", "town1 lies", "who " * 20, "town1", 0)], "question q1: 20 tokens leave its context too little room in 24"),
    ],
)
def test_what_cannot_be_trained_is_a_clear_error(tmp_path: Path, parts: Any, questions: list[Asked] | None, wrong: str) -> None:
    with pytest.raises(UsageError, match=wrong):
        train_spans(config(tmp_path, **parts), asked(range(2)) if questions is None else questions, seed=0)


def test_a_training_that_diverges_stops(tmp_path: Path) -> None:
    with pytest.raises(VariegateError, match="the training diverged: the loss is"):
        train_spans(config(tmp_path, learning_rate=1e30, warmup=0.0, epochs=3, max_grad_norm=1e30), asked(range(12)), seed=0)
