"""The command itself, on nano-llama under Transformers: what it prints, its exit codes, and its errors."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from variegate.cli.generate import read_run
from variegate.cli.main import main
from variegate.store.run_folder import RunFolder

TASK = """\
kind: classification
name: calls
text_type: request to a voice assistant
context: You talk to a voice assistant.
labels:
  time: {phrase: asking what time it is, description: Asks for the time of day.}
  weather: {phrase: asking about the weather, description: Asks for the weather.}
"""
RUN = """\
task: calls.yaml
model: {name: nano-llama, path: "asset:nano-llama", engine: {backend: transformers, dtype: float32, max_model_len: 1024}}
strategy: {kind: zero_shot, form: chung}
decoding: {max_tokens: 24, temperature: 0.9}
duplicates: {near: null}
target: {per_label: 3, max_attempts: 6}
keep_unfinished: true
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "calls.yaml").write_text(TASK)
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path / "run.yaml"


def generate(run_file: Path, *arguments: str, output: Path | None = None) -> Result:
    result = CliRunner().invoke(main, ["generate", str(run_file), "-o", str(output or run_file.parent / "out"), *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def test_a_data_set_from_one_command_and_then_from_the_folder_alone(run_file: Path) -> None:
    out = run_file.parent / "out"
    result = generate(run_file)
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (out / "records.jsonl").read_bytes().splitlines()]
    assert Counter(record["label"] for record in records) == {"time": 3, "weather": 3}
    assert f"Records: {out / 'records.jsonl'}\nReport:  {out / 'report.html'}\n" in result.stdout
    assert "Kept 6 of " in result.stdout
    assert "transformers" in result.stderr
    assert (out / "report.html").stat().st_size > 1000

    again = CliRunner().invoke(main, ["generate", str(out), "--json", "--resume", "always"])
    assert again.exit_code == 0, again.output
    summary = json.loads(again.stdout)
    assert (summary["kept"], summary["records"], summary["changes"]) == (6, str(out / "records.jsonl"), [])
    assert "starting" not in again.stderr  # no engine for what is there

    (run_file.parent / "archive").mkdir()
    moved = out.rename(run_file.parent / "archive" / "one")
    plan = CliRunner().invoke(main, ["plan", str(moved), "--prompts", "0"])
    assert f"Folder {moved}: 6 records are there" in plan.stdout, plan.output
    there = CliRunner().invoke(main, ["generate", str(moved), "--json"])
    assert (there.exit_code, json.loads(there.stdout)["records"]) == (0, str(moved / "records.jsonl"))
    assert not out.exists()
    moved.rename(out)

    more = generate(run_file, "-n", "4")
    assert more.exit_code == 0
    assert "Changed since the last run: target.per_label: 3 -> 4\nReused " in more.stdout


def test_what_was_made_under_feedback_is_said(run_file: Path) -> None:
    """As the records have it: those that were made under a bias."""
    result = generate(run_file, "--set", "decoding.suppression={group: label}", "--set", "rounds.first=1")
    assert result.exit_code == 0, result.output
    records = [json.loads(line) for line in (run_file.parent / "out" / "records.jsonl").read_bytes().splitlines()]
    share = sum(record["origin"]["bias"] is not None for record in records) / len(records)
    rounds = len(list((run_file.parent / "out" / "rounds").iterdir()))
    assert 0 < share < 1
    assert f"\nMade under feedback: {share:.0%} of the records, in {rounds} rounds.\n" in result.stdout
    again = generate(run_file, "--set", "decoding.suppression={group: label}", "--set", "rounds.first=1", "--json")
    assert json.loads(again.stdout)["feedback"] == {"kept": round(6 * share), "share": round(share, 4), "rounds": rounds}
    assert "under feedback" not in generate(run_file, output=run_file.parent / "plain").stdout


def test_a_shortfall_is_exit_code_3_and_says_why(run_file: Path) -> None:
    """The prompts of one label are too long. Those of all, and the run is refused before an engine starts."""
    long = f"task.labels.weather.phrase={'asking about the weather and ' * 40}the sky"
    short = ("--set", "model.engine.max_model_len=128", "--set", "target.max_attempts=1")
    result = generate(run_file, "--set", long, *short, "--json")
    assert result.exit_code == 3, result.output
    assert json.loads(result.stdout)["dropped"] == {"prompt_too_long": 3}
    assert "3 records short of the target" in result.stderr
    assert "Dropped: 3 prompt_too_long" in result.stderr
    refused = generate(run_file, "--set", "model.engine.max_model_len=40", output=run_file.parent / "none")
    assert refused.exit_code == 2, refused.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "model={name: m, path: /nowhere/m}"], "model 'm': no folder /nowhere/m"),
        (["--set", "model=./nowhere/m"], "no such folder"),
        (["--set", "decoding.temprature=1"], "unknown key 'decoding.temprature'; did you mean 'temperature'?"),
        (["--set", "task.labels.time={phrase: x}"], "task.labels.time.description is missing: add it"),
        (["--set", "strategy={kind: few_shot}"], "data.train"),
        (["--set", "strategy={kind: few_shot}", "--set", "task.data={train: /nowhere}"], "no such file"),
        (["--set", "strategy.templates={chung_block: '{{ nothing }}'}"], "'nothing' is undefined"),
        (["--set", "model.chat=true", "--set", "strategy.form=li"], "has no chat template"),
        (["--resume", "always"], "there is no run here"),
        (["--set", "decoding"], "expected KEY=VALUE"),
        (["-n", "0"], "Invalid value for '-n'"),
    ],
)
def test_wrong_input_is_exit_code_2_and_one_message(run_file: Path, arguments: list[str], says: str) -> None:
    result = generate(run_file, *arguments)
    assert result.exit_code == 2, result.output
    assert says in result.stderr
    assert result.stdout == ""


def test_empty_examples(run_file: Path) -> None:
    (run_file.parent / "train.jsonl").touch()
    result = generate(run_file, "--set", "strategy={kind: few_shot}", "--set", f"task.data={{train: {run_file.parent}/train.jsonl}}")
    assert result.exit_code == 2
    assert "holds no examples" in result.stderr


def test_no_such_run_file(tmp_path: Path) -> None:
    result = generate(tmp_path / "deom")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    assert "did you mean 'demo'?" in generate(Path("deom"), output=tmp_path).stderr


def test_an_output_that_cannot_be_written(run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file" / "out", tmp_path / "file"):
        result = generate(run_file, output=output)
        assert result.exit_code == 2
        assert f"{tmp_path / 'file'}: is a file, and a folder is to be written there: choose another name" in result.stderr


def test_a_read_only_file_system(run_file: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path / "disk"], capture_output=True, check=False)
    if mount.returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        result = generate(run_file, output=tmp_path / "disk" / "out")
    finally:
        subprocess.run(["umount", "-l", tmp_path / "disk"], check=True)
    assert result.exit_code == 1
    assert "the file system is read-only: choose another folder" in result.stderr


def test_a_second_process_on_the_same_folder(run_file: Path) -> None:
    with RunFolder(run_file.parent / "out").lock():
        result = generate(run_file)
    assert result.exit_code == 1
    assert "is working in this folder" in result.stderr


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_stopped_it_exits_with_130_says_how_to_go_on_and_goes_on(run_file: Path, stop: signal.Signals) -> None:
    out = run_file.parent / "out"
    fast = ["--set", "rounds.faithful=true", "--set", "strategy.completions_per_call=2", "--set", "decoding.max_tokens=4", "-o", str(out)]
    command = [sys.executable, "-m", "variegate.cli.main", "generate", str(run_file), *fast]
    process = subprocess.Popen([*command, "-n", "2000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (out / "rounds" / "000001").is_dir() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    process.send_signal(stop)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert "Run the same command again to go on" in stderr
    assert stdout == ""
    made = {row["key"] for row in RunFolder(out).rows()}
    assert made
    assert not list(out.rglob("*.tmp"))
    result = CliRunner().invoke(main, ["generate", str(run_file), *fast, "-n", "2"])
    assert result.exit_code in (0, 3)
    assert "Reused" in result.stdout or "starting" not in result.stderr


def test_a_run_whose_first_answers_are_all_dropped_stops_and_says_what_to_set(run_file: Path) -> None:
    """nano-llama was never trained on questions: it ends them at once."""
    result = generate(run_file, "-n", "10", "--set", "task.text_type=question")
    assert result.exit_code == 1
    assert "Error: nothing is kept of the first 20 texts: 20 empty (" in result.stderr
    assert "--set model=smollm2-135m" in result.stderr
    assert (run_file.parent / "out/rounds/000000").is_dir()  # for `variegate show --dropped`
    assert not (run_file.parent / "out/records.jsonl").exists()


def test_the_model_that_is_recommended_can_be_set(run_file: Path) -> None:
    (run_file.parent / "named.yaml").write_text(RUN.replace(RUN.splitlines()[1], "model: nano-llama"))
    assert read_run(run_file.parent / "named.yaml", ("model=smollm2-135m",), None, None, None).model.name == "smollm2-135m"


def test_preview_shows_the_texts_that_the_run_begins_with_and_stores_nothing(run_file: Path) -> None:
    before = sorted(run_file.parent.iterdir())
    shown = CliRunner().invoke(main, ["preview", str(run_file), "-n", "3", "--set", f"output={run_file.parent / 'out'}"])
    assert shown.exit_code == 0, shown.output
    assert sorted(run_file.parent.iterdir()) == before
    assert "3 kept, " in shown.stdout
    assert generate(run_file).exit_code == 0
    texts = {record.fields["text"] for record in RunFolder(run_file.parent / "out").records()}
    assert len([line for line in shown.stdout.splitlines() if line.strip() in texts]) == 3
