"""A run of questions from the first to the student's exact match, found again, and redone where something changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support import towns
from tests.support.progress import Heard
from tests.support.whole_run import never, statuses
from variegate.cli.main import main
from variegate.config.load import to_yaml
from variegate.config.load_stages import load_run_file
from variegate.errors import UsageError
from variegate.pipeline.stages.outlook import look_ahead
from variegate.pipeline.stages.run import RunOfStages, run_stages
from variegate.store.run_folder import RunFolder
from variegate.store.verify import verify


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    config = towns.make_config(tmp_path / "run")
    path = tmp_path / "towns.run.yaml"
    student = {**towns.student(tmp_path), "epochs": 1}
    sections = {"measure": {"encoder": student["model"], "k": 2}, "train": {"student": student, "seeds": 2}}
    path.write_text(f"{to_yaml(config)}{''.join(f'{name}: {json.dumps(each)}' + chr(10) for name, each in sections.items())}")
    return path


def run(run_file: Path, *overrides: str, start: Any = None, progress: Any = None) -> RunOfStages:
    report = lambda folder: folder.path / "report.html"  # noqa: E731
    start = start or (lambda _: towns.engine())
    return run_stages(*load_run_file(run_file, overrides), report=report, start=start, progress=progress)


@pytest.mark.slow
def test_from_the_first_question_to_the_students_answers(run_file: Path, tmp_path: Path) -> None:
    heard = Heard()
    done = run(run_file, progress=heard)
    assert statuses(done) == {
        "generate": "made",
        "curate": "skipped",
        "measure": "made",
        "train": "made",
        "evaluate": "made",
        "report": "made",
    }
    assert "a curation judges labels, and records of task kind 'extractive_qa' have none" in done.outcomes[1].words
    scores = json.loads((tmp_path / "run/students/span_qa/questions.json").read_bytes())
    assert [(row["name"], len(row["f1"]["values"])) for row in scores["rows"]] == [("set", 2), ("real", 2)]
    assert done.facts("evaluate") == scores
    assert any(note.startswith("[5/6] evaluate: made: A student of the generated questions") for note in heard.notes)
    assert verify(RunFolder(tmp_path / "run")).ok

    again = run(run_file, start=never)
    assert statuses(again) == {**dict.fromkeys(statuses(again), "reused"), "curate": "skipped", "report": "made"}
    assert [each.status for each in look_ahead(*load_run_file(run_file))[0]] == ["reused", "skipped", "reused", "reused", "reused", "made"]

    other = run(run_file, "train.student.epochs=2", start=never)
    assert statuses(other)["train"] == statuses(other)["evaluate"] == "made"
    assert statuses(other)["measure"] == "reused"
    assert verify(RunFolder(tmp_path / "run")).ok

    result = CliRunner().invoke(main, ["run", str(run_file), "--set", "train.student.epochs=2"])
    assert result.exit_code == 0, result.output
    assert "A student of the generated questions (" in result.stdout
    assert "context: " in result.stdout


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.student=minilm", "train: student finetune: cannot learn task kind 'extractive_qa': choose one of span_qa"),
        ("train.with_examples=true", "train: with_examples: a student of questions has no use for it"),
        ("curate=relabel", "a curation judges labels, and records of task kind 'extractive_qa' have none"),
    ],
)
def test_what_does_not_serve_questions_is_refused_by_the_kinds_name(run_file: Path, override: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        run(run_file, override, start=never)
    assert not (run_file.parent / "run").exists()
