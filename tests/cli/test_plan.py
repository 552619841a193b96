from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from variegate.cli.main import main

RUN = """\
task: subj
model: {name: nano-llama, path: "asset:nano-llama", engine: {backend: transformers, dtype: float32, max_model_len: 1024}}
strategy: {kind: zero_shot, form: chung}
decoding: {max_tokens: 20}
target: {per_label: 4}
"""


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path / "run.yaml"


def plan(run_file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["plan", str(run_file), "-o", str(run_file.parent / "out"), *arguments])


def test_numbers_and_prompts(run_file: Path) -> None:
    result = plan(run_file)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "Task subj: 2 labels x 4 records = 8, at most 24 requests."
    assert "0 records are there and stay; 0 rows need no generation" in result.stdout
    assert "nano-llama" in lines[1]
    assert lines[1].endswith("zero-shot: an instruction, the label's phrase and an open quotation (Chung et al.).")
    assert "Element: objective statement" in result.stdout
    assert not (run_file.parent / "out").exists()


def test_what_would_be_made_under_feedback(run_file: Path) -> None:
    """Blocks of 1, 1 and 2 texts a label: 3 of 4 are made when something is known."""
    result = plan(run_file, "--set", "decoding.suppression={}", "--set", "rounds.first=1")
    assert "Feedback: 3 blocks a label, each made under what came before; 75% of the records are.\n" in result.stdout
    assert "Feedback" not in plan(run_file).stdout


def test_json(run_file: Path) -> None:
    found = json.loads(plan(run_file, "--json", "-n", "7", "--prompts", "1").stdout)
    assert (found["target"], found["next_round"], len(found["samples"]), found["max_model_len"]) == (14, 14, 1, 1024)


def test_prompts_that_would_be_dropped_are_exit_code_1(run_file: Path) -> None:
    result = plan(run_file, "--set", "model.engine.max_model_len=32")
    assert result.exit_code == 1
    assert "Would fail: 8 of 8 prompts would be dropped as too long: prompt of" in result.stdout


@pytest.mark.parametrize(("form", "template"), [("chung", "chung_block"), ("li", "li_generate")])
def test_a_template_of_a_run_file_runs_no_command(run_file: Path, form: str, template: str) -> None:
    """`parse_raw` of a label's config model read a pickle, and so ran a shell command, from inside the sandbox."""
    mark = run_file.parent / "mark"
    attack = f"{{{{ label.parse_raw('cos\\nsystem\\n(S\"touch {mark}\"\\ntR.', proto='pickle', allow_pickle=true) }}}}"
    result = plan(run_file, "--set", f"strategy.form={form}", "--set", f"strategy.templates={json.dumps({template: attack})}")
    assert (result.exit_code, mark.exists()) == (2, False), result.output
    assert f"strategy.templates.{template}: cannot be filled in" in result.stderr


def test_wrong_input_is_exit_code_2(run_file: Path) -> None:
    result = plan(run_file, "--set", "decoding.temprature=1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "did you mean 'temperature'" in result.stderr
