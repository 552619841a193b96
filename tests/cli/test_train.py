"""`variegate train` and `variegate evaluate` as a user runs them: what is shown, written, and refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

sys.path.insert(0, str(Path(__file__).parents[1] / "students"))
from planted import LABELS, planted, split, write_bert, write_jsonl, write_planted_run

from variegate.cli.main import main
from variegate.students import LabelledTexts


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("models") / "tiny-bert")


@pytest.fixture(scope="module")
def sets() -> tuple[LabelledTexts, LabelledTexts]:
    train, test = split(planted(150), 100, 50)
    return train, test


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "vectors"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def files(sets: tuple[LabelledTexts, LabelledTexts], tmp_path: Path) -> tuple[Path, Path]:
    return write_jsonl(tmp_path / "train.jsonl", sets[0]), write_jsonl(tmp_path / "test.jsonl", sets[1])


def variegate(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments])


def good(*arguments: object) -> Result:
    result = variegate(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def test_a_file_and_test_data(files: tuple[Path, Path], bert: Path, tmp_path: Path) -> None:
    train, test = files
    result = good("train", train, "--test", test, "--set", f"encoder={bert}", "-o", tmp_path / "out")
    assert "training data:" in result.stdout
    assert "100 texts, 3 labels" in result.stdout
    assert "Scores on the test data" in result.stdout
    assert result.stderr == f"Wrote {tmp_path / 'out'}\n"
    scores = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert scores["config"] == {"kind": "logistic_regression", "encoder": str(bert), "pooling": None, "C": 10.0, "max_iter": 10000}
    assert [each["seed"] for each in scores["seeds"]] == [0]
    assert f"{scores['summary']['accuracy']['mean']:.4f}" in result.stdout
    judged = good("evaluate", tmp_path / "out", test, "--json", "-o", tmp_path / "scores.json")
    assert json.loads(judged.stdout) == json.loads((tmp_path / "scores.json").read_text())
    assert json.loads(judged.stdout)["students"][0]["summary"] == scores["summary"]
    assert "each file is what hashes.json states" in good("verify", tmp_path / "out").stdout
    weights = tmp_path / "out" / "seed-0" / "linear.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    for command in (("evaluate", tmp_path / "out", test), ("evaluate", tmp_path / "out" / "seed-0", test), ("verify", tmp_path / "out")):
        found = variegate(*command)
        assert found.exit_code == 1
        assert f"{weights}: is not what hashes.json states" in found.stderr + found.stdout


def test_seeds_json_and_against(files: tuple[Path, Path], bert: Path, tmp_path: Path) -> None:
    train, test = files
    common = ("--test", test, "--set", f"encoder={bert}")
    shown = good("train", train, *common, "--student", "linear_svc", "--seed", 7, "-o", tmp_path / "svc", "--json")
    scores = json.loads(shown.stdout)
    assert scores == json.loads((tmp_path / "svc" / "scores.json").read_text())
    assert [each["seed"] for each in scores["seeds"]] == [7, 8, 9]
    good("train", train, *common, "-o", tmp_path / "lr")
    result = good("evaluate", tmp_path / "svc", test, "--against", tmp_path / "lr")
    assert "mean ± sd" in result.stdout
    assert f"{tmp_path / 'svc'} less {tmp_path / 'lr'}: accuracy" in result.stdout
    found = json.loads(good("evaluate", tmp_path / "svc", test, "--against", tmp_path / "lr", "--json").stdout)
    assert found["comparison"]["n"] == 50
    assert found["warnings"] == []


def test_a_run_folder_keeps_its_student(sets: Any, files: Any, bert: Path, tmp_path: Path, build_run: Any, row: Any) -> None:
    run = write_planted_run(build_run, row, tmp_path / "run", sets[0].without_labels({"dog"}), test=str(files[1]))
    before = {path: path.read_bytes() for path in (run / "rounds").rglob("*.json*")}
    result = good("train", run, "--set", f"encoder={bert}")
    assert "note: no training text has the label 'dog'" in result.stdout
    place = run / "students" / "logistic_regression"
    assert f"Wrote {place}" in result.stderr
    assert "report.html" in result.stderr
    assert json.loads((place / "scores.json").read_text())["seeds"][0]["facts"]["labels_absent"] == ["dog"]
    again = variegate("train", run, "--set", f"encoder={bert}")
    assert again.exit_code == 2
    assert f"{place}: exists already: choose another folder with -o, or give --overwrite" in again.stderr
    good("train", run, "--set", f"encoder={bert}", "--overwrite")
    assert {path: path.read_bytes() for path in (run / "rounds").rglob("*.json*")} == before
    assert good("verify", run).exit_code == 0


def test_a_curation(sets: Any, files: Any, bert: Path, tmp_path: Path, build_run: Any, row: Any) -> None:
    """Of two texts that are one but for case, the curation keeps the first."""
    doubled = LabelledTexts((*sets[0].texts, sets[0].texts[0].upper()), (*sets[0].labels, LABELS[0]), (*sets[0].ids, "x"), "x")
    run = write_planted_run(build_run, row, tmp_path / "run", doubled, test=str(files[1]))
    (tmp_path / "clean.yaml").write_text("stages: [{kind: duplicates, near: null}]\n")
    good("curate", run, tmp_path / "clean.yaml")
    good("train", run, "--set", f"encoder={bert}", "--curation", "clean")
    scores = json.loads((run / "students" / "logistic_regression-clean" / "scores.json").read_text())
    assert (scores["train"]["n"], scores["train"]["curation"]) == (100, "clean")
    assert json.loads(good("train", run, "--set", f"encoder={bert}", "--no-save", "--json").stdout)["train"]["n"] == 101
    result = variegate("train", run, "--curation", "cleen")
    assert result.exit_code == 2
    assert "no curation 'cleen'; did you mean 'clean'" in result.stderr


def test_a_verdict_beside_the_runs_own_examples(sets: Any, bert: Path, tmp_path: Path, build_run: Any, row: Any) -> None:
    """All labels of the set are wrong; the task's 20 examples are right. What is said stands in scores.json and in the report too."""
    wrong = LabelledTexts(sets[0].texts[20:], tuple(LABELS[(LABELS.index(label) + 1) % 3] for label in sets[0].labels[20:]), sets[0].ids[20:], "x")  # fmt: skip
    data = {
        "train": str(write_jsonl(tmp_path / "mine.jsonl", sets[0].take(range(20)))),
        "test": str(write_jsonl(tmp_path / "test.jsonl", sets[1])),
    }
    run = write_planted_run(build_run, row, tmp_path / "run", wrong, **data)
    shown = good("train", run, "--set", f"encoder={bert}").stdout
    scores = json.loads((run / "students" / "logistic_regression" / "scores.json").read_text())
    assert [each["name"] for each in scores["beside"]] == ["set", "majority", "examples", "with_examples"]
    verdict = scores["verdict"]
    assert verdict["helps"] is False
    assert verdict["sentence"].startswith("The data does not help yet: a student of the 80 generated texts is right in ")
    for said in (verdict["sentence"], "none: majority class, ", "accuracy less the examples", f"Try next: {verdict['next']}."):
        assert said in shown
    assert verdict["next"] == f"measure diversity and fit: `variegate measure {run} --reference {data['train']}`"
    page = (run / "report.html").read_text()
    assert all(said in page for said in ("The data does not help yet", "real examples", "majority class"))
    good("train", run, "--set", f"encoder={bert}", "--with-examples", "--no-baselines")
    mixed = json.loads((run / "students" / "logistic_regression-with-examples" / "scores.json").read_text())
    assert (mixed["train"]["n"], mixed["beside"], mixed["verdict"]["helps"]) == (100, [], None)
    assert "stands beside nothing (--no-baselines)" in mixed["verdict"]["sentence"]
    assert mixed["summary"]["accuracy"]["mean"] == pytest.approx(scores["beside"][3]["accuracy"])


def test_examples_of_a_file(sets: Any, files: Any, bert: Path, tmp_path: Path) -> None:
    arguments = ("train", files[0], "--test", files[1], "--set", f"encoder={bert}", "--no-save")
    assert "--with-examples" in variegate(*arguments, "--with-examples").stderr
    verdict = json.loads(good(*arguments, "--json").stdout)["verdict"]
    assert verdict["helps"] is None
    assert "name a file of those you have with --examples" in verdict["sentence"]
    one = write_jsonl(tmp_path / "one.jsonl", LabelledTexts(("a bird in the red house",), ("bird",), ("1",), "x"))
    shown = good(*arguments, "--examples", one).stdout
    assert "note: no student of the real examples stands beside this one" in shown
    some = write_jsonl(
        tmp_path / "some.jsonl", LabelledTexts(("the old bird sings", "the old cat sings"), ("cat", "bird"), ("1", "2"), "x")
    )
    scores = json.loads(good(*arguments, "--examples", some, "--json").stdout)
    assert scores["verdict"]["helps"] is True
    assert [each["name"] for each in scores["beside"]] == ["set", "majority", "examples", "with_examples"]


def test_only_the_scores(files: Any, bert: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    good("train", files[0], "--test", files[1], "--set", f"encoder={bert}", "--no-save")
    assert [each for each in sorted(tmp_path.iterdir()) if each.name != "vectors"] == before


def test_fine_tuning_and_early_stopping(files: Any, bert: Path, tmp_path: Path) -> None:
    plan = tmp_path / "mine.yaml"
    plan.write_text(f"kind: finetune\nmodel: {bert}\nepochs: 3\nlearning_rate: 2.0e-3\nbatch_size: 16\nmax_tokens: 32\npatience: 2\n")
    arguments = ("train", files[0], "--test", files[1], "--student", plan, "-o", tmp_path / "out", "--seeds", 2)
    result = variegate(*arguments)
    assert result.exit_code == 2
    assert "needs dev data: give --dev, have a share of the training data split off with --dev-share 0.1" in result.stderr
    result = good(*arguments, "--dev-share", 0.2)
    assert "dev data:" in result.stdout
    assert {"seed-0", "seed-1"} <= {each.name for each in (tmp_path / "out").iterdir()}
    assert good("evaluate", tmp_path / "out" / "seed-1", files[1]).exit_code == 0


def test_a_training_that_diverges(files: Any, bert: Path, tmp_path: Path) -> None:
    plan = tmp_path / "mine.yaml"
    plan.write_text(f"kind: finetune\nmodel: {bert}\nlearning_rate: 1.0e+30\nmax_grad_norm: 1.0e+30\nmax_tokens: 32\nwarmup: 0\n")
    result = variegate("train", files[0], "--test", files[1], "--student", plan, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "the training diverged: the loss is nan at step" in result.stderr
    assert not list(tmp_path.glob("*out*"))


# -- what is refused -------------------------------------------------------------------------------------------


def test_an_overlap(files: Any, sets: Any, bert: Path, tmp_path: Path) -> None:
    with files[0].open("a") as file:
        file.write(json.dumps({"id": "leak", "text": sets[1].texts[3].title(), "label": "cat"}) + "\n")
    arguments = ("train", files[0], "--test", files[1], "--set", f"encoder={bert}", "-o", tmp_path / "out")
    result = variegate(*arguments)
    assert result.exit_code == 2
    assert f"train.jsonl: leak: '{sets[1].texts[3].title()}' stands in the test data too" in result.stderr
    assert f"test.jsonl: {sets[1].ids[3]})" in result.stderr
    assert not (tmp_path / "out").exists()
    assert "(1 more were left out: they stand in another set too)" in good(*arguments, "--drop-overlap").stdout
    result = variegate("evaluate", tmp_path / "out", files[0])
    assert result.exit_code == 2
    assert "is one of the texts that" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "is no run folder: say where the student goes with -o FOLDER, or only look at its scores with --no-save"),
        (("--no-save", "-o", "x"), "--no-save and --output: nothing is stored"),
        (("--no-save", "--overwrite"), "--no-save and --overwrite: nothing is stored"),
        (("--no-save", "--student", "chunk"), "no bundled student has this name; did you mean 'chung'"),
        (("--no-save", "--set", "c=1"), "unknown key 'c'"),
        (("--no-save", "--seeds", "2"), "--seeds 2: logistic_regression does not depend on the seed"),
        (("--no-save", "--dev-split", "x"), "--dev-split is about the data of --dev, and there are none"),
        (("--no-save", "--curation", "x"), "is no run folder, so it has no curation"),
        (("--no-save", "--leave-out", "cow"), "--leave-out 'cow': no text has this label"),
        (("--no-save", "--leave-out", "dog", "--leave-out", "cat"), "all 34 texts have one label, 'bird'"),
        (("--no-save", "--set", "patience=3"), "unknown key 'patience'"),
        (("--no-save", "--label-field", "id"), "is not one of the training data's 100"),
        (("--no-save", "--text-field", "txt"), "no field 'txt'"),
    ],
)
def test_wrong_options(files: Any, arguments: tuple[str, ...], message: str) -> None:
    result = variegate("train", files[0], "--test", files[1], *arguments)
    assert result.exit_code == 2, result.stderr
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_no_test_data_and_options_about_them(files: Any) -> None:
    for arguments, message in (
        ((), "nothing else tells whether the data helps: name a file of real labelled texts with --test"),
        (("--test-text-field", "x"), "--test-text-field is about the data of --test, --dev and --examples, and there are none"),
        (("--test-split", "x"), "--test-split is about the data of --test, and there are none"),
    ):
        result = variegate("train", files[0], "--no-save", *arguments)
        assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_sets_that_are_empty_or_without_labels(tmp_path: Path, files: Any) -> None:
    (tmp_path / "none.jsonl").write_text("")
    (tmp_path / "bare.jsonl").write_text('{"text": "x"}\n')
    for name, message in (("none", "holds no record"), ("bare", "holds no labels")):
        for arguments in ((tmp_path / f"{name}.jsonl", "--test", files[1]), (files[0], "--test", tmp_path / f"{name}.jsonl")):
            result = variegate("train", *arguments, "--no-save")
            assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_evaluate_refuses(files: Any, bert: Path, tmp_path: Path) -> None:
    good("train", files[0], "--test", files[1], "--set", f"encoder={bert}", "-o", tmp_path / "s")
    with files[1].open("a") as file:
        file.write('{"text": "a cow sings", "label": "cow"}\n')
    result = variegate("evaluate", tmp_path / "s", files[1])
    assert (result.exit_code, "label 'cow' (1 texts) is not one of the student's 3" in result.stderr) == (2, True)
    assert (
        "note: test: 1 texts with the label 'cow' were left out" in good("evaluate", tmp_path / "s", files[1], "--leave-out", "cow").stdout
    )
    result = variegate("evaluate", tmp_path / "s", files[1], "-o", files[1])
    assert (result.exit_code, "would be written over the test data" in result.stderr) == (2, True)
    result = variegate("evaluate", tmp_path / "nowhere", files[1])
    assert (result.exit_code, "no such folder" in result.stderr) == (2, True)


def test_labels_steer_nothing(bert: Path, tmp_path: Path) -> None:
    """Markup and control characters of a label are shown, not obeyed."""
    odd = "[bold]cat[/bold]\x1b[31m"
    train, test = (
        LabelledTexts(each.texts, tuple(odd if label == "cat" else label for label in each.labels), each.ids, "x") for each in split(planted(90), 60, 30)
    )  # fmt: skip
    result = good("train", write_jsonl(tmp_path / "a.jsonl", train), "--test", write_jsonl(tmp_path / "b.jsonl", test), "--set", f"encoder={bert}", "--no-save")  # fmt: skip
    assert "[bold]cat[/bold]" in result.stdout
    assert "\x1b" not in result.stdout
