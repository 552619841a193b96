"""What this machine's processors are fast in. Imports torch only when asked."""

from __future__ import annotations


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies in bfloat16 by itself; where it does not, bfloat16 is many times slower than float32."""
    import torch

    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}  # torch before 2.10 cannot say
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
