"""What becomes of a run's records, out of its file: names, paths and fields, and what the file leaves out."""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config import load_run
from variegate.config.curation import DuplicatesStage, RelabelStage
from variegate.config.load import to_yaml
from variegate.config.load_stages import load_run_file
from variegate.config.load_study import load_study
from variegate.config.resources import bundled
from variegate.config.stages import EvaluateConfig, StagesConfig
from variegate.config.student import FinetunedStudentConfig, LinearStudentConfig
from variegate.errors import ConfigError, UsageError
from variegate.kinds import kind_of

SECTIONS = "curate: mine.yaml\nmeasure: null\ntrain: {student: minilm, seeds: 2}\nevaluate: {baselines: false}\n"


def stages_of(files: Path, text: str = "", *overrides: str) -> StagesConfig:
    path = files / "run.yaml"
    path.write_text("task: feelings.yaml\nmodel: nano-llama\nstrategy: {kind: zero_shot}\n" + text)
    return load_run_file(path, overrides)[1]


def test_by_names_paths_and_fields(files: Path) -> None:
    (files / "mine.yaml").write_text("stages: [{kind: relabel, model: nano-t5, margin: 0.1}]\noracle: linear_svc\n")
    stages = stages_of(files, SECTIONS)
    assert stages.curate is not None
    (relabel,) = stages.curate.stages
    assert isinstance(relabel, RelabelStage)
    assert (stages.curate.name, relabel.margin, relabel.model and relabel.model.name) == ("mine", 0.1, "nano-t5")
    assert stages.curate.oracle.kind == "linear_svc"
    assert stages.measure is None
    assert stages.train is not None
    assert isinstance(stages.train.student, FinetunedStudentConfig)
    assert (stages.train.name, stages.train.seeds) == ("minilm", 2)
    assert stages.evaluate == EvaluateConfig(baselines=False)


def test_what_is_left_out_is_as_the_task_allows(files: Path) -> None:
    stages = stages_of(files)
    assert stages.curate is not None
    (only,) = stages.curate.stages
    assert isinstance(only, DuplicatesStage)
    assert (stages.curate.name, only.against) == ("default", [])
    assert stages.measure is not None
    assert stages.measure.reference is None
    assert stages.train is not None
    assert (stages.train.student, stages.train.name) == (LinearStudentConfig(kind="logistic_regression"), "logistic_regression")
    assert stages.evaluate == EvaluateConfig()
    for name in ("train", "test"):
        (files / f"{name}.jsonl").touch()
    text = (files / "feelings.yaml").read_text()
    (files / "feelings.yaml").write_text(f"{text}data: {{train: train.jsonl, test: test.jsonl, dev: not-here.jsonl}}\n")
    stages = stages_of(files)
    assert stages.curate is not None
    assert stages.measure is not None
    assert isinstance(stages.curate.stages[0], DuplicatesStage)
    assert (stages.curate.stages[0].against, stages.measure.reference) == (["test"], "train")


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("curate=relabel", "curate.name", "relabel"),
        ("curate.stages.duplicates.near=null", "curate.stages.0.near", None),
        ("train.student=linear_svc", "train.name", "linear_svc"),
        ("train.student.C=2", "train.student.C", 2),
        ("train.student={kind: linear_svc, C: 3}", "train.name", "linear_svc"),
        ("train=null", "train", None),
        ("evaluate=null", "evaluate", None),
        ("measure.k=3", "measure.k", 3),
        ("train.seed=4", "train.seed", 4),
    ],
)
def test_overrides(files: Path, override: str, path: str, value: object) -> None:
    found: object = stages_of(files, "", override).model_dump()
    for key in path.split("."):
        found = found[int(key) if isinstance(found, list) else key]  # type: ignore[index, call-overload]
    assert found == value


def test_overrides_reach_into_what_is_named(files: Path) -> None:
    stages = stages_of(files, "", "curate=relabel", "curate.stages.relabel.model=nano-t5", "train.student=minilm", "train.student.epochs=1")
    assert stages.curate is not None
    assert stages.train is not None
    (relabel,) = stages.curate.stages
    assert isinstance(relabel, RelabelStage)
    assert relabel.model is not None
    assert relabel.model.name == "nano-t5"
    assert isinstance(stages.train.student, FinetunedStudentConfig)
    assert (stages.train.student.epochs, stages.train.name) == (1, "minilm")


@pytest.mark.parametrize(
    ("text", "overrides", "says"),
    [
        ("trian: {}\n", (), r"unknown key 'trian'; did you mean 'train'\?"),
        ("train: {studnt: minilm}\n", (), r"unknown key 'train\.studnt'; did you mean 'student'\?"),
        ("curate: {stages: [{kind: duplicates, naer: 1}]}\n", (), "did you mean 'near'"),
        ("curate: relable\n", (), "no bundled curation has this name; did you mean 'relabel'"),
        ("train: {student: minilmm}\n", (), "no bundled student has this name; did you mean 'minilm'"),
        ("train: minilm\n", (), "train"),
        ("", ("train.seeds=2",), "logistic_regression depends on no seed"),
    ],
)
def test_what_is_wrong_is_named(files: Path, text: str, overrides: tuple[str, ...], says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        stages_of(files, text, *overrides)
    assert "run.yaml" in str(caught.value) or "bundled" in str(caught.value)


def test_the_run_itself_knows_nothing_of_them(files: Path) -> None:
    plain = load_run(files / "run.yaml")
    (files / "mine.yaml").write_text("stages: [{kind: duplicates}]\n")
    stages_of(files, SECTIONS)
    assert load_run(files / "run.yaml") == plain
    assert load_run_file(files / "run.yaml")[0] == plain
    assert not {"curate", "train"} & set(plain.model_dump())


def test_a_folder_holds_them_beside_its_run(files: Path) -> None:
    (files / "mine.yaml").write_text("stages: [{kind: relabel, margin: 0.1}]\n")
    stages = stages_of(files, SECTIONS)
    run = load_run(files / "run.yaml")
    folder = files / "folder"
    folder.mkdir()
    (folder / "run.yaml").write_text(to_yaml(run))
    (folder / "stages.yaml").write_text(to_yaml(stages))
    assert load_run_file(folder / "run.yaml") == (run, stages)


def test_a_study_takes_the_run_alone(files: Path) -> None:
    (files / "mine.yaml").write_text("stages: [{kind: duplicates}]\n")
    stages_of(files, SECTIONS)
    study = files / "study.yaml"
    study.write_text("run: run.yaml\nstudent: null\naxes: {temperature: [0.5, 1]}\n")
    assert load_study(str(study)).run.task.name == "feelings"
    study.write_text(
        "run: {task: feelings.yaml, model: nano-llama, strategy: {kind: zero_shot}, curate: mine.yaml}\naxes: {temperature: [1]}\n"
    )
    with pytest.raises(ConfigError, match="unknown key"):
        load_study(str(study))


@pytest.mark.parametrize("name", bundled("runs"))
def test_every_bundled_run_says_what_becomes_of_its_records(name: str) -> None:
    run, stages = load_run_file(bundled("runs")[name])
    assert stages.train is not None
    assert stages.train.student.kind in kind_of(run.task).students
