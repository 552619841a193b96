"""`variegate subjectivity` as a user runs it: files of every form, mistakes, and what is written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.engine import FakeEngine
from variegate.cli.main import main
from variegate.records import Message

ROWS = [
    {"id": f"i{place}", "text": f"text number {place}", "labels": labels, "label": labels[0]}
    for place, labels in enumerate([["joy", "joy", "awe"], ["awe", "awe", "awe"], ["joy", "awe", "joy"], ["joy", "joy", "joy"]] * 5)
]
VOTES = "winner,loser,judge\n" + "news,subj,ann\n" * 6 + "subj,news,bob\n" * 2 + "subj,irony,ann\n" * 5 + "irony,news,bob\n"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["subjectivity", *map(str, arguments)])


def measured(*arguments: object) -> dict[str, Any]:
    """The measurement on standard output, which holds nothing else."""
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "labels.jsonl", ROWS)


@pytest.fixture
def votes(tmp_path: Path) -> Path:
    (tmp_path / "votes.csv").write_text(VOTES)
    return tmp_path / "votes.csv"


def predictions(path: Path, wrong: int) -> Path:
    """All right but the first `wrong`."""
    other = {"joy": "awe", "awe": "joy"}
    return jsonl(
        path, [{"id": row["id"], "label": other[str(row["label"])] if place < wrong else row["label"]} for place, row in enumerate(ROWS)]
    )


def test_everything_at_once(labels: Path, votes: Path, tmp_path: Path) -> None:
    synthetic, real, other = (predictions(tmp_path / f"{wrong}.jsonl", wrong) for wrong in (8, 2, 4))
    result = run(
        "instances", labels, "--synthetic", synthetic, "--real", real, "--student", f"few={other}", "--gamma", "2/3", "--gamma", "1",
        "--task-votes", votes, "--name", "subj", "-o", tmp_path / "m.json", "--html", tmp_path / "m.html",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    for said in (
        "20 items, labelled by annotators", "Krippendorff's alpha", "gamma", "synthetic less real", "Least agreed on", "subj",
        "Tasks, the most objective first", "not known:", "risk:",
    ):  # fmt: skip
        assert said in result.stdout, said
    assert f"Wrote {tmp_path / 'm.json'}\nWrote {tmp_path / 'm.html'}\n" == result.stderr
    found = json.loads((tmp_path / "m.json").read_text())
    assert [point["gamma"] for point in found["sweep"]["points"]] == [0, 2 / 3, 1]
    assert [point["n"] for point in found["sweep"]["points"]] == [20, 20, 10]
    assert {name: each["value"] for name, each in found["sweep"]["points"][0]["accuracy"].items()} == {
        "synthetic": 0.6,
        "real": 0.9,
        "few": 0.8,
    }
    assert [sign["name"] for sign in found["answer"]["signs"]] == ["agreement", "gap", "slope", "rank"]
    assert found["answer"]["headline"] in result.stdout
    assert found["answer"]["headline"] in (tmp_path / "m.html").read_text()


def test_the_three_forms_say_the_same(labels: Path, tmp_path: Path) -> None:
    long = [{"id": row["id"], "label": label, "annotator": f"w{place}"} for row in ROWS for place, label in enumerate(row["labels"])]
    columns = [
        {"key": row["id"], **{f"w{place}": label for place, label in enumerate(row["labels"])}, "text": "x" + str(row["id"])}
        for row in ROWS
    ]
    one = measured("instances", labels, "--true-field", "")
    for found in (
        measured("instances", jsonl(tmp_path / "long.jsonl", long)),
        measured("instances", jsonl(tmp_path / "columns.jsonl", columns), "--columns", "w0, w1,w2", "--id-field", "key"),
    ):
        for part in ("n", "agreement", "alpha", "kappa", "histogram", "confused"):
            assert found["instances"][part] == one["instances"][part]


def test_it_repeats_itself(labels: Path, votes: Path, tmp_path: Path) -> None:
    arguments = ("instances", labels, "--synthetic", predictions(tmp_path / "p.jsonl", 4), "--task-votes", votes, "--seed", 3)
    first, again = ({k: v for k, v in measured(*arguments).items() if k not in ("created", "seconds")} for _ in range(2))
    assert first == again


def test_a_saved_student(labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is a student that reads the texts."""
    import variegate.students
    from variegate.pipeline.subjectivity.predictions import predict_with  # noqa: F401

    class Student:
        def predict(self, texts: Sequence[str], *, progress: Any = None) -> Any:
            assert texts == tuple(row["text"] for row in ROWS)
            return type("Predictions", (), {"labels": ("joy",) * len(texts)})

    monkeypatch.setattr(variegate.students, "load", lambda folder: Student())
    (tmp_path / "student").mkdir()
    found = measured("instances", labels, "--real", tmp_path / "student")
    assert found["sweep"]["points"][0]["accuracy"]["real"]["value"] == 0.75
    assert found["students"] == [
        {"name": "real", "source": str(tmp_path / "student"), "kind": "student", "unmatched_rows": 0, "without": 0}
    ]


def test_tasks(votes: Path, tmp_path: Path) -> None:
    found = measured("tasks", votes, "--draws", 200, "--prior", 1, "--resample", "judges", "--html", tmp_path / "t.html")
    assert [each["task"] for each in found["tasks"]["ranking"]] == ["news", "subj", "irony"]
    assert (found["tasks"]["prior"], found["tasks"]["draws"], found["tasks"]["resampled"]) == (1, 200, "judges")
    assert (found["answer"], found["instances"]) == (None, None)
    assert "Tasks ranked by objectivity" in (tmp_path / "t.html").read_text()
    printed = run("tasks", votes)
    assert "1 [" in printed.stdout
    assert "note: 2 judges gave 14 votes" in printed.stdout


def test_votes_of_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(write=lambda request, _: " objective" if request.seed % 3 else " subjective")
    monkeypatch.setattr("variegate.inference.session.WorkerBackend", lambda _, on_step: engine)
    texts = tmp_path / "texts.csv"
    texts.write_text("text,label\n" + "".join(f"text {place},objective\n" for place in range(30)))
    arguments = (
        "instances",
        texts,
        "--task",
        "subj",
        "--model",
        "nano-llama",
        "--votes",
        4,
        "--temperature",
        0.7,
        "--votes-folder",
        tmp_path / "v",
    )
    found = measured(*arguments)
    assert found["instances"]["source"]["votes"] == 4
    assert found["instances"]["labels_per_item"] == {"4": 30}
    assert found["instances"]["true"] == {"kind": "field", "field": "as read", "without": 0}
    assert found["instances"]["majority_right"]["value"] > 0.6
    assert len(list((tmp_path / "v" / "answers").iterdir())) == 4
    assert "a stand-in for people's" in run(*arguments).stdout
    again = run(*arguments[:-2], "--votes-folder", tmp_path / "v", "--seed", 1)
    assert (again.exit_code, "seed was 0, and is 1" in again.stderr) == (0, True)


@pytest.mark.slow
def test_votes_of_a_model_in_a_process_of_its_own(tmp_path: Path) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("When will my card arrive?\nI lost my card\nhow do I top up\n")
    found = measured(
        "instances", texts, "--task", "banking77", "--model", "nano-llama", "--backend", "transformers", "--no-class-block",
        "--votes", 6, "--votes-folder", tmp_path / "v",
    )  # fmt: skip
    assert found["instances"]["n"] == 3
    assert len(list((tmp_path / "v" / "answers").iterdir())) == 6


def test_a_model_as_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worth = {"question": 3.0, "sentence from a movie review": 1.0, "movie review": 0.0}

    def weigh(messages: Sequence[Message], choices: Sequence[str]) -> list[float]:
        return [worth[part.split("Sort each ")[1].split(" into")[0]] for part in messages[0].content.split("\n\n")[1:3]]

    monkeypatch.setattr("variegate.inference.session.WorkerBackend", lambda _, on_step: FakeEngine(weigh=weigh))
    common = ("tasks", "--compare", "trec6", "--compare", "subj", "--model", "nano-llama", "--instances", 0)
    found = measured(*common, "--compare", "sst2", "--votes-folder", tmp_path / "v", "--name", "subj")
    assert [each["task"] for each in found["tasks"]["ranking"]] == ["trec6", "subj", "sst2"]
    assert found["answer"]["signs"][0]["name"] == "rank"
    assert found["tasks"]["source"]["position_bias"]["contradictions"] == 0
    from_file = measured("tasks", tmp_path / "v" / "votes" / "rows.jsonl")
    assert from_file["tasks"]["wins"] == found["tasks"]["wins"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["instances", "none.jsonl"], "none.jsonl: no such file"),
        (["instances", "{labels}", "--votes", "3"], "--votes: is about a model's votes, and there is no --model: leave it out"),
        (["instances", "{labels}", "--model", "nano-llama"], "name the task with --task"),
        (["instances", "{labels}", "--model", "nano-llama", "--task", "subj"], "name one with --votes-folder"),
        (["instances", "{labels}", "--model", "nano-llama", "--task", "subj", "--columns", "a"], "--columns: the labels come from --model: leave it out"),
        (["instances", "{labels}", "--name", "x"], "--name: is about the votes on tasks"),
        (["instances", "{labels}", "--gamma", "a"], "--gamma a: expected a share such as 0.8 or 2/3"),
        (["instances", "{labels}", "--gamma", "1/0"], "--gamma 1/0: expected a share"),
        (["instances", "{labels}", "--gamma", "1.5"], "--gamma 1.5: expected a share from 0 to 1"),
        (["instances", "{labels}", "--student", "x"], "--student x: expected NAME=PATH"),
        (["instances", "{labels}", "--student", "real={labels}"], "there is a student 'real' already"),
        (["instances", "{labels}", "--real", "nothing.jsonl"], "nothing.jsonl: no such file"),
        (["instances", "{labels}", "--task", "subj"], "'awe' (and 1 more) is none of the labels of task 'subj'. Known: objective, subjective."),
        (["instances", "{labels}", "--task", "subjj"], "did you mean 'subj'"),
        (["instances", "{labels}", "-o", "{labels}"], "would be written over the data"),
        (["instances", "{labels}", "-o", "x", "--html", "x"], "--output and --html name the same file"),
        (["instances", "{labels}", "--task-votes", "{votes}", "--name", "subjj"], "no vote names a task 'subjj'; did you mean 'subj'"),
        (["tasks"], "--compare is missing: give a file of votes"),
        (["tasks", "--compare", "subj"], "--model is missing"),
        (["tasks", "--compare", "subj", "--model", "nano-llama", "--votes-folder", "{tmp}/v"], "subj: a comparison needs two tasks"),
        (["tasks", "{votes}", "--compare", "subj"], "--compare: the votes come from a file: leave it out"),
        (["tasks", "{votes}", "--draws", "5"], "5 is not in the range"),
        (["tasks", "{labels}"], "expected task names in `winner`"),
    ],
)  # fmt: skip
def test_mistakes_are_usage_errors(labels: Path, votes: Path, tmp_path: Path, arguments: list[str], said: str) -> None:
    before = labels.read_bytes()
    result = run(*(each.format(labels=labels, votes=votes, tmp=tmp_path) for each in arguments))
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stdout == ""
    assert labels.read_bytes() == before


def test_single_labels_say_nothing(tmp_path: Path) -> None:
    result = run("instances", jsonl(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]))
    assert result.exit_code == 2
    assert "every item has one label, and agreement needs two or more" in result.stderr


def test_predictions_for_nothing(labels: Path, tmp_path: Path) -> None:
    result = run("instances", labels, "--real", jsonl(tmp_path / "p.jsonl", [{"text": "other", "label": "joy"}]))
    assert result.exit_code == 2
    assert "none of its 1 predictions is for one of the 20 items" in result.stderr


def test_a_full_disk_still_shows_the_measurement(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("instances", labels, "-o", tmp_path / "file" / "m.json")
    assert result.exit_code == 1
    assert "Krippendorff" in result.stdout


def test_hostile_texts_do_not_reach_the_terminal(tmp_path: Path) -> None:
    rows = [{"text": f"[bold]x[/bold] \x1b[31m {place}", "labels": ["a\x1b[2J", "b"]} for place in range(3)]
    result = run("instances", jsonl(tmp_path / "a.jsonl", rows))
    assert result.exit_code == 0
    assert "\x1b" not in result.output
    assert "[bold]x[/bold] ␛[31m" in result.stdout


def test_help_names_both_commands() -> None:
    result = run("--help")
    assert "instances" in result.stdout
    assert "tasks" in result.stdout
