"""Runs of questions from end to end on the fake engine, with a real student of spans: S3, exports, training, bad data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner

from tests.support import towns
from variegate.cli.main import main
from variegate.errors import ConfigError, UsageError
from variegate.folding import fold
from variegate.pipeline.generate import generate
from variegate.report import write_report
from variegate.store.export import export
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    engine = towns.engine()
    generate(towns.make_config(tmp_path / "run"), start=lambda _: engine, report=write_report)
    return RunFolder(tmp_path / "run")


def test_a_run_of_questions_keeps_spans_alone_and_takes_up_errors(folder: RunFolder) -> None:
    records = list(folder.records())
    assert len(records) > 10
    for record in records:
        (text,), (start,) = record.fields["answers"]["text"], record.fields["answers"]["answer_start"]
        assert record.fields["context"][start : start + len(text)] == text
        assert record.fields["question"].startswith(("who founded", "which river"))
    reasons = {row["reason"] for row in lines(folder.path / "dropped.jsonl")}
    assert {"answer_not_in_context", "part_missing"} <= reasons
    errors = [record for record in records if record.origin["facts"]["stage"] == "error"]
    assert errors
    works = json.loads((folder.path / "manifest.json").read_bytes())["works"]
    assert 0 <= works[0]["select"]["f1"] <= 1
    assert verify(folder).ok
    assert "answer not in context" in (folder.path / "report.html").read_text()


def test_it_resumes_to_the_same_bytes(folder: RunFolder, tmp_path: Path) -> None:
    from variegate.errors import Interrupted

    broken = towns.make_config(tmp_path / "broken")
    for stop in (2, 3):
        with pytest.raises(Interrupted):
            generate(broken, start=lambda _, stop=stop: towns.engine(fail_at=stop))
    generate(broken, start=lambda _: towns.engine())
    assert (tmp_path / "broken" / "records.jsonl").read_bytes() == (folder.path / "records.jsonl").read_bytes()


def test_exports(folder: RunFolder, tmp_path: Path) -> None:
    records = list(folder.records())
    document = json.loads(export(folder, "squad", tmp_path / "x.json").read_bytes())
    asked = [each for paragraph in document["data"][0]["paragraphs"] for each in paragraph["qas"]]
    assert [each["id"] for each in asked] == [record.id for record in records]
    table = pyarrow.parquet.read_table(export(folder, "parquet", tmp_path / "x.parquet"))
    assert table.to_pylist()[0]["answers"] == records[0].fields["answers"]
    assert lines(export(folder, "jsonl", tmp_path / "x.jsonl"))[0]["answers"] == records[0].fields["answers"]
    assert '"{""text"":[""' in export(folder, "csv", tmp_path / "x.csv").read_text()
    import datasets

    place = export(folder, "hf", tmp_path / "hf")
    found = datasets.load_dataset(str(place), split="train", cache_dir=str(tmp_path / "cache"))
    assert found[0]["answers"] == records[0].fields["answers"]
    assert found.features["answers"]["answer_start"].feature.dtype == "int32"
    assert "question-answering" in (place / "README.md").read_text()
    with pytest.raises(UsageError, match="format 'sqad' is not known; did you mean 'squad'"):
        export(folder, "sqad", tmp_path / "y")


def test_students_are_trained_and_judged_by_squads_scores(folder: RunFolder, tmp_path: Path) -> None:
    (tmp_path / "student.yaml").write_text(json.dumps(towns.student(tmp_path)))
    command = ["train", str(folder.path), "--student", str(tmp_path / "student.yaml"), "--seeds", "2"]
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 0, done.output
    assert "Judged on 12 questions of" in done.output
    scores = json.loads((folder.path / "students" / "student" / "questions.json").read_bytes())
    assert [(row["name"], len(row["f1"]["values"])) for row in scores["rows"]] == [("set", 2), ("real", 2)]
    answers = lines(folder.path / "students" / "student" / "answers.jsonl")
    assert [len(each["answers"]) for each in answers] == [2] * 12
    assert CliRunner().invoke(main, command).exit_code == 2  # it is there
    again = CliRunner().invoke(main, [*command, "--overwrite", "--json"])
    assert json.loads(again.stdout)["rows"] == scores["rows"]
    assert verify(folder).ok
    wrong = CliRunner().invoke(main, ["train", str(folder.path), "--student", "minilm"])
    assert (wrong.exit_code, "train one of kind span_qa with --student FILE" in wrong.output) == (2, True), wrong.output


def test_commands_of_labels_say_so(folder: RunFolder) -> None:
    for command in (["show", str(folder.path)], ["report", str(folder.path)], ["plan", str(folder.path)]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 0, done.output
    for command in (["curate", str(folder.path), "relabel"], ["curate", str(folder.path), "oracle"]):
        done = CliRunner().invoke(main, command)
        assert done.exit_code == 2, done.output
        assert "extractive_qa" in done.output


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ('{"context": "A b.", "question": "What?", "answers": {"text": ["c"], "answer_start": [0]}}\n', r"row 1: field 'answers': 'c' does not stand"),
        ("{\n", "not valid JSON"),
        ("", "holds no records"),
    ],
)  # fmt: skip
def test_bad_data_are_named(tmp_path: Path, content: str, wrong: str) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    config = towns.make_config(tmp_path / "run", data={"train": str(tmp_path / "bad.jsonl")})
    with pytest.raises(UsageError, match=rf"bad.jsonl: .*{wrong}"):
        generate(config, start=lambda _: towns.engine())


def test_squads_own_file_can_be_the_data(folder: RunFolder, tmp_path: Path) -> None:
    place = export(folder, "squad", tmp_path / "squad.json")
    config = towns.make_config(
        tmp_path / "again", 4, data={"train": str(place)}, strategy={"error_rounds": 0, "validation": 3, "select": 3}
    )
    assert generate(config, start=lambda _: towns.engine()).kept == 4


def test_a_student_that_does_not_fit_is_refused_with_the_run_file(tmp_path: Path) -> None:
    from variegate.config.load import build_run

    value = towns.make_config(tmp_path / "run").model_dump(mode="json")
    value["strategy"] = {"kind": "s3"}
    with pytest.raises(
        ConfigError, match=r"strategy.student: logistic_regression cannot learn task kind 'extractive_qa': choose one of span_qa"
    ):
        build_run(value, tmp_path, [], where="run.yaml", output="x")


def test_no_test_question_stands_in_any_prompt(tmp_path: Path) -> None:
    engine = towns.engine()
    config = towns.make_config(tmp_path / "run")
    generate(config, start=lambda _: engine)
    assert config.task.data
    assert config.task.data.test
    test = [fold(row["context"]) for row in lines(Path(config.task.data.test))]
    assert not [context for context in test for request in engine.asked if context in fold(request.prompt)]


def test_contexts_that_have_no_room_are_dropped_by_name_and_the_run_says_so(tmp_path: Path) -> None:
    from variegate.pipeline.driver.nothing import NothingKeptError

    with pytest.raises(NothingKeptError, match="prompt_too_long"):
        generate(towns.make_config(tmp_path / "run", 40), start=lambda _: towns.engine(max_model_len=130))
