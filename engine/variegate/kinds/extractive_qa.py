"""A context, a question about it, and the answer: words copied from the context exactly. The context is given; the model writes the rest.

Records have the columns of SQuAD on the Hugging Face hub; data files are those, or the nested JSON of SQuAD 1.1 itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from variegate.closed import Text
from variegate.kinds import Fields
from variegate.kinds.labelled import Labelled
from variegate.kinds.task import DataConfig, LabelConfig, TaskConfig
from variegate.records import Target

QUESTION, ANSWER = "Question", "Answer"  # the lines of an answer
NO_SPAN, PART_MISSING = "answer_not_in_context", "part_missing"  # reasons
_LINES = re.compile(rf"{QUESTION}: (.+)\n{ANSWER}: (.+)")
_QUOTED = " \t\"'“”‘’`"


class ExtractiveQaTask(TaskConfig):
    kind: Literal["extractive_qa"]
    labels: dict[Text, LabelConfig] = Field(default_factory=dict, max_length=0)
    """None: a question has no label. `target.per_label` counts questions."""
    data: DataConfig
    """Contexts with questions and answers: JSONL with SQuAD's columns, or .json as SQuAD 1.1 nests it. `train` holds what is given."""


class ExtractiveQa(Labelled):
    name: ClassVar[str] = "extractive_qa"
    config: ClassVar[type[TaskConfig]] = ExtractiveQaTask
    labelled: ClassVar[bool] = False
    students: ClassVar[tuple[str, ...]] = ("span_qa",)
    scores: ClassVar[tuple[str, ...]] = ("exact_match", "f1")
    categories: ClassVar[tuple[str, ...]] = ("question-answering",)
    answer_lines: ClassVar[tuple[str, ...]] = (QUESTION, ANSWER)
    formats: ClassVar[tuple[str, ...]] = ("squad",)

    def __init__(self) -> None:
        super().__init__(("context", "question"), "question", ("context", "question"))
        self.columns = {"context": "string", "question": "string", "answers": "answers"}

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> ExtractiveQa:
        return cls()

    def fields(self, texts: Sequence[str], label: str) -> Fields:
        return {"context": texts[0], "question": texts[1], "answers": {"text": [], "answer_start": []}}

    def target(self, fields: Fields) -> Target:
        return Target((), self._given(fields))

    def assemble(self, target: Target, text: str) -> Fields | str:
        """text: `Question: ...` and `Answer: ...`, a line each. The answer is taken as the context spells it."""
        found = _LINES.fullmatch(text)
        if not found:
            return PART_MISSING
        context = str(target.given["context"])
        span = find_span(context, found[2])
        if span is None:
            return NO_SPAN
        return {"context": context, "question": found[1], "answers": {"text": [context[slice(*span)]], "answer_start": [span[0]]}}

    def said(self, fields: Fields) -> str:
        return f"{QUESTION}: {fields['question']}\n{ANSWER}: {next(iter(fields['answers']['text']), '')}"

    def show(self, fields: Fields) -> str:
        return (
            f"context: {fields['context']}\nquestion: {fields['question']}\nanswer: {' | '.join(dict.fromkeys(fields['answers']['text']))}"
        )

    def gold(self, fields: Fields) -> Any:
        return list(fields["answers"]["text"])

    def read_rows(self, document: Any) -> Iterator[tuple[str, Fields | str]]:
        """(where, record, or what is wrong) of each question of a data file's content: rows of JSONL, or one nested document."""
        rows = squad_rows(document) if isinstance(document, Mapping) else ((f"row {n}", row) for n, row in enumerate(document, 1))
        return ((where, record_of(row)) for where, row in rows)

    def document(self, format: str, rows: Iterable[Mapping[str, Any]], title: str) -> Iterator[bytes]:
        """The records as one file of a format of `formats`. rows: with an `id` each. Those of one context that follow each other are one
        paragraph."""
        yield b'{"version": "1.1", "data": [{"title": ' + json.dumps(title).encode() + b', "paragraphs": ['
        context, paragraph = None, 0
        for row in rows:
            answers = row["answers"]
            spans = [{"text": text, "answer_start": start} for text, start in zip(answers["text"], answers["answer_start"], strict=True)]
            question = json.dumps({"id": row["id"], "question": row["question"], "answers": spans}, ensure_ascii=False).encode()
            if row["context"] != context:
                context = row["context"]
                opening = b"]}, " if paragraph else b""
                yield opening + b'{"context": ' + json.dumps(context, ensure_ascii=False).encode() + b', "qas": [\n' + question
                paragraph += 1
            else:
                yield b",\n" + question
        yield (b"]}" if paragraph else b"") + b"]}]}\n"


def find_span(context: str, answer: str) -> tuple[int, int] | None:
    """Where the answer stands in the context first, not within a word: as it is, else without quotation marks and full stop around it,
    else whatever the case of its letters. None where it does not."""
    for said in dict.fromkeys((answer.strip(), answer.strip().strip(_QUOTED), answer.strip().strip(_QUOTED).rstrip(".").rstrip())):
        if said:
            whole = rf"(?<!\w){re.escape(said)}(?!\w)"
            found = re.search(whole, context) or re.search(whole, context, re.IGNORECASE)
            if found:
                return found.start(), found.end()
    return None


def squad_rows(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """(where, flat row) of each question of a document as SQuAD 1.1 nests it: data, paragraphs, qas. What has no such form is a row of
    its own, which `record_of` finds wrong."""
    articles = document.get("data")
    if not isinstance(articles, list):
        yield "the file", {}
        return
    for place, article in enumerate(articles, 1):
        for number, paragraph in enumerate(_list(article, "paragraphs"), 1):
            for asked in _list(paragraph, "qas"):
                row = asked if isinstance(asked, Mapping) else {}
                where = f"article {place}, paragraph {number}, question {row.get('id')!r}"
                yield where, {**row, "context": paragraph.get("context")}


def _list(value: Any, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, Mapping) else None
    return found if isinstance(found, list) else []


def record_of(row: Any) -> Fields | str:
    """The record of a flat row, or what is wrong with it. answers: {"text": [...], "answer_start": [...]}, or a list of {"text",
    "answer_start"}."""
    if not isinstance(row, Mapping):
        return f"expected an object with context, question and answers, got {type(row).__name__}"
    for name in ("context", "question"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            return f"field {name!r}: expected text, got {row.get(name)!r}"
    answers = row.get("answers")
    if isinstance(answers, list) and all(isinstance(each, Mapping) for each in answers):
        answers = {"text": [each.get("text") for each in answers], "answer_start": [each.get("answer_start") for each in answers]}
    texts, starts = (answers.get(name) if isinstance(answers, Mapping) else None for name in ("text", "answer_start"))
    if not isinstance(texts, list) or not isinstance(starts, list) or len(texts) != len(starts):
        return "field 'answers': expected SQuAD's, with as many `text` as `answer_start`"
    if not texts:
        return "field 'answers': the question has no answer: leave such questions out, as SQuAD 1.1 does"
    context = row["context"]
    for text, start in zip(texts, starts, strict=True):
        if not isinstance(text, str) or not text or not isinstance(start, int) or context[start : start + len(text)] != text:
            return f"field 'answers': {text!r} does not stand in the context at {start!r}: an answer is words of its context"
    return {"context": context, "question": row["question"], "answers": {"text": texts, "answer_start": starts}}


KIND = ExtractiveQa
