"""Real answers of a small chat model (SmolLM2-135M-Instruct), each beside what a careful person takes of it.

The labels were written by reading each raw answer before the rules were run on it, by whoever wrote the rules.

chat_answers.jsonl: those of its other tasks (`held_out`) were held out at first, and 82.6 % of them read as labelled; rules were then made
for the kinds of what was misread, so that their 94 % say little now. No answer that copies a real example is among them.
chat_answers_fresh.jsonl: 96 answers to nine tasks of which none stands there, at temperatures of 0.6 to 1.2, made and labelled afterwards.
83.3 % are read as labelled; no rule was made from them. A third of what is misread is a text about the task ("An overview of a river and
its tributary") that a person would drop.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from variegate.config import TaskConfig
from variegate.config.load import load_task
from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.kinds import kind_of
from variegate.records import Completion, Request, Sampling, Target
from variegate.strategies.conversation import Brief
from variegate.strategies.reading import Reader
from variegate.strategies.writing import Writer


def stored(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(__file__).with_name(name).open(encoding="utf-8")]


ANSWERS, FRESH = stored("chat_answers.jsonl"), stored("chat_answers_fresh.jsonl")


@cache
def reading(name: str) -> tuple[TaskConfig, Reader]:
    task = load_task(name)
    return task, Reader(task, chat=True, keep_unfinished=False)


def read(answer: dict[str, Any]) -> tuple[str | None, str]:
    task, reader = reading(answer["task"])
    kind, form, *_ = answer["strategy"].split()
    config = STRATEGY_CONFIGS.find(kind).model_validate({"kind": kind, "form": form})
    writer = Writer.of(Brief(config, task, kind_of(task), Sampling(), chat=True))
    target = Target((answer["label"],))
    messages = writer.chung_messages(target, ()) if form == "chung" else writer.li_messages(target, (), ())
    completion = Completion("k", answer["raw"], (), answer["finish"], 0)
    piece = reader.one_text(Request(messages, Sampling(), target), completion)
    return (None, piece.reason) if piece.reason else (piece.text, "")


OTHERS = {held_out: [answer for answer in ANSWERS if answer["held_out"] == held_out] for held_out in (False, True)}


@pytest.mark.parametrize(("answers", "least"), [(OTHERS[False], 0.95), (OTHERS[True], 0.9), (FRESH, 0.8)], ids=["tuned", "kinds", "fresh"])
def test_real_answers_are_read_as_a_careful_person_reads_them(answers: list[dict[str, Any]], least: float) -> None:
    wrong = [(answer, got) for answer in answers if (got := read(answer)) != (answer["text"], answer["reason"])]
    right = 1 - len(wrong) / len(answers)
    for answer, got in wrong:
        print(f"{answer['task']} {answer['raw']!r}\n  person: {answer['text'] or answer['reason']!r}\n  read:   {got[0] or got[1]!r}")
    print(f"{right:.1%} of {len(answers)}")
    assert right >= least


def test_a_text_that_needs_nothing_taken_off_is_left_alone() -> None:
    """All but 3 %, held out or not; and none of them is refused."""
    fine = [answer for answer in ANSWERS if answer["text"] == " ".join(answer["raw"].split())]
    changed = [got for answer in fine if (got := read(answer)) != (answer["text"], "")]
    assert len(changed) <= 0.03 * len(fine), changed
    assert not any(reason for _, reason in changed), changed
