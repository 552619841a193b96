from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from variegate.cli.main import main


def test_the_demo_is_the_bundled_run_on_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr("variegate.cli.generate.generate_and_print", lambda config, resume, **_: seen.append((config, resume)))
    for arguments in ([], ["-n", "2", "-o", "elsewhere"]):
        result = CliRunner().invoke(main, ["demo", *arguments])
        assert result.exit_code == 0, result.output
        assert f"variegate show {seen[-1][0].output}" in result.stdout
    (plain, resume), (small, _) = seen
    assert (len(plain.task.labels), plain.model.name, plain.model.engine.backend, resume) == (150, "nano-llama", "vllm", "auto")
    assert (plain.target.per_label, plain.output) == (10, "runs/demo")
    assert (small.target.per_label, small.output) == (2, "elsewhere")
