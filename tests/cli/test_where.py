"""`--where`: measures and students of a part of a run, by what its strategy noted of the texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.quiz import make_quiz, quiz_engine
from variegate.cli.main import main
from variegate.pipeline.generate import generate
from variegate.store.run_folder import RunFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    place = tmp_path_factory.mktemp("where")
    generate(make_quiz(place / "run", place / "data"), start=lambda _: quiz_engine(lent=True))
    return RunFolder(place / "run")


def call(*arguments: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(main, list(map(str, arguments)))
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


def below(run: RunFolder, alpha: float) -> int:
    return sum(record.origin["facts"]["alpha"] < alpha for record in run.records())


def test_measures_of_a_part_are_kept_nowhere(run: RunFolder) -> None:
    found = json.loads(call("measure", run.path, "--where", "alpha<0.85", "--json", "--map", "none"))
    assert found["set"]["n"] == below(run, 0.85)
    assert found["set"]["source"] == f"{run.path}, where alpha<0.85"
    assert not (run.path / "measures.json").exists()


def test_measures_of_each_share(run: RunFolder) -> None:
    found = json.loads(call("measure", run.path, "--label-field", "alpha", "--no-save", "--json", "--map", "none"))
    assert set(found["labels"]) == {f"{record.origin['facts']['alpha']:g}" for record in run.records()}


def test_a_student_of_a_part_has_its_own_folder(run: RunFolder) -> None:
    scores = json.loads(call("train", run.path, "--where", "alpha<0.9", "--where", "cycle>=0", "--no-baselines", "--json"))
    assert scores["train"]["n"] == below(run, 0.9)
    assert (run.path / "students" / "logistic_regression-alpha-below-0.9-cycle-from-0" / "scores.json").is_file()


@pytest.mark.parametrize("command", ["train", "measure"])
def test_a_condition_that_does_not_apply_is_refused(run: RunFolder, command: str) -> None:
    assert "no field 'alfa'; did you mean 'alpha'?" in call(command, run.path, "--where", "alfa<1", "--no-save", code=2)
    assert "expected FIELD=VALUE" in call(command, run.path, "--where", "alpha", "--no-save", code=2)
