"""Study files: names and paths are found, overrides reach study and run, errors name the file and the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from variegate.config.load import assignment
from variegate.config.load_study import load_study
from variegate.config.resources import bundled
from variegate.config.study_cells import cells_of
from variegate.errors import ConfigError, UsageError

STUDY: dict[str, Any] = {"run": "run.yaml", "axes": {"temperature": [0.7, 1.3]}}


def write(folder: Path, **parts: Any) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({**STUDY, **parts}, sort_keys=False))
    return str(path)


@pytest.mark.parametrize("name", bundled("studies"))
def test_bundled_studies_load(name: str) -> None:
    study = load_study(name)
    assert study.name == name
    assert len(cells_of(study)) > 1


def test_a_study_by_names_is_resolved(files: Path) -> None:
    (files / "lr.yaml").write_text("stages: [{kind: label_replacement, inspected: 3}]\noracle: svc.yaml\n")
    (files / "svc.yaml").write_text("kind: linear_svc\n")
    study = load_study(
        write(
            files,
            set={"target.per_label": 7, "task.text_type": "haiku"},
            student="svc.yaml",
            curations={"lr": "lr.yaml", "inline": {"stages": [{"kind": "audit"}], "oracle": "logistic_regression"}},
            axes={"curation": ["none", "lr", "inline", "oracle"]},
        )
    )
    assert (study.name, study.output) == ("mine", "runs/studies/mine")
    assert (study.run.target.per_label, study.run.task.text_type) == (7, "haiku")
    assert study.student is not None
    assert study.student.kind == "linear_svc"
    assert study.curations["lr"].oracle.kind == "linear_svc"
    assert study.curations["oracle"].stages[0].kind == "label_replacement"  # a bundled one, by its name alone
    assert study.options()["curation"] == ["none", "lr", "inline", "oracle"]


def test_overrides_reach_the_study_and_its_run_in_order(files: Path) -> None:
    path = write(files, set={"target.per_label": 7, "decoding.top_p": 0.5})
    study = load_study(path, ["run.target.per_label=9", "replicates=2", "axes.temperature=[0]", "run.task.text_type=haiku", "name=other"])
    assert (study.run.target.per_label, study.run.decoding.top_p, study.replicates) == (9, 0.5, 2)
    assert (study.axes.temperature, study.run.task.text_type, study.name) == ([0.0], "haiku", "other")


def test_an_inline_run_is_found_from_the_studys_folder(files: Path) -> None:
    study = load_study(write(files, run={"task": "feelings.yaml", "model": "nano-llama", "strategy": {"kind": "zero_shot"}}))
    assert study.run.task.name == "feelings"


def test_models_of_an_own_axis_are_read(files: Path) -> None:
    study = load_study(write(files, axes={"model": {"small": {"model": "nano-llama"}, "named": {"model.name": "other"}}}))
    names = [cell.run.model.name for cell in cells_of(study) if cell.replicate == 0]
    assert names == ["nano-llama", "other"]


def test_the_resolved_study_loads_back(files: Path) -> None:
    study = load_study(
        write(
            files,
            axes={"suppression": [False, "label"], "prompt": {"a": {"decoding.max_tokens": 9}, "b": {}}, "curation": [None, "oracle"]},
        )
    )
    again = files / "elsewhere" / "mine.yaml"
    again.parent.mkdir()
    again.write_text(yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False))
    loaded = load_study(str(again))
    assert loaded == study
    assert cells_of(loaded) == cells_of(study)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"replicats": 3}, "unknown key 'replicats'; did you mean 'replicates'?"),
        ({"axes": {"temprature": [1]}}, "unknown axis 'temprature'; did you mean 'temperature'?"),
        ({"axes": {"curation": ["orakle"]}}, "unknown curation 'orakle'"),
        ({"axes": {"mine": {"a": {"decoding.temprature": 1}}}, "replicates": 1}, None),
        ({"run": "rum.yaml"}, "run 'rum.yaml': no such file"),
        ({"run": 3}, "run: expected a bundled run's name, a path, or the run itself, got 3"),
        ({"set": {"decoding.temprature": 1}}, "unknown key 'decoding.temprature'; did you mean 'temperature'?"),
        ({"set": [1]}, "set: expected fields and their values"),
        ({"curations": [1]}, "curations: expected names and what each one is"),
        ({"curations": {"a": "nothing"}}, "curation 'nothing': no such file"),
        ({"student": "nothing"}, "student 'nothing': no such file"),
        ({"student": {"kind": "linear_svc", "max_itr": 1}}, "unknown key 'student.max_itr'; did you mean 'max_iter'?"),
        ({"oracle": {"kind": "svc"}}, "oracle: Input tag 'svc'"),
    ],
)
def test_errors_name_file_and_field(files: Path, parts: dict[str, Any], says: str | None) -> None:
    path = write(files, **parts)
    if says is None:  # told with the cell, when cells are made
        study = load_study(path)
        with pytest.raises(ConfigError, match=r"study 'mine': mine a: unknown key 'decoding.temprature'; did you mean 'temperature'\?"):
            cells_of(study)
        return
    with pytest.raises(ConfigError) as caught:
        load_study(path)
    assert says in str(caught.value)


def test_a_run_without_and_a_study_that_is_not_there(files: Path) -> None:
    (files / "mine.yaml").write_text("axes: {temperature: [1]}\n")
    with pytest.raises(ConfigError, match=r"mine\.yaml: run is missing: add it"):
        load_study(str(files / "mine.yaml"))
    with pytest.raises(ConfigError, match=r"study 'nanno': no such file.*did you mean 'nano'\?"):
        load_study("nanno")
    with pytest.raises(UsageError, match="expected KEY=VALUE"):
        load_study(write(files), ["run.seed"])


@pytest.mark.parametrize(
    "value", [0.7, 1e-5, "off", "wait...", "...", "a: b\nc", None, False, [1, "x"], {"a": {"b": "é"}}, "0.7", " x ", "x\n", "\n", ""]
)
def test_an_assignment_says_exactly_its_value(value: Any) -> None:
    from variegate.config.load import apply_overrides

    assert apply_overrides({}, [assignment("k", value)]) == {"k": value}
    assert type(apply_overrides({}, [assignment("k", value)])["k"]) is type(value)
