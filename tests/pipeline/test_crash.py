"""kill -9 of a real run under vLLM, then resume: nothing lost or doubled, and the file of an uninterrupted run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.support.processes import kill_when
from variegate.cli.main import main
from variegate.config.load import find_config, load_run
from variegate.pipeline.generate import generate
from variegate.store.run_folder import RunFolder

pytestmark = pytest.mark.slow

# Every kind of state that goes from round to round: suppression by label, a growing pool of examples, duplicates.
SETTINGS = (
    "strategy={kind: few_shot, form: chung, seed_pool: 0, num_examples: 3, completions_per_call: 2}",
    "decoding={temperature: 1.0, max_tokens: 16, suppression: {group: label}}",
    "rounds={first: 1, shard: 100}",
    "target.per_label=4",
    "keep_unfinished=true",
)


def test_a_killed_run_resumes_to_the_same_file(nano_vllm: Any, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_file = find_config("run", "clinc150", Path())
    summary = generate(load_run(run_file, [*SETTINGS, f"output={whole}"]), start=lambda _: nano_vllm)
    assert summary.kept == 600

    options = [option for setting in SETTINGS for option in ("--set", setting)]
    command = [sys.executable, "-m", "variegate.cli.main", "generate", "clinc150", *options, "-o", str(broken)]
    kill_when((broken / "rounds" / "000000").is_dir, command, after=0.3)  # in the second round
    assert 0 < len(RunFolder(broken).rounds()) < len(RunFolder(whole).rounds())

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (broken / "records.jsonl").read_bytes() == (whole / "records.jsonl").read_bytes()
    verified = CliRunner().invoke(main, ["verify", str(broken)])
    assert verified.exit_code == 0, verified.output
