from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

TASK = """\
kind: classification
name: feelings
text_type: tweet
context: You write tweets.
labels:
  joy: {phrase: expressing joy, description: The writer is glad.}
  fear: {phrase: expressing fear, description: The writer is afraid.}
"""
RUN = "task: feelings.yaml\nmodel: nano-llama\nstrategy: {kind: zero_shot}\n"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with feelings.yaml (a task) and run.yaml."""
    (tmp_path / "feelings.yaml").write_text(TASK)
    (tmp_path / "run.yaml").write_text(RUN)
    return tmp_path


@pytest.fixture
def value() -> Callable[..., dict[str, Any]]:
    """`value(strategy={...})`: a whole run inline, with the given parts in place."""
    return lambda **parts: {
        "task": yaml.safe_load(TASK),
        "model": {"name": "m", "path": "m"},
        "strategy": {"kind": "zero_shot"},
        "output": "o",
        **parts,
    }
