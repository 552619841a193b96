from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from variegate import __version__
from variegate.cli.main import COMMANDS, main
from variegate.errors import StoreError


def test_help_lists_every_command_in_its_own_words() -> None:
    out = CliRunner().invoke(main, ["--help"]).output
    for name, line in COMMANDS.items():
        assert f"  {name} " in out
        assert line[:40] in out


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_that_begins_like_its_line(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage:" in result.output


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"variegate, version {__version__}\n"


def test_an_unknown_command_is_answered_with_the_nearest() -> None:
    result = CliRunner().invoke(main, ["generat"])
    assert result.exit_code == 2
    assert "no command 'generat'; did you mean 'generate'?" in result.output


@pytest.mark.parametrize(("raised", "code"), [(StoreError("the disk is full"), 1), (KeyboardInterrupt(), 130)])
def test_errors_are_one_line_on_stderr_and_an_exit_code(monkeypatch: pytest.MonkeyPatch, raised: BaseException, code: int) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr("variegate.config.schema.json_schema", fail)
    result = CliRunner().invoke(main, ["schema", "task"])
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == ("Error: the disk is full\n" if code == 1 else "Error: stopped\n")


def test_a_module_can_be_run() -> None:
    done = subprocess.run([sys.executable, "-m", "variegate.cli.main", "schema", "tasks"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "'tasks' is not one of" in done.stderr
