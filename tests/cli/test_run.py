"""The command itself: what it prints, its exit codes, and its errors. Of nano-llama, on one engine for this file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.whole_run import wordy_scorer, write_encoder, write_run_file
from variegate.cli.main import main
from variegate.config.load_stages import load_run_file
from variegate.inference import session
from variegate.pipeline.generate import generate
from variegate.pipeline.stages.stage import NAMES
from variegate.store.run_folder import RunFolder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("models") / "bert")


@pytest.fixture
def run_file(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VARIEGATE_CACHE", str(tmp_path / "vectors"))
    monkeypatch.setattr(session, "WorkerBackend", lambda model, **_: wordy_scorer(lent=False))
    return write_run_file(tmp_path, bert)


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["run", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def test_it_shows_texts_repaired_labels_the_student_beside_its_baselines_and_last_the_verdict(run_file: Path) -> None:
    result = run(run_file)
    assert result.exit_code == 0, result.output
    out = result.stdout
    assert [line.split()[0] for line in out.splitlines()[:3]] == ["animals", "money", "weather"]
    assert "Kept 24 of 24 requested texts.\n" in out
    assert re.search(r"Curated: \d+ of 24 stay.*, \d+ with another label than they were generated for\.\n", out)
    assert "Measured: Remote-Clique " in out
    folder = run_file.parent / "run"
    assert f"Records: {folder / 'curations/checked/curated.jsonl'}\nReport:  {folder / 'report.html'}\n" in out
    assert "none: majority class" in out
    last = json.loads((folder / "students/linear_svc-checked/scores.json").read_bytes())["verdict"]
    assert out.index(last["sentence"]) > out.index("none: majority class")
    assert "[6/6] report: made" in result.stderr
    assert (folder / "report.html").stat().st_size > 1000

    again = run(folder, "--json")
    assert again.exit_code == 0
    stages = json.loads(again.stdout)["stages"]
    assert {name: each["status"] for name, each in stages.items()} == {
        **dict.fromkeys(("generate", "curate", "measure", "train", "evaluate"), "reused"), "report": "made"}  # fmt: skip
    assert stages["evaluate"]["facts"]["verdict"] == last
    assert stages["generate"]["facts"]["kept"] == 24


def test_labels_that_changed_are_shown_with_their_texts(run_file: Path) -> None:
    result = run(run_file, "--set", "decoding.temperature=2")
    curated = [json.loads(line) for line in (run_file.parent / "run/curations/checked/curated.jsonl").read_bytes().splitlines()]
    changed = [row for row in curated if row["label"] != row["given_label"]]
    surest = max(changed, key=lambda row: row["confidence"])
    assert f"  {surest['given_label']} -> {surest['label']}" in result.stdout
    assert surest["text"] in result.stdout


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(run_file: Path) -> None:
    result = run(run_file, "--dry-run")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "generate  would be made 24 records of 3 labels, by nano-llama, zero_shot"
    assert lines[1] == "curate    would be made checked (duplicates, relabel)"
    assert lines[5] == "report    would be made of all that is there"
    assert "No time is estimated: --measure 64" in result.stdout
    assert "Not included: the other stages." in result.stdout
    assert not (run_file.parent / "run").exists()
    run(run_file)
    result = run(run_file, "--dry-run", "--json")
    found = json.loads(result.stdout)
    assert found["stages"]["train"] == {"status": "reused", "words": "linear_svc on the records of curation checked, 2 times"}
    assert found["plan"]["kept"] == 24
    result = run(run_file, "--dry-run", "--set", "decoding.max_tokens=1020")
    assert result.exit_code == 1
    assert "Would fail: 24 of 24 prompts would be dropped as too long" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--until", "trian"], "'trian' is not one of 'generate', 'curate', 'measure', 'train', 'evaluate', 'report'"),
        (["--measure", "4"], "--measure is about the estimate of --dry-run"),
        (["--set", "train.studnt=3"], "did you mean 'student'?"),
        (["--set", "measure.reference=dev"], "has no data.dev on this machine"),
        (["--set", "curate=scope"], "--until generate"),
    ],
)
def test_bad_input_is_exit_code_2_and_nothing_starts(run_file: Path, arguments: list[str], says: str) -> None:
    result = run(run_file, *arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert not (run_file.parent / "run").exists()


def test_short_of_the_target_the_exit_code_is_3_at_the_end(run_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edit(request: Any, completion: Any) -> Any:
        from dataclasses import replace

        return replace(completion, text="") if request.target.name == "money" and request.slot < 3 else completion

    monkeypatch.setattr(session, "WorkerBackend", lambda model, **_: wordy_scorer(lent=False, edit=edit))
    result = run(run_file, "--set", "target.max_attempts=1")
    assert result.exit_code == 3
    assert "3 records short of the target, most of all for money" in result.stderr
    assert "none: majority class" in result.stdout


def test_without_test_data_it_says_why_there_is_no_verdict(run_file: Path) -> None:
    result = run(run_file, "--set", "task.data.test=null", "--set", "curate=null")
    assert result.exit_code == 0, result.output
    assert result.stdout.endswith("No verdict: nothing tells what a student of task 'chatter' is worth: it names no data.test.\n")


def test_generate_of_the_same_file_makes_the_same_records(run_file: Path, tmp_path: Path) -> None:
    assert run(run_file, "--until", "generate").exit_code == 0
    config, _ = load_run_file(run_file, [f"output={tmp_path / 'alone'}"])
    generate(config, start=lambda _: wordy_scorer())
    for name in ("records.jsonl", "dropped.jsonl"):
        assert (tmp_path / "alone" / name).read_bytes() == (run_file.parent / "run" / name).read_bytes()
    assert not (run_file.parent / "run/report.html").exists()


@pytest.mark.slow
def test_the_real_thing(nano_vllm: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nano-llama on vLLM writes and judges its own labels, the real encoder measures, a student learns."""

    class Lent:
        """The one engine of this process, in place of one of its own."""

        def __init__(self, model: Any, **_: Any) -> None:
            self._engine = nano_vllm

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

        def close(self) -> None:
            pass

    monkeypatch.setattr(session, "WorkerBackend", Lent)
    monkeypatch.delenv("VARIEGATE_DATA", raising=False)
    result = run("demo", "-n", "8", "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    assert all(f"[{number}/6] {name}: made" in result.stderr for number, name in enumerate(NAMES, 1))
    assert result.stderr.count("starting vllm") == 1
    assert "The data " in result.stdout
    again = run(tmp_path / "demo")
    assert "starting vllm" not in again.stderr
    assert again.stdout == result.stdout
    assert len(list(RunFolder(tmp_path / "demo").records())) == 64
    done = CliRunner().invoke(main, ["verify", str(tmp_path / "demo")])
    assert done.exit_code == 0, done.output
