"""Curation files: names and paths inside them, overrides by place and by kind, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from variegate.config.curation import CurationConfig, DuplicatesStage, LabelReplacementStage, RelabelStage
from variegate.config.load import load_curation
from variegate.errors import ConfigError, UsageError

TEXT = """
oracle: student.yaml
stages:
  - kind: duplicates
    against: [test, held.txt, nowhere.txt]
  - kind: label_replacement
    labels: mine.csv
    inspected: 90
  - kind: relabel
    model: nano-llama
  - kind: relabel
    chunk: 512
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    for name, text in (("c.yaml", TEXT), ("held.txt", "x"), ("mine.csv", "id,label\n"), ("student.yaml", "kind: linear_svc\nC: 2.0\n")):
        (tmp_path / name).write_text(text)
    return str(tmp_path / "c.yaml")


def test_names_and_files_are_found(file: str, tmp_path: Path) -> None:
    config = load_curation(file)
    assert (config.oracle.kind, getattr(config.oracle, "C", None)) == ("linear_svc", 2.0)
    first, second, third, fourth = config.stages
    assert isinstance(first, DuplicatesStage)
    assert first.against == ["test", str((tmp_path / "held.txt").resolve()), "nowhere.txt"]
    assert isinstance(second, LabelReplacementStage)
    assert second.labels == str((tmp_path / "mine.csv").resolve())
    assert isinstance(third, RelabelStage)
    assert third.model is not None
    assert third.model.name == "nano-llama"
    assert isinstance(fourth, RelabelStage)
    assert fourth.model is None


def test_a_file_in_the_working_directory_is_found_too(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "here.csv").write_text("id,label\n")
    monkeypatch.chdir(elsewhere)
    stage = load_curation(file, ["stages.label_replacement.labels=here.csv"]).stages[1]
    assert isinstance(stage, LabelReplacementStage)
    assert stage.labels == str((elsewhere / "here.csv").resolve())


def test_overrides_name_stages_by_place_and_by_kind(file: str) -> None:
    config = load_curation(
        file,
        [
            "seed=7", "oracle.C=0.5", "stages.0.near=null", "stages.label_replacement.inspected=all", "stages.2.model.engine.dtype=float32",
            "stages.3.margin=0.25",
        ],
    )  # fmt: skip
    stages = config.stages
    assert (config.seed, getattr(config.oracle, "C", None)) == (7, 0.5)
    assert isinstance(stages[0], DuplicatesStage)
    assert stages[0].near is None
    assert isinstance(stages[1], LabelReplacementStage)
    assert stages[1].inspected == "all"
    assert isinstance(stages[2], RelabelStage)
    assert stages[2].model is not None
    assert (stages[2].model.name, stages[2].model.engine.dtype, stages[2].margin) == ("nano-llama", "float32", 0)
    assert isinstance(stages[3], RelabelStage)
    assert stages[3].margin == 0.25


def test_the_oracle_that_a_file_does_not_name_can_be_set() -> None:
    assert getattr(load_curation("oracle", ["oracle.C=3"]).oracle, "C", None) == 3
    assert load_curation("oracle", ["oracle=linear_svc"]).oracle.kind == "linear_svc"


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.relabel.margin=1", "'relabel' stands there 2 times: give its place, from 0"),
        ("stages.label_replacment.weight=1", "'label_replacment' is not in the list; did you mean 'label_replacement'?"),
        ("stages.9.margin=1", "'9' is not in the list. In the list: 0 to 3 or duplicates, label_replacement, relabel, relabel"),
        ("seed.x=1", "'x' cannot be set inside"),
    ],
)
def test_overrides_that_name_nothing(file: str, override: str, words: str, request: pytest.FixtureRequest) -> None:
    text = Path(file).read_text()
    Path(file).write_text(text + "seed: 1\n")
    with pytest.raises(UsageError) as error:
        load_curation(file, [override])
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.0.nere=1", "unknown key 'stages.0.nere'; did you mean 'near'?"),
        ("stages.1.inspected=1", "expected `all` or at least 2"),
        ("stages.1.weight=1.5", "less than or equal to 1"),
        ("stages=[]", "at least 1"),
        ("stages=[{kind: relable}]", "relable"),
        ("oracle.kind=bert", "bert"),
    ],
)
def test_values_that_are_refused(file: str, override: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_curation(file, [override])
    assert words in str(error.value)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no bundled curation has this name; did you mean 'relabel'"):
        load_curation("relable")
    with pytest.raises(ConfigError, match="no bundled student has this name"):
        load_curation("oracle", ["oracle=nobody"])


def test_a_resolved_curation_reads_back_as_itself(file: str, tmp_path: Path) -> None:
    config = load_curation(file)
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_curation(str(tmp_path / "resolved.yaml")) == config
    assert isinstance(config, CurationConfig)
