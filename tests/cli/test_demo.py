from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from variegate.cli.main import main
from variegate.config.load_stages import is_on_disk
from variegate.config.resources import config_folder


def test_the_demo_is_the_bundled_run_on_the_embedded_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """With data that travel along, and no network."""
    monkeypatch.delenv("VARIEGATE_DATA", raising=False)
    seen: list[Any] = []
    monkeypatch.setattr("variegate.cli.run.run_and_print", lambda *given, **_: seen.append(given))
    for arguments in ([], ["-n", "2", "-o", "elsewhere"]):
        result = CliRunner().invoke(main, ["demo", *arguments])
        assert result.exit_code == 0, result.output
    (plain, stages, until, resume), (small, *_) = seen
    assert (len(plain.task.labels), plain.model.name, plain.model.engine.backend, until, resume) == (
        8,
        "nano-llama",
        "vllm",
        "report",
        "auto",
    )
    assert (plain.target.per_label, plain.output) == (40, "runs/demo")
    assert (small.target.per_label, small.output) == (2, "elsewhere")
    assert [stage.kind for stage in stages.curate.stages] == ["duplicates", "relabel"]
    assert (stages.train.name, stages.evaluate.baselines) == ("logistic_regression", True)
    for split in ("train", "test"):
        assert is_on_disk(plain.task, split)
        assert str(config_folder().resolve()) in str(getattr(plain.task.data, split))
