"""Config files read strictly: what is wrong is named by file, field, value and nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from variegate.config import load_model, load_run, load_task
from variegate.config.load import apply_overrides, find_config, read_yaml
from variegate.config.strategies.few_shot import FewShotConfig
from variegate.errors import ConfigError, UsageError


def test_a_run_by_names_is_resolved(files: Path) -> None:
    config = load_run(files / "run.yaml")
    assert list(config.task.labels) == ["fear", "joy"]
    assert Path(config.model.path, "config.json").is_file()
    assert config.output == "runs/run"


@pytest.mark.parametrize(
    ("override", "field", "nearest"),
    [
        ("sed=1", "sed", "seed"),
        ("decoding.temprature=1", "decoding.temprature", "temperature"),
        ("decoding.suppression.florr=-1", "decoding.suppression.florr", "floor"),
        ("target.per_labl=1", "target.per_labl", "per_label"),
        ("strategy.histry=1", "strategy.histry", "history"),
        ("strategy={kind: few_shot, seedpool: 3}", "strategy.seedpool", "seed_pool"),
        ("model.engine.max_model_length=99", "model.engine.max_model_length", "max_model_len"),
        ("model.pth=x", "model.pth", "path"),
        ("task.word_limits=3", "task.word_limits", "word_limit"),
        ("task.labels.joy.descripton=x", "task.labels.joy.descripton", "description"),
        ("task.data={trian: x}", "task.data.trian", "train"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_one(files: Path, override: str, field: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run(files / "run.yaml", [override])
    message = next(line for line in str(caught.value).splitlines() if "unknown key" in line)
    assert f"unknown key {field!r}; did you mean {nearest!r}?" in message
    assert "run.yaml" in message


def test_unknown_keys_of_one_strategy_are_matched_with_its_own_fields(files: Path) -> None:
    """`grow_pool` is few_shot's alone: zero_shot must not offer it."""
    with pytest.raises(ConfigError) as caught:
        load_run(files / "run.yaml", ["strategy.grow_pol=true"])
    assert "did you mean 'grow_pool'" not in str(caught.value)
    assert "chats_per_label" in str(caught.value)


def test_an_error_in_a_task_file_names_that_file(files: Path) -> None:
    (files / "feelings.yaml").write_text((files / "feelings.yaml").read_text().replace(", description: The writer is glad.", ""))
    with pytest.raises(ConfigError, match=r"feelings\.yaml: labels\.joy\.description is missing"):
        load_run(files / "run.yaml")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed: 1\nmodel: x\nseed: 2\n", r"'seed' stands twice[\s\S]*line 3"),
        ("a:\n  b: 1\n  b: 1\n", "'b' stands twice"),
        ("a: [1\n", r"not valid YAML[\s\S]*line 2"),
        ("- 1\n", "expected a mapping .* got list"),
        ("", "got NoneType"),
        ("a: !!python/object/apply:os.system [true]\n", "could not determine a constructor"),
    ],
)
def test_wrong_yaml(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError, match=says):
        read_yaml(tmp_path / "x.yaml")


def test_unreadable_yaml(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("context: Café\n".encode("latin-1"))
    for name in ("latin.yaml", "missing.yaml", "."):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_yaml(tmp_path / name)


def test_overrides_are_yaml_and_leave_the_rest(files: Path) -> None:
    assert apply_overrides({"a": {"b": 1, "c": 2}}, ["a.b=null", "d.e=[x, 1.5]"]) == {"a": {"b": None, "c": 2}, "d": {"e": ["x", 1.5]}}
    config = load_run(files / "run.yaml", ["decoding.temperature=1.3", "decoding.stop=['\\n']", "decoding.suppression={}", "output=here"])
    assert (config.decoding.temperature, config.decoding.stop, config.output) == (1.3, ["\\n"], "here")
    assert config.decoding.suppression is not None


def test_the_last_override_wins(files: Path) -> None:
    assert load_run(files / "run.yaml", ["seed=1", "seed=2"]).seed == 2


def test_overrides_reach_into_a_task_and_a_model_given_by_name(files: Path) -> None:
    overrides = ["task.labels.joy.phrase=being glad", "model.engine.max_model_len=128", "task.name=other", "model=nano-llama"]
    config = load_run(files / "run.yaml", overrides)
    assert config.task.labels["joy"].phrase == "being glad"
    assert config.task.labels["joy"].description == "The writer is glad."
    assert (config.model.engine.max_model_len, config.model.engine.dtype) == (128, "float32")
    assert config.task.name == "other"


def test_paths_in_overrides_are_relative_to_the_working_directory(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    (here / "weights").mkdir(parents=True)
    (here / "train.jsonl").touch()
    monkeypatch.chdir(here)
    config = load_run(files / "run.yaml", ["task.data={train: train.jsonl}", "model.path=weights", "model.tokenizer=asset:nano-llama"])
    assert config.task.data is not None
    assert config.task.data.train == str((here / "train.jsonl").resolve())
    assert config.model.path == str((here / "weights").resolve())
    assert Path(config.model.tokenizer or "", "tokenizer.json").is_file()


@pytest.mark.parametrize("override", ["decoding.temperature", "=1", "seed.deep=1", "output=[1"])
def test_wrong_override(files: Path, override: str) -> None:
    (files / "run.yaml").write_text((files / "run.yaml").read_text() + "seed: 3\n")
    with pytest.raises(UsageError, match="--set"):
        load_run(files / "run.yaml", [override])


def test_data_paths_are_found_beside_the_task_then_under_variegate_data(
    files: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    task = files / "feelings.yaml"
    task.write_text(task.read_text() + "data: {train: d/train.jsonl, test: d/test.jsonl, dev: d/dev.jsonl}\n")
    root = tmp_path / "data"
    for folder, names in ((files / "d", ["train.jsonl"]), (root / "d", ["train.jsonl", "test.jsonl"])):
        folder.mkdir(parents=True)
        for name in names:
            (folder / name).touch()
    monkeypatch.setenv("VARIEGATE_DATA", str(root))
    data = load_task(str(task)).data
    assert data is not None
    assert data.train == str((files / "d" / "train.jsonl").resolve())
    assert data.test == str((root / "d" / "test.jsonl").resolve())
    assert data.dev == "d/dev.jsonl"  # nowhere: as it stands


def test_models_by_folder_file_and_hub_id(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "m.yaml").write_text("name: mine\npath: weights\ntokenizer: weights\nchat: true\n")
    folder = str((tmp_path / "weights").resolve())
    assert load_model("weights", base=tmp_path).path == folder
    assert load_model(folder).name == "weights"
    mine = load_model("m.yaml", base=tmp_path)
    assert (mine.name, mine.path, mine.tokenizer, mine.chat) == ("mine", folder, folder, True)
    hub = load_model("meta-llama/Llama-2-7b-hf")
    assert (hub.name, hub.path) == ("meta-llama--Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("./nowhere/x", "no such folder"),
        ("/abs/nowhere", "no such folder"),
        ("nano-lama", "did you mean 'nano-llama'"),
        ("a/b.yaml", "no such file"),
    ],
)
def test_a_model_that_is_nowhere(name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load_model(name)


def test_an_unknown_bundled_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'clinc150'"):
        find_config("task", "clinc15", tmp_path)


@pytest.mark.parametrize("name", ["../evil", "a/b", "/etc/passwd", "..", ".hidden", "", "a\nb", "x" * 101, "a\n"])
def test_names_that_could_leave_their_folder_are_refused(files: Path, name: str) -> None:
    import json

    for field in ("task", "model"):
        with pytest.raises(ConfigError, match="name"):
            load_run(files / "run.yaml", [f"{field}.name={json.dumps(name)}"])


def test_a_resolved_run_reads_back_as_itself(files: Path, tmp_path: Path) -> None:
    import yaml

    config = load_run(files / "run.yaml", ["strategy={kind: few_shot, seed_pool: 0, form: li}", "decoding.suppression={group: label}"])
    assert isinstance(config.strategy, FewShotConfig)
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_run(tmp_path / "resolved.yaml") == config


@pytest.mark.parametrize(
    ("folder", "name"), [("Llama 2 7b (chat)", "Llama-2-7b-chat"), ("_llama", "llama"), ("模型", "model"), (".hidden", "hidden")]
)
def test_a_model_folder_of_any_name_gives_a_name(tmp_path: Path, folder: str, name: str) -> None:
    (tmp_path / folder).mkdir()
    model = load_model(str(tmp_path / folder))
    assert (model.name, model.path) == (name, str(tmp_path / folder))


def test_a_tilde_is_the_home_folder_in_every_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "data.csv").write_text("text,label\n")
    (tmp_path / "run.yaml").write_text("task: subj\nmodel: ~/models/m\nstrategy: {kind: zero_shot, form: chung}\noutput: ~/runs/one\n")
    run = load_run(tmp_path / "run.yaml", ["task.data.train=~/data.csv"])
    assert (run.model.path, run.output, run.task.data.train) == (
        str(tmp_path / "models" / "m"), str(tmp_path / "runs" / "one"), str(tmp_path / "data.csv"),
    )  # fmt: skip
    inline = load_run(tmp_path / "run.yaml", ["model={name: m, path: ~/models/m}", "output=~/x"])
    assert (inline.model.path, inline.output) == (str(tmp_path / "models" / "m"), str(tmp_path / "x"))


def test_a_strategys_student_may_be_given_by_name_and_set_within(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: trec6\nmodel: nano-llama\nstrategy: {kind: s3, student: linear_svc}\n")
    student = load_run(path, ["strategy.student.C=3"]).strategy.model_dump()["student"]
    assert (student["kind"], student["C"]) == ("linear_svc", 3)
    with pytest.raises(ConfigError, match=r"student 'linear_svm': no such file.*did you mean 'linear_svc'"):
        load_run(path, ["strategy.student=linear_svm"])
