"""A task kind and a strategy of another package, found by their entry points, from YAML to report. Nothing of ours names them."""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.engine import FakeEngine
from variegate.cli.main import main
from variegate.config.load import load_run
from variegate.config.strategies import STRATEGY_CONFIGS
from variegate.errors import ConfigError
from variegate.kinds import KINDS
from variegate.pipeline.generate import generate
from variegate.records import Request
from variegate.report import write_report
from variegate.store.run_folder import RunFolder
from variegate.store.texts import read_texts
from variegate.strategies import STRATEGIES

PACKAGE = Path(__file__).parent.parent / "support" / "outside"
WORDS = {"joy": ["glad", "merry", "cheerful", "happy"], "fear": ["afraid", "scared", "timid", "anxious"]}
TASK = """\
kind: counted
name: moods
text_type: remark
context: You talk of moods.
fewest: 4
labels:
  joy: {phrase: joy, description: It is of joy.}
  fear: {phrase: fear, description: It is of fear.}
"""
RUN = """\
task: moods.task.yaml
model: nano-llama
strategy: {kind: lines, lines: 4}
target: {per_label: 20, max_attempts: 5}
"""


def remarks(request: Request, rng: random.Random) -> str:
    """Four lines, one of them too short."""
    people = ["my uncle", "the new cook", "our captain", "the old nurse", "a tall clerk", "his aunt", "that pilot", "the twins"]
    (label,) = request.target.labels
    lines = [f"{rng.choice(people)} was {rng.choice(WORDS[label])} on day {rng.randrange(10_000)}" for _ in range(3)]
    return "\n".join([*lines, "so it was"])


@pytest.fixture(scope="module")
def installed() -> Iterator[None]:
    registries: tuple[Any, ...] = (KINDS, STRATEGIES, STRATEGY_CONFIGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(PACKAGE))
        yield
    for registry in registries:
        for name in ("counted", "lines"):
            registry._found.pop(name, None)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside")
    (folder / "moods.task.yaml").write_text(TASK)
    (folder / "moods.run.yaml").write_text(RUN)
    return folder


@pytest.fixture(scope="module")
def run(installed: None, files: Path) -> RunFolder:
    config = load_run(files / "moods.run.yaml", [f"output={files / 'run'}"])
    summary = generate(config, start=lambda _: FakeEngine(write=remarks), report=write_report)
    assert summary.shortfall == {}
    return RunFolder.existing(files / "run")


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result


def test_without_the_package_both_are_unknown(files: Path) -> None:
    with pytest.raises(ConfigError, match=r"task.yaml: kind: no task kind 'counted'. Known: classification, extractive_qa, pair"):
        load_run(files / "moods.run.yaml")
    other = "task={kind: classification, name: m, text_type: t, context: c, labels: {a: {phrase: p, description: d}}}"
    with pytest.raises(ConfigError, match=r"strategy.kind: no strategy 'lines'"):
        load_run(files / "moods.run.yaml", [other])


def test_records_ledger_and_verify(run: RunFolder) -> None:
    rows = [json.loads(line) for line in (run.path / "records.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    assert {tuple(row) for row in rows} == {("id", "text", "words", "label", "origin")}
    assert all(row["words"] == len(row["text"].split()) >= 4 for row in rows)
    assert any("." in row["id"] for row in rows)  # several of an answer
    ledger = json.loads((run.path / "manifest.json").read_text())["ledger"]
    assert ledger["dropped"]["too_few_words"] == ledger["answered"]
    assert ledger["items"] == 4 * ledger["answered"]
    assert "FAILED" not in call("verify", run.path).stdout


def test_a_second_run_asks_nothing_again(run: RunFolder, files: Path) -> None:
    before = (run.path / "records.jsonl").read_bytes()
    config = load_run(files / "moods.run.yaml", [f"output={files / 'run'}"])
    generate(config, start=lambda _: FakeEngine(fail_at=1))
    assert (run.path / "records.jsonl").read_bytes() == before


def test_the_report_says_what_it_is(run: RunFolder) -> None:
    page = (run.path / "report.html").read_text()
    assert "4 lines an answer" in page
    assert "too few words" in page
    assert "words)" in page  # as the kind shows a record


def test_show(run: RunFolder) -> None:
    assert "words)" in call("show", run.path, "-n", "1").stdout
    dropped = call("show", run.path, "--dropped", "too_few_words", "-n", "1").stdout
    assert "dropped: too few words" in dropped
    assert "so it was" in dropped


def test_measure_curate_train_and_export(run: RunFolder, tmp_path: Path) -> None:
    found = json.loads(call("measure", run.path, "--json", "--map", "none").stdout)
    assert found["set"]["n"] == 40
    call("curate", run.path, "clean", "--name", "unique", "--set", "stages=[{kind: duplicates, near: 0.95}]")
    assert call("show", run.path, "--curation", "unique", "-n", "1").stdout.count("words)") == 2
    real = [{"text": f"A person {word} as ever, number {n}", "label": label} for label in WORDS for n, word in enumerate(WORDS[label])]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in real))
    scores = json.loads(call("train", run.path, "--curation", "unique", "--test", tmp_path / "test.jsonl", "--no-save", "--json").stdout)
    assert scores["summary"]["accuracy"]["mean"] == 1
    call("export", run.path, "--format", "csv", "-o", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["id", "text", "words", "label"]
    assert all(int(row["words"]) == len(row["text"].split()) for row in rows)
    for format, name in (("parquet", "out.parquet"), ("hf", "hub")):
        call("export", run.path, "--format", format, "-o", tmp_path / name)
        assert read_texts(tmp_path / name).texts == read_texts(run.path).texts


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("task.fewst=2", "unknown key 'task.fewst'; did you mean 'fewest'?"),
        ("strategy.line=2", "unknown key 'strategy.line'; did you mean 'lines'?"),
        ("task=rte", "strategy lines does not serve tasks of kind 'pair', but classification"),
        ("strategy.templates={cue: x}", "lines with these settings has no such template"),
    ],
)
def test_wrong_files_are_named_by_path(installed: None, files: Path, override: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run(files / "moods.run.yaml", [override])
    assert says in str(caught.value)


def test_what_serves_a_kind_serves_those_like_it(installed: None, files: Path, tmp_path: Path) -> None:
    config = load_run(files / "moods.run.yaml", ["strategy={kind: zero_shot, form: chung}", f"output={tmp_path / 'run'}"])
    summary = generate(config, start=lambda _: FakeEngine(write=lambda request, rng: remarks(request, rng).split("\n")[0]))
    assert (summary.kept, summary.shortfall) == (40, {})


def test_a_folder_whose_package_is_gone_says_so(run: RunFolder, tmp_path: Path) -> None:
    """In a process of its own, where the package was never loaded."""
    code = f"from variegate.cli.main import main; main(['show', {str(run.path)!r}])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert "run.yaml: no task kind 'counted'. Known: classification, extractive_qa, pair. Install the package that adds it" in result.stderr


@pytest.mark.slow
def test_a_new_process_finds_the_package(files: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PACKAGE), *filter(None, [os.environ.get("PYTHONPATH")])])}
    code = "import sys; sys.path[:0] = []; from variegate.cli.main import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "plan", str(files / "moods.run.yaml"), "--set", f"output={tmp_path / 'none'}"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode == 0, result.stderr
    assert "Write 4 texts, one a line. It is of fear." in result.stdout
    schema = subprocess.run([sys.executable, "-c", code, "schema", "run"], capture_output=True, text=True, check=True, env=environment)
    assert {"CountedTask", "LinesConfig"} <= json.loads(schema.stdout)["$defs"].keys()
