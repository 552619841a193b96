from __future__ import annotations

import json
import sys
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from variegate.cli.main import main
from variegate.pipeline import checkup
from variegate.pipeline.checkup import Finding


def test_without_the_smoke_test_no_engine_is_imported() -> None:
    before = "vllm" in sys.modules
    result = CliRunner().invoke(main, ["doctor", "--no-smoke-test", "--json"])
    findings = json.loads(result.stdout)
    builds = ["torch", "vllm", "faiss", "bitsandbytes", "encoder"]
    assert [finding["check"] for finding in findings] == ["python", "gpu", *builds, "kernels", "versions", "memory", "disk", "model"]
    assert result.exit_code == int(any(finding["status"] == "failed" for finding in findings))
    assert all(finding["advice"] for finding in findings if finding["status"] != "ok")
    assert ("vllm" in sys.modules) == before


def test_a_failed_check_is_advice_and_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def examine(**_: object) -> Iterator[Finding]:
        yield Finding("gpu", "ok", "none")
        yield Finding("faiss", "failed", "two", "Uninstall one")

    monkeypatch.setattr(checkup, "examine", examine)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["ok       gpu          none", "failed   faiss        two", f"{'':21} -> Uninstall one"]


@pytest.mark.parametrize("smoke_test", [(), ("--no-smoke-test",)])
def test_a_model_that_is_not_there_is_a_failed_check(smoke_test: tuple[str, ...]) -> None:
    result = CliRunner().invoke(main, ["doctor", "--model", "nano-lama", *smoke_test, "--json"])
    assert result.exit_code == 1
    last = json.loads(result.stdout)[-1]
    assert (last["check"], last["status"]) == ("model", "failed")
    assert "did you mean 'nano-llama'" in last["saw"]


def test_the_smoke_test_writes_something() -> None:
    result = CliRunner().invoke(main, ["doctor", "--backend", "transformers", "--json"])
    last = json.loads(result.stdout)[-1]
    assert (last["check"], last["status"]) == ("smoke test", "ok")
    assert "nano-llama started in" in last["saw"]
