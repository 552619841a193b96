"""`variegate curate`, and `--curation` of the commands that read what it leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from variegate.cli.main import main

STAGES = [
    {"kind": "duplicates"},
    {"kind": "scope", "labels": "oracle", "inspected": 60},
    {"kind": "label_replacement", "labels": "oracle", "inspected": "all"},
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def run(curable_run: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoder: Any) -> Any:
    """A run; vectors come from the session's cache."""
    monkeypatch.setenv("VARIEGATE_CACHE", str(encoder._cache.parent))
    return curable_run(tmp_path / "run", out=12)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"stages": STAGES}))
    return path


@pytest.fixture
def curated(run: Any, file: Path) -> Any:
    result = call("curate", run.folder.path, file)
    assert result.exit_code == 0, result.output
    return run


# -- the command -----------------------------------------------------------------------------------------------


def test_the_table_says_what_happened(run: Any, file: Path) -> None:
    result = call("curate", run.folder.path, file, "--check")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["stage", "in", "kept", "dropped", "labels", "changed", "unjudged", "seconds"]
    assert [line.split()[:5] for line in lines[1:4]] == [
        ["0", "duplicates", "72", "72", "0"],
        ["1", "scope", "72", "60", "12"],
        ["2", "label_replacement", "60", "60", "0"],
    ]
    assert "12 out_of_scope" in lines[2]
    assert "Kept 60 of 72 records; 15 have another label than they were generated for." in lines
    flips = [line.split() for line in lines if " -> " in line]
    assert {(given, final): int(number) for number, given, _, final in flips} == {
        (given, final): sum(run.truth[record.id] == final and record.label == given for record in run.folder.records())
        for number, given, _, final in flips
    }
    assert [int(each[0]) for each in flips] == sorted((int(each[0]) for each in flips), reverse=True)
    assert "of those kept 75.0% before and 100.0% after" in result.stdout
    assert "The oracle is right on 100.0% of the task's test data." in result.stdout
    assert f"Records: {run.folder.path}/curations/mine/curated.jsonl" in lines
    assert "took labels from this very oracle" in result.stderr
    assert (run.folder.path / "report.html").is_file()


def test_json_is_curation_json(run: Any, file: Path) -> None:
    result = call("curate", run.folder.path, file, "--name", "other", "--set", "stages.scope.inspected=50", "--json")
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout)
    assert summary.pop("reused") == []
    stored = json.loads((run.folder.path / "curations/other/curation.json").read_text())
    assert {**summary, "summary_sha256": stored["summary_sha256"]} == stored
    assert summary["stages"][1]["config"]["inspected"] == 50


def test_without_a_curation_the_only_one_goes_on(curated: Any) -> None:
    result = call("curate", curated.folder.path)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("(reused)") == 3
    changed = call("curate", curated.folder.path, "--set", "stages.scope.inspected=30")
    assert changed.stdout.count("(reused)") == 2  # fewer judged, but the same records dropped: the stage after it was brought back
    assert call("curate", curated.folder.path, "mine").stdout.count("(reused)") == 3  # as its curation.yaml says now


def test_a_bundled_one_by_name(run: Any) -> None:
    result = call("curate", run.folder.path, "msp_denoise", "--name", "mine2")
    assert result.exit_code == 0, result.output
    assert "58" in result.stdout.splitlines()[1]  # four fifths of 72
    assert (run.folder.path / "curations/mine2/curated.jsonl").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "which curation? Give a file or a name; bundled: audit, clean"),
        (["--name", "x"], "no curation 'x'. To make it, also give CURATION: a file or a name"),
        (["relable"], "no bundled curation has this name; did you mean 'relabel'?"),
        (["oracle", "--name", "../x"], "curation name '../x': expected letters"),
        (["label_replacement"], "nobody has judged records of this run yet"),
        (["oracle", "--set", "stages.0.inspectd=3"], "unknown key 'stages.0.inspectd'; did you mean 'inspected'?"),
    ],
)
def test_wrong_usage_exits_with_2(run: Any, arguments: list[str], words: str) -> None:
    result = call("curate", run.folder.path, *arguments)
    assert result.exit_code == 2, result.output
    assert words in result.stderr
    assert result.stdout == ""


def test_of_several_one_must_be_named(curated: Any) -> None:
    assert call("curate", curated.folder.path, "msp_denoise").exit_code == 0
    result = call("curate", curated.folder.path)
    assert result.exit_code == 2
    assert "which curation? Give a file or a name; its curations: mine, msp_denoise" in result.stderr


def test_nothing_left_exits_with_1(run: Any, tmp_path: Path) -> None:
    (tmp_path / "all.txt").write_text("".join(f"{record.fields['text']}\n" for record in run.folder.records()))
    (tmp_path / "drop.yaml").write_text(yaml.safe_dump({"stages": [{"kind": "duplicates", "against": ["all.txt"]}]}))
    result = call("curate", run.folder.path, tmp_path / "drop.yaml")
    assert result.exit_code == 1
    assert "dropped all 72 records that were left (72 held_out)" in result.stderr
    assert "Traceback" not in result.output


def test_names_in_texts_and_labels_do_not_steer_the_terminal(curated: Any) -> None:
    path = curated.folder.path / "curations/mine/curation.json"
    summary = json.loads(path.read_text())
    from variegate.cli.curation_table import print_curation

    summary["flips"] = {"\x1b[31mjoy": {"[bold]fear": 3}}
    summary["warnings"] = ["\x1b[2Jgone"]
    summary["reused"] = []
    import click

    @click.command()
    def show() -> None:
        print_curation(summary, path.parent, path)

    result = CliRunner().invoke(show, [])
    assert "\x1b" not in result.output
    assert "␛[31mjoy -> [bold]fear" in result.stdout
    assert "note: ␛[2Jgone" in result.stderr


# -- commands that read it -------------------------------------------------------------------------------------


def test_show_names_both_labels_and_why(curated: Any) -> None:
    result = call("show", curated.folder.path, "--curation", "mine", "-n", 100)
    assert result.exit_code == 0, result.output
    groups = [line.split("  ")[0] for line in result.stdout.splitlines() if line and not line.startswith(" ")]
    assert groups == ["anger", "fear", "joy"]
    assert result.stdout.count(" -> ") == 15
    assert "joy -> anger: " in result.stdout or "fear -> anger: " in result.stdout
    assert "inspected · 1.00" in result.stdout
    one = call("show", curated.folder.path, "--curation", "mine", "--label", "joy", "--json", "-n", 100)
    rows = [json.loads(line) for line in one.stdout.splitlines()]
    assert {row["label"] for row in rows} == {"joy"}
    assert {row["id"] for row in rows} == {id for id, label in curated.truth.items() if label == "joy"}
    assert all({"given_label", "confidence", "reasons"} <= set(row) for row in rows)


def test_show_what_a_curation_dropped(curated: Any) -> None:
    result = call("show", curated.folder.path, "--curation", "mine", "-n", 2, "--dropped")
    assert "out_of_scope  12 dropped: judged to be outside the task" in result.stdout
    assert "stage 1 scope" in result.stdout
    rows = [
        json.loads(line)
        for line in call(
            "show", curated.folder.path, "--curation", "mine", "-n", 20, "--dropped", "out_of_scope", "--json"
        ).stdout.splitlines()
    ]
    assert {row["id"] for row in rows} == {id for id, label in curated.truth.items() if label == "oos"}
    wrong = call("show", curated.folder.path, "--curation", "mine", "--dropped", "echo")
    assert wrong.exit_code == 2
    assert "--dropped 'echo': no such reason. Reasons: duplicate, near_duplicate, held_out" in wrong.stderr


def test_export_has_both_labels(curated: Any, tmp_path: Path) -> None:
    for format in ("csv", "jsonl", "parquet", "hf"):
        result = call("export", curated.folder.path, "-f", format, "-o", tmp_path / f"out.{format}", "--curation", "mine")
        assert result.exit_code == 0, result.output
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:6] == ["id", "text", "label", "given_label", "confidence", "reasons"]
    assert {row["id"]: row["label"] for row in rows} == {id: label for id, label in curated.truth.items() if label != "oos"}
    changed = [row for row in rows if row["label"] != row["given_label"]]
    assert len(changed) == 15
    assert {row["reasons"] for row in changed} == {'["inspected"]'}
    assert (tmp_path / "out.jsonl").read_bytes() == (curated.folder.path / "curations/mine/curated.jsonl").read_bytes()

    import pyarrow.parquet

    table = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert str(table.schema.field("confidence").type) == "double"
    assert table.column("reasons").to_pylist()[0] in ([], ["inspected"])
    card = (tmp_path / "out.hf" / "README.md").read_text()
    assert "**The labels are those of a curation**, of which 15 differ" in card
    assert "| curation | mine (duplicates, scope, label_replacement): 72 records = 60 kept + 12 dropped (12 out_of_scope) |" in card
    front = yaml.safe_load(card.split("---")[1])
    assert [feature["name"] for feature in front["dataset_info"]["features"]][:6] == list(rows[0])[:6]


def test_a_curated_hf_folder_loads(curated: Any, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    call("export", curated.folder.path, "-f", "hf", "-o", tmp_path / "hf", "--curation", "mine")
    found = datasets.load_dataset(
        "parquet", data_files=str(tmp_path / "hf/data/train.parquet"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(found) == 60
    assert set(found["given_label"]) == {"joy", "anger", "fear"}


def test_measure_keeps_it_beside_the_curation(curated: Any) -> None:
    result = call("measure", curated.folder.path, "--curation", "mine", "--map", "none")
    assert result.exit_code == 0, result.output
    measured = json.loads((curated.folder.path / "curations/mine/measures.json").read_text())
    assert (measured["set"]["n"], measured["set"]["labels"]) == (60, {"joy": 20, "anger": 20, "fear": 20})
    assert not (curated.folder.path / "measures.json").exists()
    call("curate", curated.folder.path, "--set", "stages.scope.inspected=30")
    assert not (curated.folder.path / "curations/mine/measures.json").exists()  # it is of another set: set aside
    assert list((curated.folder.path / "curations/mine/set-aside").glob("*/measures.json"))


@pytest.mark.parametrize("command", [["show"], ["measure"], ["export", "-f", "csv", "-o", "x.csv"]])
def test_unknown_names_are_answered_with_those_there_are(
    curated: Any, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = call(command[0], curated.folder.path, *command[1:], "--curation", "mien")
    assert result.exit_code == 2, result.output
    assert "no curation 'mien'; did you mean 'mine'? Curations here: mine." in result.stderr


def test_verify_checks_it(curated: Any) -> None:
    result = call("verify", curated.folder.path)
    assert result.exit_code == 0, result.output
    assert "3 stages, 72 records = 60 kept + 12 dropped, 15 labels changed" in result.stdout
    path = curated.folder.path / "curations/mine/002-label_replacement/rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"fear", b"joy!", 1))
    broken = call("verify", curated.folder.path)
    assert broken.exit_code == 1
    assert "is not what entry.json states" in broken.stdout
