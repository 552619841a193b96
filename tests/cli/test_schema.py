from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from variegate.cli.main import main
from variegate.config.resources import config_folder


@pytest.mark.parametrize("kind", ["task", "model", "run"])
def test_it_prints_the_committed_schema(kind: str) -> None:
    result = CliRunner().invoke(main, ["schema", kind])
    assert result.exit_code == 0
    assert result.stdout == (config_folder() / "schema" / f"{kind}.schema.json").read_text()
    assert json.loads(result.stdout)["title"] == f"Variegate {kind} file"
