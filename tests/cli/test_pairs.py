"""Every command on a task of pairs: RTE's real premises, hypotheses written by the fake engine out of their words."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.engine import FakeEngine
from variegate.cli.main import main
from variegate.config.load import load_run
from variegate.kinds import kind_of
from variegate.pipeline.generate import generate
from variegate.records import Request
from variegate.report import write_report
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts

PER_LABEL = 30
RUN = """\
task: rte
model: nano-llama
strategy: {kind: few_shot, form: chung, seed_pool: 4, num_examples: 2}
decoding: {max_tokens: 40, suppression: {group: label}}
target: {per_label: 30}
"""


def hypothesis(request: Request, rng: random.Random) -> str:
    """Words of the premise; what need not follow is said to be never so."""
    words = str(request.target.given["premise"]).replace('"', "").split()
    start = rng.randrange(max(1, len(words) - 6))
    said = " ".join(words[start : start + 6])
    return said if request.target.labels == ("entailment",) else f"It was never said that {said} yesterday"


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 2, result.output
    return result.stderr


@pytest.fixture(scope="module")
def run(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "rte.run.yaml").write_text(RUN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VARIEGATE_DATA", str(data_folder))
        config = load_run(folder / "rte.run.yaml", [f"output={folder / 'run'}"])
    summary = generate(config, start=lambda _: FakeEngine(write=hypothesis), report=write_report)
    assert summary.shortfall == {}
    return RunFolder.existing(folder / "run")


@pytest.fixture(scope="module")
def curation(run: RunFolder) -> str:
    call("curate", run.path, "--set", "stages=[{kind: duplicates, near: 0.8, against: [test]}]", "clean", "--name", "unique")
    return "unique"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_records_have_both_texts_and_premises_are_real(run: RunFolder, data_folder: Path) -> None:
    found = rows(run.path / "records.jsonl")
    assert len(found) == 2 * PER_LABEL
    assert {tuple(row) for row in found} == {("id", "premise", "hypothesis", "label", "origin")}
    real = {row["premise"] for row in rows(data_folder / "rte" / "train.jsonl")}
    assert {row["premise"] for row in found} <= real
    assert len({row["premise"] for row in found}) > PER_LABEL
    assert all("never" in row["hypothesis"] for row in found if row["label"] == "not_entailment")


def test_a_premise_may_come_again_with_another_hypothesis(data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long premise in common makes no near duplicate: 12 texts of each label on one premise of 100 words."""
    premise = " ".join(f"word{place}" for place in range(100))
    lines = [{"premise": premise, "hypothesis": "It rains.", "label": label} for label in ("entailment", "not_entailment")]
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "run.yaml").write_text(RUN)
    monkeypatch.setenv("VARIEGATE_DATA", str(data_folder))
    config = load_run(
        tmp_path / "run.yaml",
        [
            f"output={tmp_path / 'run'}",
            "target.per_label=12",
            "strategy={kind: zero_shot}",
            f"task.data={{train: {tmp_path / 'one.jsonl'}}}",
        ],
    )
    words = [f"{a}{b}" for a in ("ka", "lo", "mi", "su") for b in ("ren", "tol", "vik", "zan")]
    summary = generate(config, start=lambda _: FakeEngine(write=lambda request, rng: " ".join(rng.sample(words, 6))))
    assert (summary.kept, summary.shortfall) == (24, {})
    assert summary.dropped.get("near_duplicate", 0) == 0


def test_plan_shows_what_is_given(run: RunFolder, tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VARIEGATE_DATA", str(data_folder))
    (tmp_path / "r.yaml").write_text(RUN)
    shown = call("plan", tmp_path / "r.yaml", "--set", f"output={tmp_path / 'none'}").stdout
    assert "2 labels x 30 records" in shown
    prompt = shown.split("--- prompt for entailment")[1].split("--- prompt for")[0]
    assert prompt.count('Premise: "') == 3  # two examples and the one asked about
    assert prompt.rstrip().endswith('Hypothesis: "')
    assert not (tmp_path / "none").exists()


def test_a_stopped_run_goes_on_to_the_same_records(
    run: RunFolder, tmp_path: Path, data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from variegate.errors import Interrupted

    monkeypatch.setenv("VARIEGATE_DATA", str(data_folder))
    (tmp_path / "r.yaml").write_text(RUN)
    config = load_run(tmp_path / "r.yaml", [f"output={tmp_path / 'run'}"])
    with pytest.raises(Interrupted):
        generate(config, start=lambda _: FakeEngine(write=hypothesis, fail_at=2))
    generate(config, start=lambda _: FakeEngine(write=hypothesis))
    assert (tmp_path / "run" / "records.jsonl").read_bytes() == (run.path / "records.jsonl").read_bytes()


def test_show_names_both(run: RunFolder) -> None:
    shown = call("show", run.path, "-n", "2", "--label", "entailment").stdout
    assert shown.count("premise: ") == shown.count("hypothesis: ") == 2
    assert json.loads(call("show", run.path, "-n", "1", "--json").stdout.splitlines()[0])["premise"]


def test_verify_and_report(run: RunFolder, curation: str) -> None:
    assert "FAILED" not in call("verify", run.path).stdout
    call("report", run.path)
    page = (run.path / "report.html").read_text()
    first = rows(run.path / "records.jsonl")[0]
    assert "hypothesis: " in page
    assert first["hypothesis"].split("&")[0][:20] in page


def test_a_changed_premise_is_noticed(run: RunFolder, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run.path, tmp_path / "run")
    path = tmp_path / "run" / "givens" / "rows.jsonl"
    path.write_bytes(path.read_bytes().replace(b"the", b"teh", 1))
    assert "givens" in CliRunner().invoke(main, ["verify", str(tmp_path / "run")]).output
    assert CliRunner().invoke(main, ["verify", str(tmp_path / "run")]).exit_code == 1


def test_measure_against_real_pairs(run: RunFolder, data_folder: Path) -> None:
    found = json.loads(call("measure", run.path, "--reference", data_folder / "rte" / "test.jsonl", "--map", "none", "--json").stdout)
    assert (found["set"]["n"], found["reference"]["n"]) == (60, 277)
    assert {pair["text"].split(": ")[0] for pair in found["nearest_pairs"]} == {"premise"}
    assert all("\nhypothesis: " in pair["text"] and "\nhypothesis: " in pair["reference_text"] for pair in found["nearest_pairs"])


def test_inspect_shows_both(run: RunFolder, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run.path, tmp_path / "run")
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "run"), "-n", "3", "--choose", "uncertain"], input="\nentailment\ns\n")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("premise: ") == result.stdout.count("hypothesis: ") == 3
    assert len(rows(tmp_path / "run" / "inspected.jsonl")) == 2


def test_curated_pairs(run: RunFolder, curation: str, tmp_path: Path) -> None:
    found = rows(run.path / "curations" / curation / "curated.jsonl")
    assert list(found[0]) == ["id", "premise", "hypothesis", "label", "given_label", "confidence", "reasons", "origin"]
    texts = read_texts(run.path, curation=curation)
    assert (texts.text_fields, len(texts)) == (("premise", "hypothesis"), len(found))
    assert call("show", run.path, "--curation", curation, "-n", "1").stdout.count("premise: ") == 2
    exported = call("export", run.path, "--curation", curation, "--format", "csv", "-o", tmp_path / "c.csv")
    assert exported.exit_code == 0
    assert (tmp_path / "c.csv").read_text().startswith("id,premise,hypothesis,label,given_label,confidence,reasons,strategy,")


def test_records_that_stand_in_held_out_data_go(run: RunFolder, tmp_path: Path) -> None:
    some = rows(run.path / "records.jsonl")[:3]
    held = [{"premise": row["premise"].upper(), "hypothesis": row["hypothesis"], "label": row["label"]} for row in some[:2]]
    held.append({"premise": some[0]["premise"], "hypothesis": some[2]["hypothesis"], "label": "entailment"})  # no record
    (tmp_path / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held))
    call(
        "curate",
        run.path,
        "clean",
        "--name",
        "held",
        "--set",
        f"stages=[{{kind: duplicates, near: null, against: ['{tmp_path / 'held.jsonl'}']}}]",
    )
    summary = json.loads((run.path / "curations" / "held" / "curation.json").read_text())
    assert summary["dropped"] == {"held_out": 2}


def test_labels_from_an_oracle_of_pairs(run: RunFolder) -> None:
    call("curate", run.path, "label_replacement", "--name", "replaced", "--set", "stages.label_replacement.labels=oracle", "--set", "stages.label_replacement.inspected=20")  # fmt: skip
    summary = json.loads((run.path / "curations" / "replaced" / "curation.json").read_text())
    assert summary["kept"] == 2 * PER_LABEL


@pytest.mark.parametrize(
    ("stage", "says"),
    [
        ("{kind: relabel}", "relabel: the model is asked about one text, and records of task kind 'pair' have 2"),
        (
            "{kind: duplicates, near_by: embedding}",
            "near_by: embedding compares vectors of one text, and records of task kind 'pair' have 2",
        ),
    ],
)
def test_what_serves_one_text_alone_says_so(run: RunFolder, stage: str, says: str) -> None:
    assert says in refused("curate", run.path, "clean", "--name", "no", "--set", f"stages=[{stage}]")


def test_students_get_two_texts(run: RunFolder, curation: str, tmp_path: Path) -> None:
    for more in ([], ["--curation", curation]):
        scores = json.loads(call("train", run.path, "--no-save", "--drop-overlap", "--json", *more).stdout)
        assert scores["test"]["n"] == 277
        assert "minilm" in json.dumps(scores["seeds"][0]["facts"]["encoder"]).casefold()
    call("train", run.path, "--drop-overlap", "-o", tmp_path / "student")
    about = json.loads((tmp_path / "student" / "seed-0" / "student.json").read_text())
    assert about["pairs"] is True


@pytest.mark.parametrize("format", ["jsonl", "parquet", "csv", "hf"])
def test_exports_have_two_columns_and_read_back(run: RunFolder, tmp_path: Path, format: str) -> None:
    target = tmp_path / f"out.{format}" if format != "hf" else tmp_path / "out"
    call("export", run.path, "--format", format, "-o", target, *(["--no-formula-guard"] if format == "csv" else []))
    found = read_texts(target)
    assert found.text_fields == ("premise", "hypothesis")
    assert found.texts == read_texts(run.path).texts
    assert found.labels == read_texts(run.path).labels


def test_the_card_names_the_columns(run: RunFolder, tmp_path: Path) -> None:
    import datasets
    import yaml

    call("export", run.path, "--format", "hf", "-o", tmp_path / "out")
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---")[1])
    assert front["task_categories"] == list(kind_of(load_run(run.path / "run.yaml").task).categories)
    names = [each["name"] for each in front["dataset_info"]["features"]]
    assert names[:4] == ["id", "premise", "hypothesis", "label"]
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train")
    assert loaded.features["label"].names == ["entailment", "not_entailment"]
    assert loaded[0]["premise"] == rows(run.path / "records.jsonl")[0]["premise"]
