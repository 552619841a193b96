"""Make the installed vLLM believe in one H200, as far as it configures an engine and builds a model; nothing can be computed.

Install it before anything of vLLM is imported, in a process of its own. What is stood in for is the driver (NVML), torch's questions to it, and vLLM's compiled
extensions; vLLM's own Python decides all the rest, that of the CPU build too, which differs in the choice of the platform alone.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import torch._inductor  # it asks for functions of a CUDA build once there seems to be a GPU

_MEMORY = 143771 << 20
_NAME = "NVIDIA H200"
_EXTENSIONS = ("_C", "_moe_C", "_C_stable_libtorch", "_moe_C_stable_libtorch", "vllm_flash_attn._vllm_fa2_C", "vllm_flash_attn._vllm_fa3_C")
_PROPERTIES = SimpleNamespace(
    major=9, minor=0, name=_NAME, total_memory=_MEMORY, multi_processor_count=132, L2_cache_size=60 << 20, shared_memory_per_block_optin=232448
)  # fmt: skip


class _Extension(ModuleType):
    """Of a namespace of torch's operators: any operator, which answers False."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Extension(name)

    def __call__(self, *arguments: Any, **options: Any) -> bool:
        return False


def _fake_torch() -> None:
    cuda: Any = torch.cuda
    for name, value in {
        "is_available": True, "device_count": 1, "get_device_properties": _PROPERTIES, "get_device_capability": (9, 0),
        "get_device_name": _NAME, "is_bf16_supported": True,
    }.items():  # fmt: skip
        setattr(cuda, name, lambda *_, value=value, **__: value)
    version: Any = torch.version
    version.cuda = "13.0"


def _fake_operators() -> None:
    """Those of vLLM's CUDA extensions. What can be done is asked with `..._supports_...`, and answered no."""
    namespace: Any = torch._ops._OpNamespace
    found = namespace.__getattr__
    loaded = False

    def answer(self: Any, name: str) -> Any:
        try:
            return found(self, name)
        except AttributeError:
            if self.name.startswith(("_C", "_moe_C")) and not name.startswith("__") and (loaded or "support" in name):
                return _Extension(name)
            raise

    namespace.__getattr__ = answer
    import vllm._custom_ops  # noqa: F401  # registers more for each operator that seems to be there

    loaded = True


def _fake_driver() -> None:
    import vllm.third_party.pynvml as nvml

    memory = SimpleNamespace(total=_MEMORY, free=_MEMORY - (700 << 20), used=700 << 20)
    for name, value in {
        "Init": None, "Shutdown": None, "DeviceGetCount": 1, "DeviceGetHandleByIndex": 0, "DeviceGetHandleByUUID": 0, "DeviceGetIndex": 0,
        "DeviceGetCudaComputeCapability": (9, 0), "DeviceGetMemoryInfo": memory, "DeviceGetName": _NAME, "DeviceGetUUID": "GPU-0",
        "DeviceGetNumaNodeId": 0, "DeviceGetPciInfo": SimpleNamespace(busId=b"0", bus=0),
    }.items():  # fmt: skip
        setattr(nvml, f"nvml{name}", lambda *_, value=value, **__: value)


def install() -> None:
    _fake_torch()
    for name in _EXTENSIONS:
        sys.modules[f"vllm.{name}"] = ModuleType(f"vllm.{name}")
    import triton
    import vllm.platforms as platforms

    triton.backends.backends["nvidia"].driver.is_active = lambda: True
    platforms.vllm_version_matches_substr = lambda part: False  # "cpu"
    _fake_driver()
    from vllm.platforms.cuda import CudaPlatform

    platforms._current_platform = CudaPlatform()
    _fake_operators()
