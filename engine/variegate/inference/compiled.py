"""What vLLM compiled once, found again on a CPU.

vLLM stores the compiled model and loads it at the next start (`compilation/decorators.py`). Its CPU backend compiles with torch's own
inductor; what comes back from the disk is then a plain function, which lacks the method that vLLM calls next, and vLLM compiles again, at
every start ("'function' object has no attribute 'finalize_loading'", as in the log of vllm-project/vllm#45447). That method has nothing
to do there.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Which instructions this CPU knows, as a hash. What was compiled for one CPU may not run on another that shares its home folder, and
    vLLM's own key says nothing of the CPU."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    known = next((line for line in lines if line.lower().startswith(("flags", "features"))), platform.processor())
    return hashlib.sha256(f"{platform.machine()} {known}".encode()).hexdigest()[:16]


@contextmanager
def found_again() -> Iterator[None]:
    """Around a start of vLLM in this process."""
    import torch

    load = torch.compiler.load_compiled_function

    def loaded(*arguments: Any, **options: Any) -> Any:
        found = load(*arguments, **options)
        compiled = getattr(getattr(found, "_artifacts", None), "compiled_fn", None)
        if compiled is not None and not hasattr(compiled, "finalize_loading"):
            compiled.finalize_loading = lambda _: None
        return found

    torch.compiler.load_compiled_function = loaded
    try:
        yield
    finally:
        torch.compiler.load_compiled_function = load
