"""Checks of a machine and an installation: what `variegate doctor` prints. Each check says what it saw and what to do."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from variegate.config import ModelConfig, load_model
from variegate.config.model import EngineConfig
from variegate.errors import VariegateError
from variegate.inference.backend import check_model_path
from variegate.inference.session import EngineSession
from variegate.pipeline.checkup_builds import (
    Finding,
    Status,
    check_bitsandbytes,
    check_encoder,
    check_faiss,
    check_torch,
    check_vllm,
    installed,
    torch_cuda,
)
from variegate.pipeline.manifest import versions
from variegate.records import Message, Request, Sampling

OLDEST_DRIVERS = {"12": 525, "13": 580}  # by the major version of CUDA


def check_python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("python", "ok" if fits else "failed", version, "" if fits else "Python 3.11 to 3.13 is needed")


def has_gpu() -> bool:
    """As `make setup` decides it: whether nvidia-smi lists one."""
    program = shutil.which("nvidia-smi")
    try:
        return program is not None and subprocess.run([program, "-L"], capture_output=True, timeout=30, check=False).returncode == 0  # noqa: S603
    except (subprocess.SubprocessError, OSError):
        return False


def check_gpu(cuda: str | None = None) -> Finding:
    """Each GPU's driver and memory from nvidia-smi; none is no fault. cuda: the version that torch was built for."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return Finding("gpu", "ok", f"none; the CPU engine is used on {os.cpu_count()} cores")
    query = [program, "--query-gpu=name,driver_version,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        out = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.strip()  # noqa: S603
        gpus = [_Gpu(*(part.strip() for part in line.rsplit(",", 3))) for line in out.splitlines()]
    except (subprocess.SubprocessError, OSError) as error:
        return Finding("gpu", "failed", f"nvidia-smi failed: {error}", "Check the driver: nvidia-smi must answer")
    except TypeError:
        return Finding("gpu", "failed", f"nvidia-smi said {out[:200]!r}", "Check the driver: nvidia-smi must list name, driver and memory")
    if not gpus:
        return Finding("gpu", "failed", "nvidia-smi lists no GPU", "Check the driver, or run without it: the CPU engine needs no GPU")
    saw = "; ".join(map(str, gpus))
    if (oldest := OLDEST_DRIVERS.get((cuda or "").partition(".")[0], 0)) > gpus[0].branch:
        return Finding("gpu", "failed", saw, f"CUDA {cuda}, which torch was built for, needs a driver of version {oldest} or later")
    share = EngineConfig().gpu_memory_utilization
    if busy := [place for place, each in enumerate(gpus) if each.free_share < share]:
        return Finding(
            "gpu",
            "warning",
            saw,
            f"vLLM takes {share:.0%} of a GPU's memory unless told otherwise, and GPU {busy[0]} has less free: end what holds it "
            "(nvidia-smi names it), or lower model.engine.gpu_memory_utilization",
        )
    return Finding("gpu", "ok", saw)


@dataclass(frozen=True, slots=True)
class _Gpu:
    """As nvidia-smi prints it: MiB without the unit, and words in brackets where it does not know."""

    name: str
    driver: str
    free: str
    total: str

    @property
    def branch(self) -> int:
        return int(first) if (first := self.driver.partition(".")[0]).isdecimal() else sys.maxsize

    @property
    def free_share(self) -> float:
        """1.0 where nvidia-smi does not know."""
        return int(self.free) / int(self.total) if self.free.isdecimal() and self.total.isdecimal() else 1.0

    def __str__(self) -> str:
        memory = [f"{int(each) / 1024:.1f}" if each.isdecimal() else each for each in (self.free, self.total)]
        return f"{self.name}, driver {self.driver}, {memory[0]} of {memory[1]} GiB free"


def check_kernels_package() -> Finding:
    """A foreign top-level module `kernels` breaks `import transformers`, which expects the Hugging Face package."""
    spec = importlib.util.find_spec("kernels")
    if spec is None or spec.origin is None:  # a mere folder of that name gives way to an installed package
        return Finding("kernels", "ok", "no package of that name")
    if version := installed("kernels"):
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


def check_model(name: str, overrides: Sequence[str] = ()) -> tuple[Finding, ModelConfig | None]:
    """(whether it is known, and its weights are there and whole; its configuration, where it is)"""
    try:
        model = load_model(name, overrides)
        check_model_path(model)
    except VariegateError as error:
        return Finding("model", "failed", str(error), "Give a bundled model, a model file, a folder or a hub id with --model"), None
    return Finding("model", "ok", f"{model.name}: {model.path}"), model


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
    info = engine.info
    seats = f", with {info.max_num_seqs} seats{'' if model.engine.max_num_seqs else ', the default here'}" if info.max_num_seqs else ""
    return Finding(
        "smoke test",
        "ok",
        f"{info.name} {info.version} on {info.device}{seats}: {model.name} started in {session.start_seconds:.0f} s and wrote {completion.text!r}",
    )


def examine(*, model: str = "nano-llama", overrides: Sequence[str] = (), smoke_test: bool = True) -> Iterator[Finding]:
    """Findings one by one, the quick ones first. model, overrides: what the one-prompt test starts, as `load_model` takes them."""
    gpu = has_gpu()
    yield check_python()
    yield check_gpu(torch_cuda())
    for check in (check_torch, check_vllm, check_faiss, check_bitsandbytes):
        yield check(gpu)
    yield check_encoder()
    yield check_kernels_package()
    yield check_versions()
    yield check_memory()
    yield check_disk(Path.cwd())
    found, config = check_model(model, overrides)
    yield found
    if smoke_test and config is not None:
        yield check_generation(config)
