"""`variegate init`: from a file of examples to files that load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from variegate.cli.main import main
from variegate.config.load import load_run, load_task
from variegate.kinds import kind_of
from variegate.kinds.pair import PairTask
from variegate.pipeline.seeds import draw_seeds
from variegate.store.texts import read_texts


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    return tmp_path / "model"


def init(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["init", *map(str, arguments)])


def test_from_csv_the_file_itself_is_the_data(tmp_path: Path, model: Path) -> None:
    (tmp_path / "My answers.csv").write_text('answer,kind\n"yes, please",yes\nnever,no\n')
    before = (tmp_path / "My answers.csv").read_bytes()
    result = init(
        tmp_path / "My answers.csv", "--text-field", "answer", "--label-field", "kind", "--text-type", "short reply",
        "--model", model, "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    written = [tmp_path / "out" / name for name in ("my-answers.task.yaml", "my-answers.run.yaml")]
    assert result.stdout.splitlines() == list(map(str, written))
    assert "was copied to" not in result.stderr
    assert f"variegate plan {written[1]}" in result.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["my-answers.run.yaml", "my-answers.task.yaml", "schema"]

    task = load_task(str(written[0]))
    assert list(task.labels) == ["no", "yes"]
    assert task.text_type == "short reply"
    assert task.data is not None
    assert task.data.train == str(tmp_path / "My answers.csv")
    assert (tmp_path / "My answers.csv").read_bytes() == before
    assert load_run(written[1]).model.path == str(model)


def test_a_csv_beside_the_task_is_named_by_its_relative_path(tmp_path: Path, model: Path) -> None:
    data = tmp_path / "data" / "a.csv"
    data.parent.mkdir()
    data.write_text("\ufefftext,label\nt,x\nu,y\n", encoding="utf-8")
    assert init(data, "--model", model, "-o", tmp_path).exit_code == 0
    assert "train: data/a.csv" in (tmp_path / "a.task.yaml").read_text()


def test_every_reader_takes_the_csv_that_the_task_names(tmp_path: Path, model: Path) -> None:
    """Few-shot examples are drawn from it, and `read_texts` (students, `measure`) reads the same texts and labels."""
    (tmp_path / "a.csv").write_text('\ufeffkind,words\nx,"t, ""u""\nv"\n1,w\n', encoding="utf-8")
    flags = ["--text-field", "words", "--label-field", "kind", "--model", model, "-o", tmp_path]
    assert init(tmp_path / "a.csv", *flags).exit_code == 0
    config = load_run(tmp_path / "a.run.yaml")
    assert {(seed.fields["text"], seed.label) for seed in draw_seeds(config.task, 2, 0)} == {('t, "u"\nv', "x"), ("w", "1")}
    assert config.task.data is not None
    found = read_texts(str(config.task.data.train), text_field="words", label_field="kind")
    assert (found.texts, found.labels) == (('t, "u"\nv', "w"), ("x", "1"))


def test_a_csv_whose_labels_must_change_is_copied(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.csv").write_text('answer,kind\n"yes, please", yes\nnever,no\n')
    result = init(tmp_path / "a.csv", "--text-field", "answer", "--label-field", "kind", "--model", model, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    copied = tmp_path / "out" / "a.train.jsonl"
    assert result.stdout.splitlines()[2] == str(copied)
    assert "was copied to" in result.stderr
    task = load_task(str(tmp_path / "out" / "a.task.yaml"))
    assert task.data is not None
    assert task.data.train == str(copied)
    assert [json.loads(line) for line in copied.read_text().splitlines()] == [
        {"answer": "yes, please", "kind": "yes"},
        {"answer": "never", "kind": "no"},
    ]


def test_from_jsonl_the_file_itself_is_the_data(tmp_path: Path, model: Path) -> None:
    data = tmp_path / "data" / "a.jsonl"
    data.parent.mkdir()
    data.write_text('{"text": "t", "label": "x"}\n{"text": "u", "label": "y"}\n')
    assert init(data, "--model", model, "--name", "beside", "-o", tmp_path).exit_code == 0
    assert "train: data/a.jsonl" in (tmp_path / "beside.task.yaml").read_text()
    assert init(data, "--model", model, "--name", "far", "-o", tmp_path / "elsewhere").exit_code == 0
    task = load_task(str(tmp_path / "elsewhere" / "far.task.yaml"))
    assert task.data is not None
    assert task.data.train == str(data)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == ["far.run.yaml", "far.task.yaml", "schema"]


def test_the_schema_line_points_to_a_schema(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "t", "label": "x"}\n')
    init(tmp_path / "a.jsonl", "--model", model, "-o", tmp_path)
    for kind in ("task", "run"):
        first = (tmp_path / f"a.{kind}.yaml").read_text().splitlines()[0]
        assert first == f"# yaml-language-server: $schema=schema/{kind}.schema.json"
        assert json.loads((tmp_path / "schema" / f"{kind}.schema.json").read_text())["title"] == f"Variegate {kind} file"


def test_a_foreign_schema_is_left_alone(tmp_path: Path, model: Path) -> None:
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "task.schema.json").write_text('{"title": "somebody else\'s"}')
    (tmp_path / "a.jsonl").write_text('{"text": "t", "label": "x"}\n')
    assert init(tmp_path / "a.jsonl", "--model", model, "-o", tmp_path).exit_code == 0
    assert "somebody" in (tmp_path / "schema" / "task.schema.json").read_text()
    assert "$schema" not in (tmp_path / "a.task.yaml").read_text()


def test_nothing_is_overwritten(tmp_path: Path, model: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\nt, x\n")
    assert init(tmp_path / "a.csv", "--model", model, "-o", tmp_path).exit_code == 0
    for name in ("a.task.yaml", "a.run.yaml", "a.train.jsonl"):
        (tmp_path / name).write_text("improved by hand")
        result = init(tmp_path / "a.csv", "--model", model, "-o", tmp_path)
        assert result.exit_code == 2
        assert "exists already" in result.stderr
        assert (tmp_path / name).read_text() == "improved by hand"
        (tmp_path / name).unlink()


@pytest.mark.parametrize(
    ("content", "flags", "words"),
    [
        ("", [], "holds no examples"),
        ("text,label\n,x\n", [], "a.csv:2: field 'text' is empty"),
        ("text,label\nt,x\n", ["--name", "../evil"], "--name '../evil'"),
        ("text,label\nt,x\n", ["--model", "nano-lama"], "did you mean 'nano-llama'?"),
        ("text,label\nt,x\n", ["--text-type", " "], "--text-type is empty"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_written(tmp_path: Path, content: str, flags: list[str], words: str) -> None:
    (tmp_path / "a.csv").write_text(content)
    result = init(tmp_path / "a.csv", "-o", tmp_path / "out", *flags)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("packaged", [True, False])
def test_the_default_is_a_real_model_where_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packaged: bool) -> None:
    monkeypatch.setattr("variegate.prepared.catalogue.Packaged.source", lambda _: tmp_path / "a.gguf" if packaged else None)
    monkeypatch.setattr("variegate.prepared.convert.is_whole", lambda _: False)
    (tmp_path / "a.csv").write_text("text,label\nt,x\nu,y\n")
    result = init(tmp_path / "a.csv", "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    assert f"variegate preview {tmp_path / 'a.run.yaml'}" in result.stderr
    assert load_run(tmp_path / "a.run.yaml").model.name == ("smollm2-135m" if packaged else "nano-llama")
    assert ("nano-llama is a toy" in (tmp_path / "a.run.yaml").read_text()) is not packaged
    written = load_run(tmp_path / "a.run.yaml")
    assert written.decoding.temperature == (0.7 if packaged else 1.0)
    assert (written.strategy.num_examples, written.strategy.own_label_only) == ((5, True) if packaged else (None, False))


def test_a_read_only_place(tmp_path: Path, model: Path, tiny_disk: Path) -> None:
    import subprocess

    (tmp_path / "a.csv").write_text("text,label\nt,x\n")
    if shutil.which("mount") is None or subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=False).returncode:
        pytest.skip("cannot remount read-only")
    result = init(tmp_path / "a.csv", "--model", model, "-o", tiny_disk)
    assert result.exit_code == 1
    assert "read-only" in result.stderr


# -- pairs -----------------------------------------------------------------------------------------------------

PAIRS = '{"premise": "It rains. It pours.", "hypothesis": "It is wet.", "label": "yes"}\n{"premise": "a", "hypothesis": "b", "label": 0}\n'


def test_pairs(tmp_path: Path, model: Path) -> None:
    (tmp_path / "nli.jsonl").write_text(PAIRS)
    result = init(tmp_path / "nli.jsonl", "--kind", "pair", "--model", model, "-o", tmp_path)
    assert result.exit_code == 0, result.stderr
    task = load_task(str(tmp_path / "nli.task.yaml"))
    assert isinstance(task, PairTask)
    assert (task.first, task.second, task.written, task.text_type) == ("premise", "hypothesis", "hypothesis", "hypothesis")
    assert list(task.labels) == ["0", "yes"]
    assert task.data.train == str(tmp_path / "nli.train.jsonl")  # a label was a number
    found = read_texts(task.data.train, text_field=kind_of(task).text_fields)
    assert (found.texts, found.labels) == ((("It rains. It pours.", "It is wet."), ("a", "b")), ("yes", "0"))


def test_the_fields_of_pairs_are_found_or_named(tmp_path: Path, model: Path) -> None:
    (tmp_path / "q.csv").write_text("id,ask,reply_to_it,ok\n1,one two,three four five,y\n2,a,b,n\n")
    flags = ["--kind", "pair", "--label-field", "ok", "--model", model, "-o", tmp_path]
    assert init(tmp_path / "q.csv", *flags).exit_code == 0
    task = load_task(str(tmp_path / "q.task.yaml"))
    assert isinstance(task, PairTask)
    assert (task.first, task.second, task.written, task.text_type) == ("ask", "reply_to_it", "reply_to_it", "reply to it")
    named = init(
        tmp_path / "q.csv", *flags, "--text-field", "reply_to_it, ask", "--written", "reply_to_it", "--text-type", "reply", "--name", "r"
    )
    assert named.exit_code == 0, named.stderr
    other = load_task(str(tmp_path / "r.task.yaml"))
    assert isinstance(other, PairTask)
    assert (other.first, other.second, other.written, other.text_type) == ("reply_to_it", "ask", "reply_to_it", "reply")
    assert load_run(tmp_path / "r.run.yaml").task == other


@pytest.mark.parametrize(
    ("content", "flags", "says"),
    [
        (
            "a,b,c,label\nx,y,z,l\n",
            ["--kind", "pair"],
            "3 fields of text beside 'label': name the two with --text-field FIRST,SECOND. Fields",
        ),
        ("a,b,c,label\nx,y,z,l\n", ["--kind", "pair", "--text-field", "a"], "expected the two fields of a pair"),
        ("a,b,label\nx,y,l\n", ["--kind", "pair", "--written", "c"], "--written 'c': expected one of the pair's two, a or b"),
        ("a b,c,label\nx,y,l\n", ["--kind", "pair"], "'a b' cannot be a column of a record"),
        ("round,c,label\nx,y,l\n", ["--kind", "pair"], "every record has a column 'round' already"),
        ("a,b,label\nx,,l\n", ["--kind", "pair"], "a.csv:2: field 'b' is empty"),
        ("", ["--kind", "pair"], "a.csv: holds no pair of fields with usual names"),
        ("premise,hypothesis,label\nx,y,l\n", [], "or say with --kind pair that each row has two texts"),
        ("text,label\nx,l\n", ["--written", "text"], "--written is about pairs"),
        ("text,label\nx,l\n", ["--kind", "pear"], "no task kind 'pear'; did you mean 'pair'? Known: classification, extractive_qa, pair"),
    ],
)
def test_what_is_no_pair_is_refused_before_anything_is_written(
    tmp_path: Path, model: Path, content: str, flags: list[str], says: str
) -> None:
    (tmp_path / "a.csv").write_text(content)
    result = init(tmp_path / "a.csv", *flags, "--model", model, "-o", tmp_path / "out")
    assert (result.exit_code, says in result.stderr) == (2, True), result.stderr
    assert not (tmp_path / "out").exists()
